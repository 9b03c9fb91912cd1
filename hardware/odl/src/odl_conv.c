#include "odl_block.h"
#include "odl_workspace.h"

/* Convolutions, forward. x (n, h, w, c), y (n, ho, wo, o), w (o, kh, kw, c / groups).
 *
 * Both kinds bring the inputs of one output position, its window of K = kh kw c values, into one row and multiply it with rows of w. */

/* The window of output position p as `bytes` a value, K values in the order of a row of w; outside the map, `outside` (one value). */
static void window(const odl_shape_t *s, const uint8_t *x, uint32_t p, uint8_t bytes, const uint8_t *outside, uint8_t *to) {
  uint32_t wo = p % s->wo, ho = p / s->wo % s->ho, n = p / s->wo / s->ho;
  int32_t top = (int32_t)(ho * s->sh) - s->ph, left = (int32_t)(wo * s->sw) - s->pw;
  uint32_t pixel = (uint32_t)s->c * bytes, run = s->kw * pixel;
  if (top >= 0 && left >= 0 && top + s->kh <= s->h && left + s->kw <= s->w) {      /* all inside: a run of pixels for each of its rows */
    const uint8_t *from = x + ((n * s->h + (uint32_t)top) * s->w + (uint32_t)left) * pixel;
    for (uint32_t ky = 0; ky < s->kh; ky++, from += s->w * pixel, to += run) odl_copy(to, from, run);
    return;
  }
  for (int32_t row = top; row < top + s->kh; row++)
    for (int32_t col = left; col < left + s->kw; col++, to += pixel) {
      if (row < 0 || row >= s->h || col < 0 || col >= s->w) odl_fill(to, outside, bytes, s->c);
      else odl_copy(to, x + ((n * s->h + (uint32_t)row) * s->w + (uint32_t)col) * pixel, pixel);
    }
}

/* Rows first .. first + rows - 1 of w (o, K), s8, as row pairs of Kp values, filled up with zeros. */
static void pack_pairs(const int8_t *w, uint32_t o, uint32_t first, uint32_t rows, uint32_t k, uint32_t kp, int8_t *to) {
  for (uint32_t r = first; r < first + rows; r += 2) {
    const int8_t *a = w + r * k, *b = a + k;
    int second = r + 1 < o;
    for (uint32_t i = 0; i < kp; i += 4, to += 8)
      for (uint32_t j = 0; j < 4; j++) {
        to[j] = i + j < k ? a[i + j] : 0;
        to[4 + j] = second && i + j < k ? b[i + j] : 0;
      }
  }
}

/* Where `count` outputs of position p go, the first of which has number o. */
typedef struct {
  const int32_t *b;                                                /* NULL: 0 */
  const float *m;
  int8_t *y;
  uint8_t *mask;                                                   /* may be NULL */
  uint32_t width, o, count;                                        /* width: outputs of a position in all */
  int32_t zy;
} outputs_t;

/* Two requantized values, neighbours, whose places i and i + 1 lie in one byte of the mask. */
static inline void store_pair(int8_t *y, uint8_t *mask, uint32_t i, float v0, float v1, int32_t zy) {
  int32_t r0 = odl_requantize(v0, zy), r1 = odl_requantize(v1, zy);
  int8_t y0 = odl_clamp_s8(r0), y1 = odl_clamp_s8(r1);
  y[0] = y0;
  y[1] = y1;
  if (mask) {
    uint32_t bits = (uint32_t)(y0 == r0) | (uint32_t)(y1 == r1) << 1, at = i & 7u;
    mask[i >> 3] = (uint8_t)((mask[i >> 3] & ~(3u << at)) | bits << at);
  }
}

/* Pairs of outputs of position p and the next. The loop has a function of its own: a block of SIMD takes nearly every register.
 * x: the windows, widened; w: row pairs of kp values. There is a bias; count and width are even. */
static ODL_ALONE void two_positions(const outputs_t *to, uint32_t p, const int16_t *x, const int8_t *w, uint32_t kp) {
  uint32_t i = p * to->width + to->o, width = to->width;
  const int32_t *b = to->b + to->o;
  const float *m = to->m + to->o;
  int8_t *y = to->y + i;
  int32_t zy = to->zy;
  for (const int8_t *end = y + to->count; y != end; y += 2, m += 2, b += 2) {
    int32_t sums[4] = {b[0], b[1], b[0], b[1]};
    w = odl_dot_2x2(x, w, kp, sums);
    float m0 = m[0], m1 = m[1];
    store_pair(y, (uint8_t *)0, 0, (float)sums[0] * m0, (float)sums[1] * m1, zy);
    store_pair(y + width, (uint8_t *)0, 0, (float)sums[2] * m0, (float)sums[3] * m1, zy);
  }
}

/* The same with a mask. */
static ODL_ALONE void two_masked(const outputs_t *to, uint32_t p, const int16_t *x, const int8_t *w, uint32_t kp) {
  uint32_t i = p * to->width + to->o, width = to->width;
  const int32_t *b = to->b + to->o;
  const float *m = to->m + to->o;
  int8_t *y = to->y;
  uint8_t *mask = to->mask;
  int32_t zy = to->zy;
  for (uint32_t end = i + to->count; i != end; i += 2, m += 2, b += 2) {
    int32_t sums[4] = {b[0], b[1], b[0], b[1]};
    w = odl_dot_2x2(x, w, kp, sums);
    float m0 = m[0], m1 = m[1];
    store_pair(y + i, mask, i, (float)sums[0] * m0, (float)sums[1] * m1, zy);
    store_pair(y + i + width, mask, i + width, (float)sums[2] * m0, (float)sums[3] * m1, zy);
  }
}

/* Pairs of outputs of position p alone. */
static ODL_ALONE void one_position(const outputs_t *to, uint32_t p, const int16_t *x, const int8_t *w, uint32_t kp) {
  uint32_t i = p * to->width + to->o;
  const int32_t *b = to->b + to->o;
  const float *m = to->m + to->o;
  int8_t *y = to->y + i;
  uint8_t *mask = to->mask;
  int32_t zy = to->zy;
  for (const int8_t *end = y + to->count; y != end; y += 2, i += 2, m += 2, b += 2) {
    int32_t sums[2] = {b[0], b[1]};
    w = odl_dot_1x2(x, w, kp, sums);
    store_pair(y, mask, i, (float)sums[0] * m[0], (float)sums[1] * m[1], zy);
  }
}

/* The same for any count and width, and without a bias. */
static ODL_ALONE void any_positions(const outputs_t *to, uint32_t p, const int16_t *x, const int8_t *w, uint32_t kp, uint32_t positions) {
  for (uint32_t o = to->o; o < to->o + to->count; o += 2) {
    int two = o + 1 < to->o + to->count;
    int32_t b0 = to->b ? to->b[o] : 0, b1 = to->b && two ? to->b[o + 1] : 0, sums[4] = {b0, b1, b0, b1};
    w = positions == 2 ? odl_dot_2x2(x, w, kp, sums) : odl_dot_1x2(x, w, kp, sums);
    for (uint32_t q = 0; q < positions; q++) {
      uint32_t i = (p + q) * to->width + o;
      odl_store_s8(to->y, to->mask, i, (float)sums[2 * q] * to->m[o], to->zy);
      if (two) odl_store_s8(to->y, to->mask, i + 1, (float)sums[2 * q + 1] * to->m[o + 1], to->zy);
    }
  }
}

/* Some outputs of all positions, from row pairs of w. Two positions at a time are widened once, for all outputs. */
static void conv_pairs(const odl_shape_t *s, const outputs_t *to, const int8_t *x, const int8_t *pairs, const odl_scratch_t *ws, int8_t zx) {
  uint32_t positions = (uint32_t)s->n * s->ho * s->wo, k = (uint32_t)s->kh * s->kw * s->c, kp = odl_padded(k);
  int even = to->b && !((to->count | to->width) & 1u);
  for (uint32_t p = 0; p < positions; p += 2) {
    uint32_t count = odl_min(2, positions - p);
    for (uint32_t i = 0; i < count; i++) {
      const int8_t *row = x + (p + i) * k;
      if (ws->window) {
        window(s, (const uint8_t *)x, p + i, 1, (const uint8_t *)&zx, ws->window);
        odl_fill(ws->window + k, (const uint8_t *)&zx, 1, kp - k);
        row = (const int8_t *)ws->window;
      }
      odl_widen(ws->wide + 4 * i, 4 * count, row, kp, zx);
    }
    if (!even) any_positions(to, p, ws->wide, pairs, kp, count);
    else if (count == 1) one_position(to, p, ws->wide, pairs, kp);
    else if (to->mask) two_masked(to, p, ws->wide, pairs, kp);
    else two_positions(to, p, ws->wide, pairs, kp);
  }
}

/* The same from plain rows of w: as many as there is scratch for are packed into pairs at a time. */
static ODL_ALONE void conv_rows(const odl_shape_t *s, outputs_t *to, const int8_t *x, const int8_t *w, const odl_scratch_t *ws, int8_t zx) {
  uint32_t k = (uint32_t)s->kh * s->kw * s->c, kp = odl_padded(k), rows = odl_packed_rows(s->o, kp);
  for (to->o = 0; to->o < s->o; to->o += rows) {
    to->count = odl_min(rows, s->o - to->o);
    pack_pairs(w, s->o, to->o, to->count, k, kp, ws->packed);
    conv_pairs(s, to, x, ws->packed, ws, zx);
  }
}

/* Any groups, any shape: slow and plain. */
static ODL_ALONE void conv_grouped_s8(const odl_shape_t *s, const int8_t *x, const int8_t *w, const int32_t *b, const float *m, int8_t *y,
                            uint8_t *mask, int8_t zx, int8_t zy) {
  uint32_t per = (uint32_t)s->c / s->groups, each = (uint32_t)s->o / s->groups, i = 0;
  for (uint32_t n = 0; n < s->n; n++)
    for (uint32_t ho = 0; ho < s->ho; ho++)
      for (uint32_t wo = 0; wo < s->wo; wo++)
        for (uint32_t o = 0; o < s->o; o++, i++) {
          int32_t sum = 0;
          const int8_t *row = w + o * s->kh * s->kw * per;
          for (uint32_t ky = 0; ky < s->kh; ky++)
            for (uint32_t kx = 0; kx < s->kw; kx++, row += per) {
              const int8_t *pixel = x + odl_pixel(s, n, ho, wo, ky, kx) * s->c + o / each * per;
              if (odl_outside(s, ho, wo, ky, kx)) continue;
              for (uint32_t c = 0; c < per; c++) sum += (int32_t)(pixel[c] - zx) * row[c];
            }
          odl_store_s8(y, mask, i, (float)odl_wrap(sum, b ? b[o] : 0) * m[o], zy);
        }
}

/* x, w, y s8; b s32 (o) or NULL; m f32 (o); mask bits or NULL: acc = sum (x - zx) w + b, y = clamp(rint(acc m) + zy). Padding is a real 0.
 * w lies in row pairs (then o is even and K a multiple of 8), or is packed into them part by part here. */
void odl_conv_s8(const odl_shape_t *s, const int8_t *x, const int8_t *w, const int32_t *b, const float *m, int8_t *y, uint8_t *mask,
                 void *ws, int8_t zx, int8_t zy, uint8_t pairs) {
  if (odl_is_depthwise(s)) {
    odl_conv_depthwise_s8(s, x, w, b, m, y, mask, ws, zx, zy);
  } else if (s->groups > 1) {
    conv_grouped_s8(s, x, w, b, m, y, mask, zx, zy);
  } else {
    outputs_t to = {b, m, y, mask, s->o, 0, s->o, zy};
    odl_scratch_t scratch = odl_conv_scratch(s, ws);
    if (pairs) conv_pairs(s, &to, x, w, &scratch, zx);
    else conv_rows(s, &to, x, w, &scratch, zx);
  }
}

/* Any groups: acc starts as b, or +0; then ky, kx, c ascending, acc += x w, with x = +0 outside. */
static void conv_grouped_f32(const odl_shape_t *s, const float *x, const float *w, const float *b, float *y, uint8_t *mask, float lo,
                             float hi) {
  uint32_t per = (uint32_t)s->c / s->groups, each = (uint32_t)s->o / s->groups, i = 0;
  for (uint32_t n = 0; n < s->n; n++)
    for (uint32_t ho = 0; ho < s->ho; ho++)
      for (uint32_t wo = 0; wo < s->wo; wo++)
        for (uint32_t o = 0; o < s->o; o++, i++) {
          float sum = b ? b[o] : 0.0f;
          const float *row = w + o * s->kh * s->kw * per;
          for (uint32_t ky = 0; ky < s->kh; ky++)
            for (uint32_t kx = 0; kx < s->kw; kx++, row += per) {
              int outside = odl_outside(s, ho, wo, ky, kx);
              uint32_t at = outside ? 0 : odl_pixel(s, n, ho, wo, ky, kx) * s->c + o / each * per;
              for (uint32_t c = 0; c < per; c++) sum += (outside ? 0.0f : x[at + c]) * row[c];
            }
          odl_store_f32(y, mask, i, sum, lo, hi);
        }
}

/* x, w, y f32; b f32 (o) or NULL; mask bits or NULL: acc = b, then ky, kx, c ascending acc += x w; y = min(max(acc, lo), hi). */
void odl_conv_f32(const odl_shape_t *s, const float *x, const float *w, const float *b, float *y, uint8_t *mask, void *ws, float lo,
                  float hi) {
  if (s->groups > 1) {
    conv_grouped_f32(s, x, w, b, y, mask, lo, hi);
    return;
  }
  const float zero = 0.0f;
  uint32_t positions = (uint32_t)s->n * s->ho * s->wo, k = (uint32_t)s->kh * s->kw * s->c, i = 0;
  for (uint32_t p = 0; p < positions; p++) {
    const float *row = x + p * k;
    if (!odl_is_pointwise(s)) {
      window(s, (const uint8_t *)x, p, 4, (const uint8_t *)&zero, (uint8_t *)ws);
      row = (const float *)ws;
    }
    for (uint32_t o = 0; o < s->o; o += 4) {
      uint32_t count = odl_min(4, s->o - o);
      float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
      if (b)
        for (uint32_t j = 0; j < count; j++) sums[j] = b[o + j];
      odl_dot_f32(row, w + o * k, k, count, sums);
      for (uint32_t j = 0; j < count; j++) odl_store_f32(y, mask, i++, sums[j], lo, hi);
    }
  }
}
