#include "odl_block.h"
#include "odl_update.h"
#include "odl_workspace.h"

/* Gradients of a convolution. g (n, ho, wo, o) f32, x and dx (n, h, w, c), w and dw (o, kh, kw, c / groups). */

/* Output columns (or rows) from .. to - 1 whose tap k lies inside a map of `size`. */
typedef struct { uint32_t from, to; } range_t;

static range_t inside(uint32_t size, uint32_t out, uint32_t stride, uint32_t pad, uint32_t k) {
  range_t r = {pad > k ? (pad - k + stride - 1) / stride : 0, 0};
  if (size + pad > k) r.to = odl_min(out, (size - 1 + pad - k) / stride + 1);
  r.from = odl_min(r.from, r.to);
  return r;
}

static void zero(float *to, uint32_t n) {
  while (n--) *to++ = 0.0f;
}

/* One tap of the input gradient, for the channels c .. c + cols - 1: v (o, cols), row by row of outputs. */
static void dx_tap(const odl_shape_t *s, const float *g, float *dx, const float *v, uint32_t v_step, uint32_t ky, uint32_t kx, uint32_t c,
                   uint32_t cols) {
  range_t rows = inside(s->h, s->ho, s->sh, s->ph, ky), wide = inside(s->w, s->wo, s->sw, s->pw, kx);
  for (uint32_t n = 0; n < s->n; n++)
    for (uint32_t ho = rows.from; ho < rows.to; ho++) {
      float *to = dx + odl_pixel(s, n, ho, wide.from, ky, kx) * s->c + c;
      const float *from = g + ((n * s->ho + ho) * s->wo + wide.from) * s->o;
      uint32_t to_step = (uint32_t)s->sw * s->c;
      for (uint32_t left = wide.to - wide.from; left;) {
        uint32_t count = odl_min(4, left);
        odl_block_dx(to, to_step, from, s->o, v, v_step, s->o, count, cols);
        to += count * to_step, from += count * s->o, left -= count;
      }
    }
}

/* Depthwise: one tap, channels c .. c + cols - 1 of v. */
static void dx_depthwise_tap(const odl_shape_t *s, const float *g, float *dx, const float *v, uint32_t ky, uint32_t kx, uint32_t c,
                             uint32_t cols) {
  range_t rows = inside(s->h, s->ho, s->sh, s->ph, ky), wide = inside(s->w, s->wo, s->sw, s->pw, kx);
  for (uint32_t n = 0; n < s->n; n++)
    for (uint32_t ho = rows.from; ho < rows.to; ho++)
      odl_block_depthwise_dx(dx + odl_pixel(s, n, ho, wide.from, ky, kx) * s->c + c, (uint32_t)s->sw * s->c,
                             g + ((n * s->ho + ho) * s->wo + wide.from) * s->o + c, s->o, v, wide.to - wide.from, cols);
}

/* A pointwise convolution has one row of positions: longer rows, fewer ends. */
static odl_shape_t flattened(const odl_shape_t *s) {
  odl_shape_t r = *s;
  uint32_t positions = (uint32_t)s->n * s->h * s->w;
  if (odl_is_pointwise(s) && positions <= 0xFFFFu) {
    r.n = r.h = r.ho = 1;
    r.w = r.wo = (uint16_t)positions;
  }
  return r;
}

static inline int8_t weight_s8(const int8_t *w, uint32_t k, uint32_t row, uint32_t col, uint8_t pairs) {
  return w[pairs ? odl_pairs_index(k, row, col) : row * k + col];
}

/* dx[input of tap] += sum over o of g w, taps ascending, inside a tap o ascending; dx starts at +0. w: s8 (ws: 16 o bytes) or f32, one of
 * them NULL. */
static void conv_dx(const odl_shape_t *shape, const float *g, const int8_t *ws8, const float *wf, float *dx, float *v, uint8_t pairs) {
  odl_shape_t flat = flattened(shape);
  const odl_shape_t *s = &flat;
  uint32_t per = (uint32_t)s->c / s->groups, each = (uint32_t)s->o / s->groups, k = (uint32_t)s->kh * s->kw * per;
  zero(dx, (uint32_t)s->n * s->h * s->w * s->c);
  for (uint32_t ky = 0; ky < s->kh; ky++)
    for (uint32_t kx = 0; kx < s->kw; kx++) {
      uint32_t tap = (ky * s->kw + kx) * per;
      if (s->groups == 1) {
        for (uint32_t c = 0; c < s->c; c += 4) {
          uint32_t cols = odl_min(4, s->c - c);
          if (ws8) {
            for (uint32_t o = 0; o < s->o; o++)
              for (uint32_t j = 0; j < cols; j++) v[4 * o + j] = (float)weight_s8(ws8, k, o, tap + c + j, pairs);
            dx_tap(s, g, dx, v, 4, ky, kx, c, cols);
          } else {
            dx_tap(s, g, dx, wf + tap + c, k, ky, kx, c, cols);
          }
        }
      } else if (odl_is_depthwise(s)) {
        for (uint32_t c = 0; c < s->c; c += 4) {
          float four[4] = {0.0f, 0.0f, 0.0f, 0.0f};
          uint32_t cols = odl_min(4, s->c - c);
          for (uint32_t j = 0; j < cols; j++) four[j] = ws8 ? (float)ws8[(c + j) * k + tap] : wf[(c + j) * k + tap];
          dx_depthwise_tap(s, g, dx, four, ky, kx, c, cols);
        }
      } else {
        for (uint32_t n = 0; n < s->n; n++)
          for (uint32_t ho = 0; ho < s->ho; ho++)
            for (uint32_t wo = 0; wo < s->wo; wo++)
              if (!odl_outside(s, ho, wo, ky, kx))
                for (uint32_t o = 0; o < s->o; o++) {
                  float gradient = g[((n * s->ho + ho) * s->wo + wo) * s->o + o];
                  float *to = dx + odl_pixel(s, n, ho, wo, ky, kx) * s->c + o / each * per;
                  for (uint32_t c = 0; c < per; c++) to[c] += gradient * (ws8 ? (float)ws8[o * k + tap + c] : wf[o * k + tap + c]);
                }
      }
    }
}

void odl_conv_dx_s8(const odl_shape_t *s, const float *g, const int8_t *w, float *dx, void *ws, uint8_t pairs) {
  conv_dx(s, g, w, (const float *)0, dx, (float *)ws, pairs);
}

void odl_conv_dx_f32(const odl_shape_t *s, const float *g, const float *w, float *dx, void *ws) {
  conv_dx(s, g, (const int8_t *)0, w, dx, (float *)ws, 0);
}

/* ---- weights ---- */

/* What the weight gradient reads: x (n, h, w, count) of s8 or f32. */
typedef struct {
  const odl_shape_t *s;
  const float *g;
  const int8_t *x8;
  const float *xf;
  int8_t zx;
  uint16_t count;
} reads_t;

static inline float value(const reads_t *r, uint32_t i) { return r->x8 ? (float)(r->x8[i] - r->zx) : r->xf[i]; }

/* v (positions from .. from + count - 1, 4): the columns k .. k + cols - 1 of the windows, +0 outside the map and behind the last column. */
static void fill_columns(const reads_t *r, uint32_t k, uint32_t cols, uint32_t from, uint32_t count, float *v) {
  const odl_shape_t *s = r->s;
  uint32_t line = from / s->wo, first = from % s->wo;
  for (uint32_t j = 0; j < 4; j++) {
    uint32_t tap = (k + j) / r->count, c = (k + j) % r->count, ky = tap / s->kw, kx = tap % s->kw;
    uint32_t wo = first, ho = line % s->ho, n = line / s->ho;
    int32_t top = (int32_t)ky - s->ph, left = (int32_t)kx - s->pw;
    float *to = v + j;
    for (uint32_t i = 0; i < count;) {                             /* the rest of one row of outputs */
      uint32_t end = odl_min(count, i + s->wo - wo);
      int32_t row = (int32_t)(ho * s->sh) + top, col = (int32_t)(wo * s->sw) + left;
      uint32_t at = ((n * s->h + (uint32_t)row) * s->w + (uint32_t)col) * r->count + c, step = (uint32_t)s->sw * r->count;
      int none = j >= cols || row < 0 || row >= s->h;
      for (; i < end; i++, to += 4, col += s->sw, at += step) *to = none || col < 0 || col >= s->w ? 0.0f : value(r, at);
      wo = 0;
      if (++ho == s->ho) ho = 0, n++;
    }
  }
}

/* The same of a pointwise convolution of int8 values, whose windows are its pixels. */
static void widen_columns(const reads_t *r, uint32_t k, uint32_t cols, uint32_t from, uint32_t count, float *v) {
  const int8_t *x = r->x8 + from * r->count + k;
  for (; count; count--, x += r->count, v += 4)
    for (uint32_t j = 0; j < 4; j++) v[j] = j < cols ? (float)(x[j] - r->zx) : 0.0f;
}

/* d (o, 4): the gradient of the columns k .. k + cols - 1, sums over all positions, ascending. v: scratch of ODL_POSITIONS rows. */
static void dw_columns(const reads_t *r, uint32_t k, uint32_t cols, float *d, float *v) {
  const odl_shape_t *s = r->s;
  uint32_t positions = (uint32_t)s->n * s->ho * s->wo;
  int pointwise = odl_is_pointwise(s), direct = pointwise && r->xf && cols == 4;      /* direct: the columns are read where they lie */
  zero(d, 4 * (uint32_t)s->o);
  for (uint32_t p = 0; p < positions; p += ODL_POSITIONS) {
    uint32_t count = odl_min(ODL_POSITIONS, positions - p), step = direct ? r->count : 4;
    const float *from = direct ? r->xf + p * r->count + k : v;
    if (pointwise && r->x8) widen_columns(r, k, cols, p, count, v);
    else if (!direct) fill_columns(r, k, cols, p, count, v);
    for (uint32_t o = 0; o < s->o; o += 4)
      odl_block_dw(d + 4 * o, r->g + p * s->o + o, s->o, from, step, count, odl_min(4, s->o - o));
  }
}

/* One weight of a convolution with groups: output o, tap (ky, kx), column j of x. */
static float dw_one(const reads_t *r, uint32_t o, uint32_t ky, uint32_t kx, uint32_t j) {
  const odl_shape_t *s = r->s;
  const float *g = r->g + o;
  float sum = 0.0f;
  for (uint32_t n = 0; n < s->n; n++)
    for (uint32_t ho = 0; ho < s->ho; ho++)
      for (uint32_t wo = 0; wo < s->wo; wo++, g += s->o)
        sum += *g * (odl_outside(s, ho, wo, ky, kx) ? 0.0f : value(r, odl_pixel(s, n, ho, wo, ky, kx) * r->count + j));
  return sum;
}

/* All of dw, given to `dw`, or, if that is NULL, to the update of w. */
static void conv_dw(const reads_t *r, const uint16_t *channels, float *dw, const odl_weight_t *w, const odl_rule_t *rule, float *ws) {
  const odl_shape_t *s = r->s;
  uint32_t kernel = (uint32_t)s->kh * s->kw;
  odl_learns_t learns = odl_learns(w, channels, r->count);
  if (s->groups == 1) {
    uint32_t k = kernel * r->count;
    float *d = ws, *v = ws + 4 * (uint32_t)s->o;
    for (uint32_t first = 0; first < k; first += 4) {
      uint32_t cols = odl_min(4, k - first);
      dw_columns(r, first, cols, d, v);
      if (dw) {
        float *to = dw + first;
        for (uint32_t o = s->o; o; o--, to += k, d += 4)
          for (uint32_t j = 0; j < cols; j++) to[j] = d[j];
        d = ws;
      } else {
        for (uint32_t j = 0; j < cols; j++)
          for (uint32_t o = 0, tap = (first + j) / r->count, col = (first + j) % r->count; o < s->o; o++)
            odl_update_at(w, &learns, rule, o, tap, col, d[4 * o + j]);
      }
    }
  } else {
    for (uint32_t i = 0, all = learns.rows * kernel * learns.cols; i < all; i++) {
      uint32_t row = i / learns.cols / kernel, tap = i / learns.cols % kernel, col = i % learns.cols;
      uint32_t o = odl_row(w, &learns, row, col), j = odl_column(w, &learns, row, col);
      float sum = dw_one(r, o, tap / s->kw, tap % s->kw, j);
      if (dw) dw[i] = sum;
      else odl_update_at(w, &learns, rule, row, tap, col, sum);
    }
  }
}

static odl_weight_t shape_of(const odl_shape_t *s) {
  odl_weight_t w = {(void *)0, ODL_F32, 0, s->o, (uint16_t)((uint16_t)s->kh * s->kw), (uint16_t)(s->c / s->groups), s->groups};
  return w;
}

static reads_t reading(const odl_shape_t *s, const float *g, const void *x, uint8_t is_s8, int8_t zx, uint16_t count) {
  reads_t r = {s, g, is_s8 ? (const int8_t *)x : (const int8_t *)0, is_s8 ? (const float *)0 : (const float *)x, zx, count};
  return r;
}

/* dw = sum over positions of g x', x' = x - zx or x, +0 outside the map. */
void odl_conv_dw(const odl_shape_t *s, const float *g, const void *x, uint8_t is_s8, int8_t zx, const uint16_t *channels, uint16_t count,
                 float *dw, void *ws) {
  reads_t r = reading(s, g, x, is_s8, zx, count);
  odl_weight_t w = shape_of(s);
  conv_dw(&r, channels, dw, &w, (const odl_rule_t *)0, (float *)ws);
}

/* odl_conv_dw and odl_update in one, 4 columns at a time: the gradient never is in memory as a whole. */
void odl_conv_dw_update(const odl_shape_t *s, const float *g, const void *x, uint8_t is_s8, int8_t zx, const uint16_t *channels,
                        uint16_t count, const odl_weight_t *w, const odl_rule_t *rule, void *ws) {
  reads_t r = reading(s, g, x, is_s8, zx, count);
  conv_dw(&r, channels, (float *)0, w, rule, (float *)ws);
}

/* Sum of column i of g (n, o), positions ascending. */
static float column_sum(uint32_t n, uint32_t o, const float *g, uint32_t i) {
  float sum = 0.0f;
  for (g += i; n; n--, g += o) sum += *g;
  return sum;
}

/* db (o) = sum of g (n, o) over its n positions. */
void odl_conv_db(uint32_t n, uint32_t o, const float *g, float *db) {
  for (uint32_t i = 0; i < o; i++) db[i] = column_sum(n, o, g, i);
}

void odl_conv_db_update(uint32_t n, uint32_t o, const float *g, const odl_weight_t *b, const odl_rule_t *rule) {
  odl_learns_t learns = odl_learns(b, (const uint16_t *)0, 1);
  for (uint32_t i = 0; i < o; i++) odl_update_at(b, &learns, rule, i, 0, 0, column_sum(n, o, g, i));
}
