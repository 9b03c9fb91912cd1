/* How the kernels cut the scratch that a Program gives them. odl_kit/engine/workspace.py has the same sizes. Not for users of the library. */
#ifndef ODL_WORKSPACE_H
#define ODL_WORKSPACE_H

#include "odl_math.h"

enum { ODL_CHUNK = 4096,                                           /* bytes of weights packed, or of a plane widened, at once */
       ODL_POSITIONS = 64 };                                       /* positions widened at once for a weight gradient */

/* K, rounded up to what a block of SIMD takes. */
static inline uint32_t odl_padded(uint32_t k) { return (k + 7u) & ~7u; }

/* Rows of w that are packed at once, where w does not lie in pairs: even, at least 2. */
static inline uint32_t odl_packed_rows(uint32_t o, uint32_t kp) {
  return odl_min((o + 1u) & ~1u, odl_max(2, (ODL_CHUNK / kp) & ~1u));
}

/* wide: 2 positions, int16. window: one position, s8; NULL if x can be read as it lies. packed: rows of w. */
typedef struct {
  int16_t *wide;
  uint8_t *window;
  int8_t *packed;
} odl_scratch_t;

static inline odl_scratch_t odl_conv_scratch(const odl_shape_t *s, void *ws) {
  uint32_t kp = odl_padded((uint32_t)s->kh * s->kw * s->c);
  int direct = odl_is_pointwise(s) && s->c % 8 == 0;
  odl_scratch_t r;
  r.wide = (int16_t *)ws;
  r.window = direct ? (uint8_t *)0 : (uint8_t *)ws + 4 * kp;
  r.packed = (int8_t *)ws + 4 * kp + (direct ? 0 : kp);
  return r;
}

/* Depthwise: taps, kh rows of an even number of int16; sums, int32, of one row of outputs; plane: `rows` rows of `width` int16, one channel
 * with its frame of padding, for a strip of output rows. */
typedef struct {
  uint32_t taps, sums, width, rows, strip;                         /* taps: int16 in all; sums: how many; strip: output rows */
} odl_plane_t;

static inline odl_plane_t odl_plane(const odl_shape_t *s) {
  odl_plane_t r;
  r.taps = (uint32_t)s->kh * ((s->kw + 1u) & ~1u);
  r.sums = (s->wo + 1u) & ~1u;
  r.width = ((uint32_t)s->w + 2u * s->pw + 1u) & ~1u;
  uint32_t fit = ODL_CHUNK / (2 * r.width), more = fit > s->kh ? (fit - s->kh) / s->sh : 0;
  r.strip = odl_min(s->ho, more + 1);
  r.rows = (r.strip - 1) * s->sh + s->kh;
  return r;
}

static inline uint32_t odl_conv_bytes(const odl_shape_t *s, uint8_t dtype, int pairs) {
  uint32_t k = (uint32_t)s->kh * s->kw * s->c, kp = odl_padded(k);
  if (dtype == ODL_F32) return s->groups > 1 || odl_is_pointwise(s) ? 0 : 4 * k;
  if (odl_is_depthwise(s)) {
    odl_plane_t plane = odl_plane(s);
    return 2 * plane.taps + 4 * plane.sums + 2 * plane.width * plane.rows + 4;      /* 4: a word is read across the end */
  }
  if (s->groups > 1) return 0;
  return 4 * kp + (odl_is_pointwise(s) && s->c % 8 == 0 ? 0 : kp) + (pairs ? 0 : odl_packed_rows(s->o, kp) * kp);
}

static inline uint32_t odl_conv_dx_bytes(const odl_shape_t *s, uint8_t dtype) {
  return s->groups > 1 || dtype == ODL_F32 ? 0 : 16 * (uint32_t)s->o;
}

static inline uint32_t odl_conv_dw_bytes(const odl_shape_t *s) {
  uint32_t positions = (uint32_t)s->n * s->ho * s->wo;
  return s->groups > 1 ? 0 : 16 * (odl_min(positions, ODL_POSITIONS) + s->o);
}

#endif
