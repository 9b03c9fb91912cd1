#include "odl_math.h"

/* Value by value. Input and output may be the same memory. mask: n bits, or NULL. */

/* v = (a - za) ma + (b - zb) mb, y = clamp(rint(v) + zy). a, b, y: n of s8. */
void odl_add_s8(uint32_t n, const int8_t *a, const int8_t *b, int8_t *y, uint8_t *mask, int8_t za, int8_t zb, int8_t zy, float ma,
                float mb) {
  for (uint32_t i = 0; i < n; i++) odl_store_s8(y, mask, i, (float)(a[i] - za) * ma + (float)(b[i] - zb) * mb, zy);
}

/* y = min(max(a + b, lo), hi). a, b, y: n of f32. */
void odl_add_f32(uint32_t n, const float *a, const float *b, float *y, uint8_t *mask, float lo, float hi) {
  for (uint32_t i = 0; i < n; i++) odl_store_f32(y, mask, i, a[i] + b[i], lo, hi);
}

/* y = clamp(rint((x - zx) m) + zy): zy = -128 makes it a ReLU. x, y: n of s8. */
void odl_relu_s8(uint32_t n, const int8_t *x, int8_t *y, uint8_t *mask, int8_t zx, int8_t zy, float m) {
  for (uint32_t i = 0; i < n; i++) odl_store_s8(y, mask, i, (float)(x[i] - zx) * m, zy);
}

/* y = min(max(x, lo), hi). x, y: n of f32. */
void odl_relu_f32(uint32_t n, const float *x, float *y, uint8_t *mask, float lo, float hi) {
  for (uint32_t i = 0; i < n; i++) odl_store_f32(y, mask, i, x[i], lo, hi);
}

/* y = (x - zx) scale. x: n of s8, y: n of f32. */
void odl_dequantize(uint32_t n, const int8_t *x, float *y, int8_t zx, float scale) {
  for (uint32_t i = 0; i < n; i++) y[i] = (float)(x[i] - zx) * scale;
}

/* g = gy times m of its channel, or times factor, where its bit is 1; else +0. gy, g: n of f32, channels (c) last. m: (c) f32 or NULL.
 * mask NULL: all bits are 1. */
void odl_scale_grad(uint32_t n, uint32_t c, const float *gy, const uint8_t *mask, const float *m, float factor, float *g) {
  for (uint32_t i = 0, channel = 0; i < n; i++) {
    g[i] = !mask || odl_get_bit(mask, i) ? gy[i] * (m ? m[channel] : factor) : 0.0f;
    if (++channel == c) channel = 0;
  }
}

/* a += b. n of f32. */
void odl_accumulate(uint32_t n, float *a, const float *b) {
  for (uint32_t i = 0; i < n; i++) a[i] += b[i];
}

/* y (n, count) = the named channels of x (n, c), s8 or f32. */
void odl_gather(uint32_t n, uint16_t c, const void *x, uint16_t count, const uint16_t *channels, void *y, uint8_t is_s8) {
  for (uint32_t p = 0; p < n; p++)
    for (uint32_t j = 0; j < count; j++) {
      if (is_s8) ((int8_t *)y)[p * count + j] = ((const int8_t *)x)[p * c + channels[j]];
      else ((float *)y)[p * count + j] = ((const float *)x)[p * c + channels[j]];
    }
}
