/* The innermost loops: each in plain C, and for the Cortex-M4 and M7, where ODL_SIMD is 1, in blocks that keep the processor busy. Both
 * give the same bits. A block of assembly is one loop in one piece, so that gcc, clang and -Os make the same of it.
 * Not for users of the library. */
#ifndef ODL_BLOCK_H
#define ODL_BLOCK_H

#include "odl_math.h"

static inline void odl_copy(uint8_t *to, const uint8_t *from, uint32_t bytes) {
#if defined(__GNUC__)
  for (; bytes >= 16; bytes -= 16, to += 16, from += 16) {
    uint32_t four[4];                                              /* loads before stores: the two do not overlap */
    __builtin_memcpy(four, from, 4), __builtin_memcpy(four + 1, from + 4, 4), __builtin_memcpy(four + 2, from + 8, 4), __builtin_memcpy(four + 3, from + 12, 4);
    __builtin_memcpy(to, four, 4), __builtin_memcpy(to + 4, four + 1, 4), __builtin_memcpy(to + 8, four + 2, 4), __builtin_memcpy(to + 12, four + 3, 4);
  }
  for (; bytes >= 4; bytes -= 4, to += 4, from += 4) __builtin_memcpy(to, from, 4);
#endif
  while (bytes--) *to++ = *from++;
}

/* `count` times the value of `bytes` bytes, 1 or 4. */
static inline void odl_fill(uint8_t *to, const uint8_t *value, uint8_t bytes, uint32_t count) {
  for (; count; count--)
    for (uint8_t i = 0; i < bytes; i++) *to++ = value[i];
}

/* Is the tap (ky, kx) of output position (ho, wo) outside the map? */
static inline int odl_outside(const odl_shape_t *s, uint32_t ho, uint32_t wo, uint32_t ky, uint32_t kx) {
  int32_t row = (int32_t)(ho * s->sh + ky) - s->ph, col = (int32_t)(wo * s->sw + kx) - s->pw;
  return row < 0 || row >= s->h || col < 0 || col >= s->w;
}

/* Which pixel of the input it is, counted over (n, h, w). */
static inline uint32_t odl_pixel(const odl_shape_t *s, uint32_t n, uint32_t ho, uint32_t wo, uint32_t ky, uint32_t kx) {
  return (n * s->h + ho * s->sh + ky - s->ph) * s->w + wo * s->sw + kx - s->pw;
}

/* ---- plain C; what is left over at the edges of the blocks below, and everything elsewhere ---- */

/* dx (rows, cols <= 4) += g (rows, o) times v (o, cols), o ascending. Steps in floats. */
static inline void odl_plain_dx(float *dx, uint32_t dx_step, const float *g, uint32_t g_step, const float *v, uint32_t v_step, uint32_t o,
                                uint32_t rows, uint32_t cols) {
  for (uint32_t r = 0; r < rows; r++)
    for (uint32_t c = 0; c < cols; c++) {
      float sum = dx[r * dx_step + c];
      for (uint32_t i = 0; i < o; i++) sum += g[r * g_step + i] * v[i * v_step + c];
      dx[r * dx_step + c] = sum;
    }
}

/* d (rows, 4) += g (positions, rows), transposed, times v (positions, 4), positions ascending. */
static inline void odl_plain_dw(float *d, const float *g, uint32_t g_step, const float *v, uint32_t v_step, uint32_t positions, uint32_t rows) {
  for (uint32_t r = 0; r < rows; r++)
    for (uint32_t c = 0; c < 4; c++) {
      float sum = d[4 * r + c];
      for (uint32_t p = 0; p < positions; p++) sum += g[p * g_step + r] * v[p * v_step + c];
      d[4 * r + c] = sum;
    }
}

/* dx (count, cols <= 4) += g (count, cols) times v (cols), value by value. */
static inline void odl_plain_depthwise_dx(float *dx, uint32_t dx_step, const float *g, uint32_t g_step, const float *v, uint32_t count,
                                          uint32_t cols) {
  for (uint32_t i = 0; i < count; i++, dx += dx_step, g += g_step)
    for (uint32_t c = 0; c < cols; c++) dx[c] += g[c] * v[c];
}

/* sums[j] += x (k) times row j of w, `step` floats apart, one product after the other. count <= 4. */
static inline void odl_plain_dot_f32(const float *x, const float *w, uint32_t step, uint32_t k, uint32_t count, float *sums) {
  for (uint32_t j = 0; j < count; j++, w += step) {
    float sum = sums[j];
    for (uint32_t i = 0; i < k; i++) sum += x[i] * w[i];
    sums[j] = sum;
  }
}

#if ODL_SIMD
#include "odl_cortex_m4.h"
#else

/* k int8 values, minus their zero point, to int16: 4 values at `to`, the next 4 `step` further on, ... k % 8 == 0. */
static inline void odl_widen(int16_t *to, uint32_t step, const int8_t *from, uint32_t k, int8_t zero) {
  for (; k; k -= 4, from += 4, to += step)
    for (uint32_t j = 0; j < 4; j++) to[j] = (int16_t)(from[j] - zero);
}

/* sums (2 positions, 2 outputs) += x (k / 4, 2 positions, 4) times the row pair w (k / 4, 2 outputs, 4). k % 8 == 0.
 * Returns the end of w: the next pair. */
static inline const int8_t *odl_dot_2x2(const int16_t *x, const int8_t *w, uint32_t k, int32_t *sums) {
  for (; k; k -= 4, x += 8, w += 8)
    for (uint32_t j = 0; j < 4; j++) {
      sums[0] = odl_wrap(sums[0], (int32_t)x[j] * w[j]);
      sums[1] = odl_wrap(sums[1], (int32_t)x[j] * w[4 + j]);
      sums[2] = odl_wrap(sums[2], (int32_t)x[4 + j] * w[j]);
      sums[3] = odl_wrap(sums[3], (int32_t)x[4 + j] * w[4 + j]);
    }
  return w;
}

/* The same for one position. */
static inline const int8_t *odl_dot_1x2(const int16_t *x, const int8_t *w, uint32_t k, int32_t *sums) {
  for (; k; k -= 4, x += 4, w += 8)
    for (uint32_t j = 0; j < 4; j++) {
      sums[0] = odl_wrap(sums[0], (int32_t)x[j] * w[j]);
      sums[1] = odl_wrap(sums[1], (int32_t)x[j] * w[4 + j]);
    }
  return w;
}

/* n int8 values, `step` apart, minus their zero point, to int16. */
static inline void odl_widen_row(int16_t *to, const int8_t *from, uint32_t step, uint32_t n, int8_t zero) {
  for (; n; n--, from += step) *to++ = (int16_t)(*from - zero);
}

/* n sums, requantized, `step` apart. */
static inline void odl_store_row(const int32_t *sums, uint32_t n, float m, int8_t *y, uint32_t step, int32_t zero) {
  for (; n; n--, y += step) *y = odl_clamp_s8(odl_requantize((float)*sums++ * m, zero));
}

/* sums (one row of outputs, rounded up to even) = bias + one channel's plane times taps (kh, kw rounded up to even). */
static inline void odl_dot_plane(const int16_t *plane, uint32_t width, const int16_t *taps, const odl_shape_t *s, int32_t bias, int32_t *sums) {
  uint32_t kw = (s->kw + 1u) & ~1u;
  for (uint32_t wo = 0; wo < s->wo; wo++) {
    int32_t sum = 0;
    for (uint32_t ky = 0; ky < s->kh; ky++)
      for (uint32_t kx = 0; kx < s->kw; kx++) sum += (int32_t)plane[ky * width + wo * s->sw + kx] * taps[ky * kw + kx];
    sums[wo] = odl_wrap(sum, bias);
  }
}

static inline void odl_dot_f32(const float *x, const float *w, uint32_t k, uint32_t count, float *sums) {
  odl_plain_dot_f32(x, w, k, k, count, sums);
}

static inline void odl_block_dx(float *dx, uint32_t dx_step, const float *g, uint32_t g_step, const float *v, uint32_t v_step, uint32_t o,
                                uint32_t rows, uint32_t cols) {
  odl_plain_dx(dx, dx_step, g, g_step, v, v_step, o, rows, cols);
}

static inline void odl_block_dw(float *d, const float *g, uint32_t g_step, const float *v, uint32_t v_step, uint32_t positions, uint32_t rows) {
  odl_plain_dw(d, g, g_step, v, v_step, positions, rows);
}

static inline void odl_block_depthwise_dx(float *dx, uint32_t dx_step, const float *g, uint32_t g_step, const float *v, uint32_t count,
                                          uint32_t cols) {
  odl_plain_depthwise_dx(dx, dx_step, g, g_step, v, count, cols);
}

#endif
#endif
