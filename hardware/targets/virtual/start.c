/* From reset to main on a bare Cortex-M4F: the vector table, the FPU, .data, .bss, and the stack painted so that its peak can be read off.
   The stack lies at the bottom of RAM: one that grows too large leaves RAM and faults, instead of writing over data. */
#include <stdint.h>

extern uint32_t link_stack_begin[], link_stack_end[], link_data_load[], link_data_begin[], link_data_end[], link_bss_begin[], link_bss_end[];

enum { PAINT = 0x5AC35AC3 };

#define CPACR (*(volatile uint32_t *)0xE000ED88u)   /* who may use the FPU */
#define AIRCR (*(volatile uint32_t *)0xE000ED0Cu)   /* asks for a reset */

int main(void);

/* A fault restarts the board. The host sees it: the boot id is gone. */
static void fault(void) {
  AIRCR = 0x05FA0004u;
  for (;;) {
  }
}

static void wake(void) {
  CPACR |= 0xFu << 20;
  __asm volatile("dsb\n\tisb" ::: "memory");
  for (uint32_t *from = link_data_load, *to = link_data_begin; to < link_data_end;)
    *to++ = *from++;
  for (uint32_t *to = link_bss_begin; to < link_bss_end;)
    *to++ = 0;
  uint32_t *here;
  __asm volatile("mov %0, sp" : "=r"(here));
  for (volatile uint32_t *to = link_stack_begin; to < here; to++)
    *to = PAINT;
}

void reset(void);
void reset(void) {
  wake();
  main();
  fault();
}

/* Bytes of stack that were ever used: all above the paint that is left at its bottom. */
uint32_t stack_peak(void);
uint32_t stack_peak(void) {
  const volatile uint32_t *at = link_stack_begin;
  while (at < link_stack_end && *at == PAINT)
    at++;
  return (uint32_t)((const uint8_t *)link_stack_end - (const uint8_t *)(uintptr_t)at);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
  link_stack_end, (const void *)reset, (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault};
