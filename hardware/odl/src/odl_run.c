#include "odl_verify.h"

/* The executor: a table of ops, one call each. odl_open has verified everything that is read here. */

int odl_open(odl_t *t, const uint8_t *blob, uint32_t len, uint8_t *state, uint8_t *arena, uint32_t arena_len) {
  if (((uintptr_t)blob | (uintptr_t)state | (uintptr_t)arena) & 3u) return ODL_ERROR_ALIGNMENT;
  int error = odl_verify(t, blob, len, arena_len);
  if (error) return error;
  const odl_header_t *h = t->header;
  t->arena = arena;
  t->state = state ? state : (uint8_t *)(uintptr_t)(blob + h->state_at);
  if (state)
    for (uint32_t i = 0; i < h->state_bytes; i++) state[i] = blob[h->state_at + i];
  t->seed = h->seed;
  t->step = 0;
  return ODL_ERROR_NONE;
}

const odl_tensor_t *odl_tensor(const odl_t *t, uint16_t number) {
  return number < t->header->num_tensors ? t->tensors + number : (const odl_tensor_t *)0;
}

uint8_t *odl_data(const odl_t *t, uint16_t number) {
  const odl_tensor_t *x = odl_tensor(t, number);
  if (!x) return (uint8_t *)0;
  uint8_t *base = x->place == ODL_ARENA ? t->arena : x->place == ODL_STATE ? t->state : (uint8_t *)(uintptr_t)t->constants;
  return base + x->offset;
}

static uint32_t values(const odl_tensor_t *x) { return (uint32_t)x->dims[0] * x->dims[1] * x->dims[2] * x->dims[3]; }

/* Positions of a map: all but the channels. */
static uint32_t positions(const odl_tensor_t *x) { return (uint32_t)x->dims[0] * x->dims[1] * x->dims[2]; }

static odl_weight_t weight(const odl_op_t *op, const odl_tensor_t *w, void *data) {
  odl_weight_t r = {data, w->dtype, w->flags & ODL_PAIRS, w->dims[0], (uint16_t)((uint32_t)w->dims[1] * w->dims[2]), w->dims[3], op->groups};
  return r;
}

static void run(odl_t *t, const odl_op_t *op, float lr) {
  const odl_tensor_t *a[8];
  void *d[8];
  for (int i = 0; i < 8; i++) {
    a[i] = odl_tensor(t, op->t[i]);
    d[i] = odl_data(t, op->t[i]);
  }
  uint32_t n = values(a[0]);
  int8_t z0 = a[0]->zero, z1 = a[1] ? a[1]->zero : 0;
  int s8 = a[0]->dtype == ODL_S8;
  odl_rule_t rule = {lr, op->lo, (const float *)0, (float *)0, 0, t->header->rounding};
  odl_weight_t w;
  odl_shape_t s;
  switch (op->kind) {
    case ODL_CONV:                                                 /* x, w, b?, m?, y, mask?, ws? */
      s = odl_shape(op, a[0], a[4]);
      if (s8) odl_conv_s8(&s, d[0], d[1], d[2], d[3], d[4], d[5], d[6], z0, a[4]->zero, a[1]->flags & ODL_PAIRS);
      else odl_conv_f32(&s, d[0], d[1], d[2], d[4], d[5], d[6], op->lo, op->hi);
      break;
    case ODL_ADD:                                                  /* a, b, y, mask? */
      if (s8) odl_add_s8(n, d[0], d[1], d[2], d[3], z0, z1, a[2]->zero, op->lo, op->hi);
      else odl_add_f32(n, d[0], d[1], d[2], d[3], op->lo, op->hi);
      break;
    case ODL_AVG_POOL:                                             /* x, y */
      s = odl_shape(op, a[0], a[1]);
      if (s8) odl_avg_pool_s8(&s, d[0], d[1], z0);
      else odl_avg_pool_f32(&s, d[0], d[1]);
      break;
    case ODL_MAX_POOL:                                             /* x, y, place? */
      s = odl_shape(op, a[0], a[1]);
      if (s8) odl_max_pool_s8(&s, d[0], d[1], d[2]);
      else odl_max_pool_f32(&s, d[0], d[1], d[2]);
      break;
    case ODL_RELU:                                                 /* x, y, mask? */
      if (s8) odl_relu_s8(n, d[0], d[1], d[2], z0, z1, op->lo);
      else odl_relu_f32(n, d[0], d[1], d[2], op->lo, op->hi);
      break;
    case ODL_DEQUANTIZE:                                           /* x, y */
      odl_dequantize(n, d[0], d[1], z0, a[0]->scale);
      break;
    case ODL_LOSS:                                                 /* logits, labels, dlogits?, loss */
      odl_loss(a[0]->dims[0], a[0]->dims[3], d[0], d[1], d[2], d[3]);
      break;
    case ODL_SCALE_GRAD:                                           /* gy, mask?, m?, g */
      odl_scale_grad(n, a[0]->dims[3], d[0], d[1], d[2], op->lo, d[3]);
      break;
    case ODL_CONV_DX:                                              /* g, w, dx, ws? */
      s = odl_shape(op, a[2], a[0]);
      if (a[1]->dtype == ODL_S8) odl_conv_dx_s8(&s, d[0], d[1], d[2], d[3], a[1]->flags & ODL_PAIRS);
      else odl_conv_dx_f32(&s, d[0], d[1], d[2], d[3]);
      break;
    case ODL_CONV_DW:                                              /* g, x, channels?, dw, ws? */
      s = odl_shape(op, a[1], a[0]);
      if (a[2] && op->groups > 1) s.c = (uint16_t)((uint32_t)op->hi * op->groups);      /* hi: C/groups */
      odl_conv_dw(&s, d[0], d[1], a[1]->dtype == ODL_S8, z1, d[2], a[1]->dims[3], d[3], d[4]);
      break;
    case ODL_CONV_DB:                                              /* g, db */
      odl_conv_db(positions(a[0]), a[0]->dims[3], d[0], d[1]);
      break;
    case ODL_UPDATE:                                               /* w, grad, r?, channels?, velocity? */
      w = weight(op, a[0], d[0]);
      rule.r = d[2], rule.velocity = d[4], rule.key = odl_key(t->seed, t->step, op->t[0]);
      odl_update(&w, d[1], d[3], a[3] ? a[3]->dims[0] : 0, &rule);
      break;
    case ODL_CONV_DW_UPDATE:                                       /* g, x, channels?, w, r?, velocity?, ws? */
      s = odl_shape(op, a[1], a[0]);
      w = weight(op, a[3], d[3]);
      rule.r = d[4], rule.velocity = d[5], rule.key = odl_key(t->seed, t->step, op->t[3]);
      odl_conv_dw_update(&s, d[0], d[1], a[1]->dtype == ODL_S8, z1, d[2], a[1]->dims[3], &w, &rule, d[6]);
      break;
    case ODL_CONV_DB_UPDATE:                                       /* g, b, r?, velocity? */
      w = weight(op, a[1], d[1]);
      rule.r = d[2], rule.velocity = d[3], rule.key = odl_key(t->seed, t->step, op->t[1]);
      odl_conv_db_update(positions(a[0]), a[0]->dims[3], d[0], &w, &rule);
      break;
    case ODL_AVG_POOL_DX:                                          /* g, dx */
      s = odl_shape(op, a[1], a[0]);
      odl_avg_pool_dx(&s, d[0], d[1]);
      break;
    case ODL_MAX_POOL_DX:                                          /* g, place, dx */
      s = odl_shape(op, a[2], a[0]);
      odl_max_pool_dx(&s, d[0], d[1], d[2]);
      break;
    case ODL_ACCUMULATE:                                           /* a, b */
      odl_accumulate(n, d[0], d[1]);
      break;
    default:                                                       /* ODL_GATHER: x, channels, y */
      odl_gather(positions(a[0]), a[0]->dims[3], d[0], a[1]->dims[0], d[1], d[2], (uint8_t)s8);
  }
}

void odl_forward(odl_t *t) {
  for (uint16_t i = 0; i < t->header->num_forward; i++) run(t, t->ops + i, 0.0f);
}

float odl_step(odl_t *t, float lr) {
  odl_bits_t nan;
  nan.u = 0x7FC00000u;
  for (uint16_t i = 0; i < t->header->num_ops; i++) run(t, t->ops + i, lr);
  t->step++;
  return t->header->loss == ODL_NONE ? nan.f : *(const float *)(const void *)odl_data(t, t->header->loss);
}
