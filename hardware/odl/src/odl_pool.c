#include "odl_block.h"

/* Pooling over windows. x (n, h, w, c), y and g (n, ho, wo, c), s8 or f32; place (n, ho, wo, c) u8. */

/* 1 / (kh kw), rounded to float32. */
static float share(const odl_shape_t *s) { return 1.0f / (float)((uint32_t)s->kh * s->kw); }

/* y = rint(sum of (x - zero) / (kh kw)) + zero. Padding is a real 0 and counts. */
void odl_avg_pool_s8(const odl_shape_t *s, const int8_t *x, int8_t *y, int8_t zero) {
  for (uint32_t n = 0; n < s->n; n++)
    for (uint32_t ho = 0; ho < s->ho; ho++)
      for (uint32_t wo = 0; wo < s->wo; wo++)
        for (uint32_t c = 0; c < s->c; c++) {
          int32_t sum = 0;
          for (uint32_t ky = 0; ky < s->kh; ky++)
            for (uint32_t kx = 0; kx < s->kw; kx++)
              if (!odl_outside(s, ho, wo, ky, kx)) sum += x[odl_pixel(s, n, ho, wo, ky, kx) * s->c + c] - zero;
          *y++ = odl_clamp_s8(odl_requantize((float)sum * share(s), zero));
        }
}

/* y = sum of x, taps ascending, padding as +0, times 1 / (kh kw). */
void odl_avg_pool_f32(const odl_shape_t *s, const float *x, float *y) {
  for (uint32_t n = 0; n < s->n; n++)
    for (uint32_t ho = 0; ho < s->ho; ho++)
      for (uint32_t wo = 0; wo < s->wo; wo++)
        for (uint32_t c = 0; c < s->c; c++) {
          float sum = 0.0f;
          for (uint32_t ky = 0; ky < s->kh; ky++)
            for (uint32_t kx = 0; kx < s->kw; kx++)
              sum += odl_outside(s, ho, wo, ky, kx) ? 0.0f : x[odl_pixel(s, n, ho, wo, ky, kx) * s->c + c];
          *y++ = sum * share(s);
        }
}

/* The greatest value of each window, and the place ky kw + kx where it first stands (or NULL). Padding never wins; the first
 * NaN does, as in torch. */
void odl_max_pool_s8(const odl_shape_t *s, const int8_t *x, int8_t *y, uint8_t *place) {
  for (uint32_t n = 0; n < s->n; n++)
    for (uint32_t ho = 0; ho < s->ho; ho++)
      for (uint32_t wo = 0; wo < s->wo; wo++)
        for (uint32_t c = 0; c < s->c; c++) {
          int32_t best = -129;
          uint32_t at = 0;
          for (uint32_t ky = 0; ky < s->kh; ky++)
            for (uint32_t kx = 0; kx < s->kw; kx++) {
              if (odl_outside(s, ho, wo, ky, kx)) continue;
              int32_t v = x[odl_pixel(s, n, ho, wo, ky, kx) * s->c + c];
              if (v > best) best = v, at = ky * s->kw + kx;
            }
          *y++ = (int8_t)best;
          if (place) *place++ = (uint8_t)at;
        }
}

void odl_max_pool_f32(const odl_shape_t *s, const float *x, float *y, uint8_t *place) {
  for (uint32_t n = 0; n < s->n; n++)
    for (uint32_t ho = 0; ho < s->ho; ho++)
      for (uint32_t wo = 0; wo < s->wo; wo++)
        for (uint32_t c = 0; c < s->c; c++) {
          float best = 0.0f;
          uint32_t at = 0;
          int none = 1;
          for (uint32_t ky = 0; ky < s->kh; ky++)
            for (uint32_t kx = 0; kx < s->kw; kx++) {
              if (odl_outside(s, ho, wo, ky, kx)) continue;
              float v = x[odl_pixel(s, n, ho, wo, ky, kx) * s->c + c];
              if (none || v > best || (v != v && best == best)) best = v, at = ky * s->kw + kx;
              none = 0;
            }
          *y++ = best;
          if (place) *place++ = (uint8_t)at;
        }
}

/* dx += g / (kh kw) for each input of a window, windows in the order of the outputs; dx starts at +0. */
void odl_avg_pool_dx(const odl_shape_t *s, const float *g, float *dx) {
  uint32_t size = (uint32_t)s->n * s->h * s->w * s->c;
  for (uint32_t i = 0; i < size; i++) dx[i] = 0.0f;
  for (uint32_t n = 0; n < s->n; n++)
    for (uint32_t ho = 0; ho < s->ho; ho++)
      for (uint32_t wo = 0; wo < s->wo; wo++, g += s->c)
        for (uint32_t ky = 0; ky < s->kh; ky++)
          for (uint32_t kx = 0; kx < s->kw; kx++) {
            if (odl_outside(s, ho, wo, ky, kx)) continue;
            float *to = dx + odl_pixel(s, n, ho, wo, ky, kx) * s->c;
            for (uint32_t c = 0; c < s->c; c++) to[c] += g[c] * share(s);
          }
}

/* dx += g at the place of each window's maximum. A place outside the map, which no forward pass writes, is left out. */
void odl_max_pool_dx(const odl_shape_t *s, const float *g, const uint8_t *place, float *dx) {
  uint32_t size = (uint32_t)s->n * s->h * s->w * s->c;
  for (uint32_t i = 0; i < size; i++) dx[i] = 0.0f;
  for (uint32_t n = 0; n < s->n; n++)
    for (uint32_t ho = 0; ho < s->ho; ho++)
      for (uint32_t wo = 0; wo < s->wo; wo++)
        for (uint32_t c = 0; c < s->c; c++, g++, place++) {
          uint32_t ky = *place / s->kw, kx = *place % s->kw;
          if (!odl_outside(s, ho, wo, ky, kx)) dx[odl_pixel(s, n, ho, wo, ky, kx) * s->c + c] += *g;
        }
}
