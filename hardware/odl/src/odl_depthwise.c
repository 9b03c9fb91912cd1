#include "odl_block.h"
#include "odl_workspace.h"

/* Depthwise convolutions of int8. One channel at a time is brought into a plane of int16 with a frame of zeros, strip by strip, so that its
 * taps meet pixels that lie side by side. */

/* The rows of the map that the strip sees: first is the row of the plane, count of them from row `from` of the map on. */
typedef struct { uint32_t first, from, count; } seen_t;

static seen_t seen(const odl_shape_t *s, uint32_t ho, uint32_t rows) {
  uint32_t top = ho * s->sh, first = top < s->ph ? odl_min(s->ph - top, rows) : 0, from = top + first - s->ph;
  seen_t r = {first, from, from < s->h ? odl_min(rows - first, s->h - from) : 0};
  return r;
}

/* The taps of a channel as int16, each row of them filled up to an even number. */
static void widen_taps(const odl_shape_t *s, const int8_t *w, int16_t *to) {
  for (uint32_t ky = 0; ky < s->kh; ky++) {
    for (uint32_t kx = 0; kx < s->kw; kx++) *to++ = *w++;
    if (s->kw & 1u) *to++ = 0;
  }
}

/* As odl_conv_s8, each channel by itself: w (c, kh, kw). */
void odl_conv_depthwise_s8(const odl_shape_t *s, const int8_t *x, const int8_t *w, const int32_t *b, const float *m, int8_t *y,
                           uint8_t *mask, void *ws, int8_t zx, int8_t zy) {
  odl_plane_t plane = odl_plane(s);
  int16_t *taps = (int16_t *)ws, *map = taps + plane.taps + 2 * plane.sums;
  int32_t *sums = (int32_t *)(void *)(taps + plane.taps);
  for (uint32_t n = 0; n < s->n; n++, x += (uint32_t)s->h * s->w * s->c)
    for (uint32_t ho = 0; ho < s->ho; ho += plane.strip) {
      uint32_t strip = odl_min(plane.strip, s->ho - ho);
      seen_t rows = seen(s, ho, (strip - 1) * s->sh + s->kh);
      /* The frame stays 0 for all channels; so do two values behind it, which are read across the end, times a tap of 0. */
      for (uint32_t i = 0; i < plane.width * plane.rows + 2; i++) map[i] = 0;
      for (uint32_t c = 0; c < s->c; c++) {
        widen_taps(s, w + c * s->kh * s->kw, taps);
        for (uint32_t r = 0; r < rows.count; r++)
          odl_widen_row(map + (rows.first + r) * plane.width + s->pw, x + (rows.from + r) * s->w * s->c + c, s->c, s->w, zx);
        uint32_t i = (n * s->ho + ho) * s->wo * s->c + c;
        for (uint32_t r = 0; r < strip; r++) {
          odl_dot_plane(map + r * s->sh * plane.width, plane.width, taps, s, b ? b[c] : 0, sums);
          if (!mask) odl_store_row(sums, s->wo, m[c], y + i, s->c, zy);
          for (uint32_t wo = 0; mask && wo < s->wo; wo++) odl_store_s8(y, mask, i + wo * s->c, (float)sums[wo] * m[c], zy);
          i += (uint32_t)s->wo * s->c;
        }
      }
    }
}
