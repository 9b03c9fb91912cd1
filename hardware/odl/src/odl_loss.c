#include "odl_math.h"

static float greatest(uint32_t c, const float *l) {
  float m = l[0];
  for (uint32_t i = 1; i < c; i++)
    if (l[i] > m) m = l[i];
  return m;
}

static float sum_exp(uint32_t c, const float *l, float m) {
  float s = 0.0f;
  for (uint32_t i = 0; i < c; i++) s += odl_exp(l[i] - m);
  return s;
}

/* log(sum) - (l[label] - m); NaN for a label that is no class. */
static float row_loss(uint32_t c, const float *l, int32_t label, float m, float s) {
  odl_bits_t nan;
  nan.u = 0x7FC00000u;
  if (label < 0 || (uint32_t)label >= c) return nan.f;
  return odl_log(s) - (l[label] - m);
}

/* Softmax cross-entropy: logits (n, c) f32, labels (n) s32, dlogits (n, c) f32 or NULL, loss (1) f32, the mean over n.
 * M = max l;  s = sum exp(l - M);  loss_n = log(s) - (l[y] - M);  dlogits = (exp(l - M) / s - (c == y)) / n. */
void odl_loss(uint32_t n, uint32_t c, const float *logits, const int32_t *labels, float *dlogits, float *loss) {
  float total = 0.0f, share = 1.0f / (float)n;
  for (uint32_t i = 0; i < n; i++, logits += c) {
    float m = greatest(c, logits), s = sum_exp(c, logits, m);
    total += row_loss(c, logits, labels[i], m, s);
    if (dlogits)
      for (uint32_t j = 0; j < c; j++) *dlogits++ = (odl_exp(logits[j] - m) / s - ((int32_t)j == labels[i] ? 1.0f : 0.0f)) * share;
  }
  *loss = total * share;
}

uint32_t odl_score(const odl_t *t, uint32_t count, float *loss_sum) {
  uint32_t right = 0, c = odl_tensor(t, t->header->logits)->dims[3];
  const float *l = (const float *)(const void *)odl_data(t, t->header->logits);
  const int32_t *labels = (const int32_t *)(const void *)odl_data(t, t->header->labels);
  for (uint32_t i = 0; i < count && i < t->header->batch; i++, l += c) {
    uint32_t best = 0;
    for (uint32_t j = 1; j < c; j++)
      if (l[j] > l[best]) best = j;
    right += (int32_t)best == labels[i];
    *loss_sum += row_loss(c, l, labels[i], l[best], sum_exp(c, l, l[best]));
  }
  return right;
}
