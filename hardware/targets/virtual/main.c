/* The server of hardware/odl on a Cortex-M4 with a CMSDK UART and timer, as in Arm's MPS2 (Application Note AN386). */
#include "odl_server.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define TIMER_CONTROL REGISTER(0x40000000u)
#define TIMER_VALUE REGISTER(0x40000004u)
#define TIMER_RELOAD REGISTER(0x40000008u)
#define UART_DATA REGISTER(0x40004000u)
#define UART_STATE REGISTER(0x40004004u)    /* bit 0: cannot send yet; bit 1: a byte has come */
#define UART_CONTROL REGISTER(0x40004008u)
#define UART_DIVIDER REGISTER(0x40004010u)

extern uint8_t link_stack_begin[], link_stack_end[], link_data_begin[], link_data_end[], link_bss_begin[], link_bss_end[], link_room[],
  link_flash_end[];
uint32_t stack_peak(void);

/* Where RAM ends for this program: what the Arduino core takes lies behind it. A host that maps another board writes another address here. */
__attribute__((section(".config"), used)) volatile const uint32_t ram_end = 0x20040000u;

static odl_server_t server;

static void write(void *context, const uint8_t *data, uint16_t n) {
  (void)context;
  for (uint16_t i = 0; i < n; i++) {
    while (UART_STATE & 1u) {
    }
    UART_DATA = data[i];
  }
}

static uint32_t ticks(void *context) {
  (void)context;
  return ~TIMER_VALUE;                      /* it counts down */
}

static uint32_t span(const uint8_t *from, const uint8_t *to) { return (uint32_t)((uintptr_t)to - (uintptr_t)from); }

static void memory(void *context, uint32_t out[4]) {
  (void)context;
  out[0] = span(link_data_begin, link_data_end) + span(link_bss_begin, link_bss_end);
  out[1] = span(link_stack_begin, link_stack_end);
  out[2] = stack_peak();
  out[3] = (uint32_t)(uintptr_t)link_flash_end;
}

int main(void) {
  static const odl_hal_t hal = {write, ticks, memory, 0, 25000000u, "Cortex-M4F (virtual)"};
  TIMER_RELOAD = 0xFFFFFFFFu;
  TIMER_CONTROL = 1u;
  UART_DIVIDER = 16u;
  UART_CONTROL = 3u;
  odl_server_open(&server, &hal, link_room, ram_end - (uint32_t)(uintptr_t)link_room);
  for (;;)
    if (UART_STATE & 2u)
      odl_server_byte(&server, (uint8_t)UART_DATA);
}
