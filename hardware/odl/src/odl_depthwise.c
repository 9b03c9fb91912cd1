#include "odl_block.h"
#include "odl_workspace.h"

/* The strip of channel c that the output rows from ho on need, minus the zero point, with zeros around the map. */
static void widen_plane(const odl_shape_t *s, const odl_plane_t *plane, const int8_t *x, uint32_t ho, uint32_t rows, int8_t zx, int16_t *to) {
  int32_t top = (int32_t)(ho * s->sh) - s->ph;
  for (uint32_t r = 0; r < rows; r++, to += plane->width) {
    int32_t row = top + (int32_t)r;
    int inside = row >= 0 && row < s->h;
    uint32_t i = 0, end = s->pw + (inside ? s->w : 0u);
    const int8_t *from = x + (inside ? (uint32_t)row * s->w * s->c : 0);
    while (i < s->pw) to[i++] = 0;
    for (; i < end; i++, from += s->c) to[i] = (int16_t)(*from - zx);
    while (i < plane->width) to[i++] = 0;
  }
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
        int16_t *to = taps;
        for (uint32_t ky = 0; ky < s->kh; ky++) {
          for (uint32_t kx = 0; kx < s->kw; kx++) *to++ = *tap++;
          if (s->kw & 1u) *to++ = 0;
        }
        widen_plane(s, &plane, x + c, ho, (strip - 1) * s->sh + s->kh, zx, map);
        uint32_t i = ((n * s->ho + ho) * s->wo) * s->c + c;
        for (uint32_t r = 0; r < strip; r++) {
          odl_dot_plane(map + r * s->sh * plane.width, plane.width, taps, s, sums);
          for (uint32_t wo = 0; wo < s->wo; wo++, i += s->c)
            odl_store_s8(y, mask, i, (float)odl_wrap(sums[wo], b ? b[c] : 0) * m[c], zy);
        }
      }
    }
}
