#include "odl_block.h"
#include "odl_workspace.h"

/* The strip of channel c that the output rows from ho on need, minus the zero point, with zeros around the map. */
static ODL_ALONE void widen_plane(const odl_shape_t *s, const odl_plane_t *plane, const int8_t *x, uint32_t ho, uint32_t rows, int8_t zx,
                                  int16_t *to) {
  int32_t top = (int32_t)(ho * s->sh) - s->ph;
  uint32_t c = s->c, w = s->w, pw = s->pw, right = plane->width - pw - w;
  for (uint32_t r = 0; r < rows; r++) {
    int32_t row = top + (int32_t)r;
    if (row < 0 || row >= s->h) {
      for (uint32_t i = plane->width; i; i--) *to++ = 0;
      continue;
    }
    const int8_t *from = x + (uint32_t)row * w * c;
    uint32_t i = w;
    for (uint32_t j = pw; j; j--) *to++ = 0;
    for (; i >= 4; i -= 4, from += 4 * c, to += 4) {
      int16_t v0 = (int16_t)(from[0] - zx), v1 = (int16_t)(from[c] - zx), v2 = (int16_t)(from[2 * c] - zx), v3 = (int16_t)(from[3 * c] - zx);
      to[0] = v0, to[1] = v1, to[2] = v2, to[3] = v3;
    }
    for (; i; i--, from += c) *to++ = (int16_t)(*from - zx);
    for (uint32_t j = right; j; j--) *to++ = 0;
  }
}

/* One row of one channel, requantized, `step` values apart, without a mask. Returns how far that reaches. */
static ODL_ALONE uint32_t store_row(const int32_t *sums, uint32_t wo, int32_t bias, float m, int8_t *y, uint32_t step, int32_t zy) {
  const int32_t *end = sums + (wo & ~1u);
  for (; sums != end; sums += 2) {
    float v0 = (float)odl_wrap(sums[0], bias) * m, v1 = (float)odl_wrap(sums[1], bias) * m;
    *y = odl_clamp_s8(odl_requantize(v0, zy)), y += step;
    *y = odl_clamp_s8(odl_requantize(v1, zy)), y += step;
  }
  if (wo & 1u) *y = odl_clamp_s8(odl_requantize((float)odl_wrap(*sums, bias) * m, zy));
  return wo * step;
}

/* As odl_conv_s8, each channel by itself: w (c, kh, kw). One channel at a time is brought into a plane of int16, strip by strip. */
void odl_conv_depthwise_s8(const odl_shape_t *s, const int8_t *x, const int8_t *w, const int32_t *b, const float *m, int8_t *y,
                           uint8_t *mask, void *ws, int8_t zx, int8_t zy) {
  odl_plane_t plane = odl_plane(s);
  int16_t *taps = (int16_t *)ws, *map = taps + plane.taps + 2 * plane.sums;
  int32_t *sums = (int32_t *)(void *)(taps + plane.taps);
  map[plane.width * plane.rows] = map[plane.width * plane.rows + 1] = 0;           /* read across the end, times a tap of 0 */
  for (uint32_t n = 0; n < s->n; n++, x += (uint32_t)s->h * s->w * s->c)
    for (uint32_t ho = 0; ho < s->ho; ho += plane.strip) {
      uint32_t strip = odl_min(plane.strip, s->ho - ho);
      for (uint32_t c = 0; c < s->c; c++) {
        const int8_t *tap = w + c * s->kh * s->kw;
        int32_t bias = b ? b[c] : 0;
        int16_t *to = taps;
        for (uint32_t ky = 0; ky < s->kh; ky++) {
          for (uint32_t kx = 0; kx < s->kw; kx++) *to++ = *tap++;
          if (s->kw & 1u) *to++ = 0;
        }
        widen_plane(s, &plane, x + c, ho, (strip - 1) * s->sh + s->kh, zx, map);
        uint32_t i = ((n * s->ho + ho) * s->wo) * s->c + c;
        for (uint32_t r = 0; r < strip; r++) {
          odl_dot_plane(map + r * s->sh * plane.width, plane.width, taps, s, sums);
          if (mask) {
            for (uint32_t wo = 0; wo < s->wo; wo++, i += s->c) odl_store_s8(y, mask, i, (float)odl_wrap(sums[wo], bias) * m[c], zy);
          } else {
            i += store_row(sums, s->wo, bias, m[c], y + i, s->c, zy);
          }
        }
      }
    }
}
