#include "odl_update.h"

/* A number from 0 to 1, below 1, for entry i of a tensor with this key. */
static float uniform(uint32_t key, uint32_t i) { return (float)(odl_mix(key + i) >> 8) * 5.9604644775390625e-8f; }

static int32_t floor_s32(float v) {
  int32_t r = odl_rint(v);
  return (float)r > v ? odl_add_saturating(r, -1) : r;
}

/* What is stored of q: the nearest integer, half to even, or q + u rounded down; at most +-most. */
static int32_t stored(float q, const odl_rule_t *rule, uint32_t i, int32_t most) {
  int32_t r = rule->rounding == ODL_STOCHASTIC ? floor_s32(q + uniform(rule->key, i)) : odl_rint(q);
  return r < -most ? -most : r > most ? most : r;
}

/* gq = grad r[o];  v = momentum v + gq, gq = v, if there is a velocity;  w = w - lr gq, stored as the dtype allows: s8 within +-127,
 * s32 within +-2^23, so that sums stay exact. */
void odl_update_at(const odl_weight_t *w, const odl_learns_t *l, const odl_rule_t *rule, uint32_t row, uint32_t tap, uint32_t col, float grad) {
  uint32_t i = (row * w->kernel + tap) * l->cols + col, o = odl_row(w, l, row, col);
  uint32_t k = (uint32_t)w->kernel * w->per, per = !l->channels ? col : l->depthwise ? 0 : l->channels[col] % w->per;
  uint32_t column = tap * w->per + per, at = o * k + column;
  float gq = rule->r ? grad * rule->r[o] : grad;
  if (rule->velocity) gq = rule->velocity[i] = rule->momentum * rule->velocity[i] + gq;
  float step = rule->lr * gq;
  if (w->dtype == ODL_F32) {
    float *to = (float *)w->data + at;
    *to = *to - step;
  } else if (w->dtype == ODL_S32) {
    int32_t *to = (int32_t *)w->data + at;
    *to = stored((float)*to - step, rule, at, 8388608);
  } else {
    int8_t *to = (int8_t *)w->data + (w->pairs ? odl_pairs_index(k, o, column) : at);
    *to = (int8_t)stored((float)*to - step, rule, at, 127);
  }
}

void odl_update(const odl_weight_t *w, const float *grad, const uint16_t *channels, uint16_t count, const odl_rule_t *rule) {
  odl_learns_t learns = odl_learns(w, channels, count);
  for (uint32_t row = 0; row < learns.rows; row++)
    for (uint32_t tap = 0; tap < w->kernel; tap++)
      for (uint32_t col = 0; col < learns.cols; col++) odl_update_at(w, &learns, rule, row, tap, col, *grad++);
}
