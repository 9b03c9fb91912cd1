/* Which weights learn, and how one of them is stored. Not for users of the library. */
#ifndef ODL_UPDATE_H
#define ODL_UPDATE_H

#include "odl_math.h"

/* The gradient of a weight tensor is (rows, kernel, cols): shaped like w, or, for chosen channels, only of those who read them. */
typedef struct {
  const uint16_t *channels;                                        /* NULL: all */
  uint32_t rows, cols;
  int depthwise;
} odl_learns_t;

static inline odl_learns_t odl_learns(const odl_weight_t *w, const uint16_t *channels, uint16_t count) {
  odl_learns_t r = {channels, w->rows, w->per, w->groups > 1 && w->groups == w->rows && w->per == 1};
  if (channels) {
    r.rows = r.depthwise ? count : (uint32_t)w->rows / w->groups;
    r.cols = r.depthwise ? 1 : count;
  }
  return r;
}

/* The row of w, an output, that (row, col) of the gradient means. */
static inline uint32_t odl_row(const odl_weight_t *w, const odl_learns_t *l, uint32_t row, uint32_t col) {
  if (!l->channels) return row;
  return l->depthwise ? l->channels[row] : (uint32_t)l->channels[col] / w->per * ((uint32_t)w->rows / w->groups) + row;
}

/* The column of x, as saved, that (row, col) of the gradient reads. */
static inline uint32_t odl_column(const odl_weight_t *w, const odl_learns_t *l, uint32_t row, uint32_t col) {
  if (l->channels) return l->depthwise ? row : col;
  return row / ((uint32_t)w->rows / w->groups) * w->per + col;
}

/* Where value (row, col) of an s8 matrix (o, k) lies that is stored in row pairs. */
static inline uint32_t odl_pairs_index(uint32_t k, uint32_t row, uint32_t col) {
  return (row & ~1u) * k + (col >> 2) * 8 + (row & 1u) * 4 + (col & 3u);
}

/* Update the weight that entry (row, tap, col) of the gradient means. */
void odl_update_at(const odl_weight_t *w, const odl_learns_t *l, const odl_rule_t *rule, uint32_t row, uint32_t tap, uint32_t col, float grad);

#endif
