/* Firmware of benchmarks/board.py: one call of one kernel, or one step of a Program, each behind a function that the script calls by name. */
#include "odl.h"

typedef struct {
  odl_shape_t shape;
  int8_t zx, zy;
  void *x, *w, *b, *m, *y, *mask, *ws;
  uint32_t flag;                                                   /* pairs of a convolution; of a weight gradient: x is s8 */
} call_t;

static odl_t program;

void kernel_conv(const call_t *c) {
  odl_conv_s8(&c->shape, c->x, c->w, c->b, c->m, c->y, c->mask, c->ws, c->zx, c->zy, (uint8_t)c->flag);
}
void kernel_dx(const call_t *c) { odl_conv_dx_s8(&c->shape, c->x, c->w, c->y, c->ws, (uint8_t)c->flag); }
void kernel_dw(const call_t *c) {
  odl_conv_dw(&c->shape, c->x, c->w, (uint8_t)c->flag, c->zx, (const uint16_t *)0, c->shape.c, c->y, c->ws);
}

int program_open(const uint8_t *blob, uint32_t len, uint8_t *state, uint8_t *arena, uint32_t arena_len) {
  return odl_open(&program, blob, len, state, arena, arena_len);
}
void program_forward(void) { odl_forward(&program); }
void program_step(const float *lr) { (void)odl_step(&program, *lr); }
uint8_t *program_data(uint32_t number) { return odl_data(&program, (uint16_t)number); }

/* So that the linker keeps them. */
__attribute__((section(".config"), used)) static const void *const functions[] = {
  (const void *)kernel_conv, (const void *)kernel_dx, (const void *)kernel_dw, (const void *)program_open,
  (const void *)program_forward, (const void *)program_step, (const void *)program_data};

int main(void) { return 0; }
