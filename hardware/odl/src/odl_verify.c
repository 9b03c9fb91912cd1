#include "odl_verify.h"
#include "odl_workspace.h"

/* The verifier: whatever the bytes are, a Program that passes reads and writes only its own tensors, inside the memory that it was given.
 * Whether it computes anything sensible is not asked. Everything that a kernel relies on is checked here, once, and not while it runs. */

enum { MOST = 1L << 28 };                                          /* values in a tensor: sums of sizes stay far from 2^32 */

const char *odl_error_name(int error) {
  static const char *const names[ODL_ERRORS] = {
      "ok", "alignment: blob, state and arena must begin at multiples of 4", "length: the blob is cut off", "magic: this is no Program",
      "version: this Program needs another version of the library", "crc: the blob is damaged", "header: its parts do not fit into it",
      "tensor: a row of the tensor table is impossible", "arena: too little memory", "ends: input, labels, logits or loss are not as they must be",
      "kind: an unknown operation", "operand: one is missing, superfluous or not there", "dtype: an operand has the wrong type",
      "place: an operation writes where it must not", "shape: operands do not fit together", "channel: one is not there",
      "sum: an int32 sum could overflow", "workspace: an operation has too little scratch"};
  return error >= 0 && error < ODL_ERRORS ? names[error] : "unknown error";
}

/* Does [offset, offset + bytes) lie inside `size` bytes? */
static int fits(uint32_t offset, uint32_t bytes, uint32_t size) { return offset <= size && bytes <= size - offset; }

static int check_header(const odl_header_t *h, uint32_t len) {
  if (h->magic != 0x504C444Fu) return ODL_ERROR_MAGIC;
  if (h->version != 1) return ODL_ERROR_VERSION;
  if (h->blob_bytes < sizeof *h || h->blob_bytes > len) return ODL_ERROR_LENGTH;
  if (odl_crc32(0, (const uint8_t *)h + 16, h->blob_bytes - 16) != h->crc32) return ODL_ERROR_CRC;
  int aligned = !((h->tensors_at | h->ops_at | h->const_at | h->state_at | h->arena_bytes) & 3u);
  int ordered = h->tensors_at >= sizeof *h && fits(h->tensors_at, h->num_tensors * (uint32_t)sizeof(odl_tensor_t), h->ops_at) &&
                fits(h->ops_at, h->num_ops * (uint32_t)sizeof(odl_op_t), h->const_at) && h->const_at <= h->state_at &&
                h->state_at <= h->blob_bytes && h->state_bytes == h->blob_bytes - h->state_at;
  int known = h->num_forward <= h->num_ops && h->precision <= 1 && h->rounding <= ODL_STOCHASTIC && h->batch;
  return aligned && ordered && known ? ODL_ERROR_NONE : ODL_ERROR_HEADER;
}

/* Number of values of a tensor, 0 if it is impossible. */
static uint32_t values(const odl_tensor_t *x) {
  uint32_t n = 1;
  for (int i = 0; i < 4; i++) {
    if (!x->dims[i] || n > (uint32_t)MOST / x->dims[i]) return 0;
    n *= x->dims[i];
  }
  return n;
}

static int check_tensor(const odl_header_t *h, const odl_tensor_t *x) {
  static const uint8_t width[] = {1, 4, 4, 0, 1, 2};
  uint32_t n = values(x), room[3] = {h->arena_bytes, h->state_at - h->const_at, h->state_bytes};
  if (!n || x->dtype > ODL_U16 || x->place > ODL_STATE || x->flags & ~ODL_PAIRS || x->offset & 3u) return ODL_ERROR_TENSOR;
  if (x->nbytes != (x->dtype == ODL_BITS ? (n + 7) / 8 : n * width[x->dtype])) return ODL_ERROR_TENSOR;
  if (x->flags && (x->dtype != ODL_S8 || x->dims[0] % 2 || n / x->dims[0] % 8)) return ODL_ERROR_TENSOR;
  return fits(x->offset, x->nbytes, room[x->place]) ? ODL_ERROR_NONE : ODL_ERROR_TENSOR;
}

/* ---- operands: what each kind of op takes, in the order of odl_run.c ---- */

enum { S8 = 1 << ODL_S8, S32 = 1 << ODL_S32, F32 = 1 << ODL_F32, BITS = 1 << ODL_BITS, U8 = 1 << ODL_U8, U16 = 1 << ODL_U16, ANY = 63,
       MAYBE = 64, WRITTEN = 128, LEARNS = 256, FIXED = 512, PAIRS = 1024 };   /* written in the arena, written in the state, const */

static const uint16_t takes[ODL_KINDS][8] = {
    [ODL_CONV] = {S8 | F32, S8 | F32 | PAIRS, S32 | F32 | MAYBE, F32 | MAYBE, S8 | F32 | WRITTEN, BITS | MAYBE | WRITTEN, ANY | MAYBE | WRITTEN},
    [ODL_ADD] = {S8 | F32, S8 | F32, S8 | F32 | WRITTEN, BITS | MAYBE | WRITTEN},
    [ODL_AVG_POOL] = {S8 | F32, S8 | F32 | WRITTEN},
    [ODL_MAX_POOL] = {S8 | F32, S8 | F32 | WRITTEN, U8 | MAYBE | WRITTEN},
    [ODL_RELU] = {S8 | F32, S8 | F32 | WRITTEN, BITS | MAYBE | WRITTEN},
    [ODL_DEQUANTIZE] = {S8, F32 | WRITTEN},
    [ODL_LOSS] = {F32, S32, F32 | MAYBE | WRITTEN, F32 | WRITTEN},
    [ODL_SCALE_GRAD] = {F32, BITS | MAYBE, F32 | MAYBE, F32 | WRITTEN},
    [ODL_CONV_DX] = {F32, S8 | F32 | PAIRS, F32 | WRITTEN, ANY | MAYBE | WRITTEN},
    [ODL_CONV_DW] = {F32, S8 | F32, U16 | MAYBE | FIXED, F32 | WRITTEN, ANY | MAYBE | WRITTEN},
    [ODL_CONV_DB] = {F32, F32 | WRITTEN},
    [ODL_UPDATE] = {S8 | S32 | F32 | PAIRS | LEARNS, F32, F32 | MAYBE, U16 | MAYBE | FIXED, F32 | MAYBE | LEARNS},
    [ODL_CONV_DW_UPDATE] = {F32, S8 | F32, U16 | MAYBE | FIXED, S8 | F32 | PAIRS | LEARNS, F32 | MAYBE, F32 | MAYBE | LEARNS, ANY | MAYBE | WRITTEN},
    [ODL_CONV_DB_UPDATE] = {F32, S32 | F32 | LEARNS, F32 | MAYBE, F32 | MAYBE | LEARNS},
    [ODL_AVG_POOL_DX] = {F32, F32 | WRITTEN},
    [ODL_MAX_POOL_DX] = {F32, U8, F32 | WRITTEN},
    [ODL_ACCUMULATE] = {F32 | WRITTEN, F32},
    [ODL_GATHER] = {S8 | F32, U16 | FIXED, S8 | F32 | WRITTEN}};

static int check_operands(const odl_t *t, const odl_op_t *op) {
  if (!op->kind || op->kind >= ODL_KINDS) return ODL_ERROR_KIND;
  for (int i = 0; i < 8; i++) {
    uint16_t wants = takes[op->kind][i];
    if (op->t[i] == ODL_NONE) {
      if (wants && !(wants & MAYBE)) return ODL_ERROR_OPERAND;
      continue;
    }
    if (!wants || op->t[i] >= t->header->num_tensors) return ODL_ERROR_OPERAND;
    const odl_tensor_t *x = t->tensors + op->t[i];
    if (!(wants & (1u << x->dtype)) || (x->flags && !(wants & PAIRS))) return ODL_ERROR_DTYPE;
    if (wants & WRITTEN && x->place != ODL_ARENA) return ODL_ERROR_PLACE;
    if (wants & LEARNS && x->place != ODL_STATE) return ODL_ERROR_PLACE;
    if (wants & FIXED && x->place != ODL_CONST) return ODL_ERROR_PLACE;
  }
  return ODL_ERROR_NONE;
}

/* ---- shapes ---- */

typedef const odl_tensor_t *row_t;                                 /* a row of the tensor table, NULL: no operand */

static int is(row_t x, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return x->dims[0] == a && x->dims[1] == b && x->dims[2] == c && x->dims[3] == d;
}

static int alike(row_t a, row_t b) { return is(a, b->dims[0], b->dims[1], b->dims[2], b->dims[3]); }
static int maybe_alike(row_t a, row_t b) { return !a || alike(a, b); }
static int maybe_vector(row_t x, uint32_t n) { return !x || is(x, n, 1, 1, 1); }
static int same_type(row_t a, row_t b) { return a->dtype == b->dtype; }

/* Is `out` what a window of this op makes of `size`? */
static int slides(uint32_t size, uint32_t out, uint32_t k, uint32_t stride, uint32_t pad) {
  return k && stride && size + 2 * pad >= k && out == (size + 2 * pad - k) / stride + 1;
}

/* Do map x and map y fit to the op's window? */
static int windows(const odl_op_t *op, row_t x, row_t y) {
  return x->dims[0] == y->dims[0] && slides(x->dims[1], y->dims[1], op->kh, op->sh, op->ph) &&
         slides(x->dims[2], y->dims[2], op->kw, op->sw, op->pw);
}

static int pools(const odl_op_t *op, row_t x, row_t y) {
  return windows(op, x, y) && x->dims[3] == y->dims[3] && op->ph < op->kh && op->pw < op->kw;      /* no window lies outside the map */
}

/* Do o outputs, c inputs and the weights w fit to the op? */
static int convolves(const odl_op_t *op, row_t w, uint32_t c, uint32_t o) {
  uint32_t groups = op->groups;
  return groups && c % groups == 0 && o % groups == 0 && is(w, o, op->kh, op->kw, c / groups) && !(w->flags && groups > 1);
}

/* The dims of the gradient of w, (rows, kh, kw, per), for all its weights or those that read the channels. */
static int gradient_fits(row_t grad, uint32_t rows, uint32_t per, uint32_t kh, uint32_t kw, uint32_t groups, row_t channels) {
  if (!groups || rows % groups) return 0;
  if (!channels) return is(grad, rows, kh, kw, per);
  if (groups > 1 && groups == rows && per == 1) return is(grad, channels->dims[0], kh, kw, 1);
  return is(grad, rows / groups, kh, kw, channels->dims[0]);
}

/* Are the channels (n, 1, 1, 1), each of them below c? */
static int check_channels(const odl_t *t, row_t channels, uint32_t c) {
  if (!channels) return ODL_ERROR_NONE;
  if (!maybe_vector(channels, channels->dims[0])) return ODL_ERROR_SHAPE;
  const uint16_t *i = (const uint16_t *)(const void *)(t->constants + channels->offset);
  for (uint32_t j = 0; j < channels->dims[0]; j++)
    if (i[j] >= c) return ODL_ERROR_CHANNEL;
  return ODL_ERROR_NONE;
}

static int check_conv(const odl_op_t *op, row_t x, row_t w, row_t b, row_t m, row_t y, row_t mask) {
  int s8 = x->dtype == ODL_S8;
  if (!same_type(x, w) || !same_type(x, y) || s8 == !m || (b && b->dtype != (s8 ? ODL_S32 : ODL_F32))) return ODL_ERROR_DTYPE;
  if (!windows(op, x, y) || !convolves(op, w, x->dims[3], y->dims[3]) || !maybe_vector(b, y->dims[3]) || !maybe_vector(m, y->dims[3]) ||
      !maybe_alike(mask, y))
    return ODL_ERROR_SHAPE;
  return s8 && (uint32_t)op->kh * op->kw * w->dims[3] > 65535u ? ODL_ERROR_SUM : ODL_ERROR_NONE;      /* 65535 * 255 * 128 < 2^31 */
}

static int check_conv_dw(const odl_t *t, const odl_op_t *op, row_t g, row_t x, row_t channels, uint32_t rows, uint32_t per, row_t grad) {
  uint32_t c = per * op->groups;
  if (!op->groups || !windows(op, x, g) || g->dims[3] != rows || x->dims[3] != (channels ? channels->dims[0] : c)) return ODL_ERROR_SHAPE;
  if (grad && !gradient_fits(grad, rows, per, op->kh, op->kw, op->groups, channels)) return ODL_ERROR_SHAPE;
  return check_channels(t, channels, c);
}

static int check_shapes(const odl_t *t, const odl_op_t *op) {
  row_t a[8];
  for (int i = 0; i < 8; i++) a[i] = op->t[i] == ODL_NONE ? (row_t)0 : t->tensors + op->t[i];
  int fine = 0;
  switch (op->kind) {
    case ODL_CONV:
      return check_conv(op, a[0], a[1], a[2], a[3], a[4], a[5]);
    case ODL_ADD:
      if (!same_type(a[0], a[1]) || !same_type(a[0], a[2])) return ODL_ERROR_DTYPE;
      fine = alike(a[0], a[1]) && alike(a[0], a[2]) && maybe_alike(a[3], a[2]);
      break;
    case ODL_RELU:
      if (!same_type(a[0], a[1])) return ODL_ERROR_DTYPE;
      fine = alike(a[0], a[1]) && maybe_alike(a[2], a[1]);
      break;
    case ODL_AVG_POOL:
      if (!same_type(a[0], a[1])) return ODL_ERROR_DTYPE;
      fine = pools(op, a[0], a[1]);
      break;
    case ODL_MAX_POOL:
      if (!same_type(a[0], a[1])) return ODL_ERROR_DTYPE;
      fine = pools(op, a[0], a[1]) && maybe_alike(a[2], a[1]) && (uint32_t)op->kh * op->kw <= 256u;
      break;
    case ODL_DEQUANTIZE:
    case ODL_ACCUMULATE:
      fine = alike(a[0], a[1]);
      break;
    case ODL_LOSS:
      fine = is(a[0], a[0]->dims[0], 1, 1, a[0]->dims[3]) && maybe_vector(a[1], a[0]->dims[0]) && maybe_alike(a[2], a[0]) &&
             maybe_vector(a[3], 1);
      break;
    case ODL_SCALE_GRAD:
      fine = maybe_alike(a[1], a[0]) && maybe_vector(a[2], a[0]->dims[3]) && alike(a[3], a[0]);
      break;
    case ODL_CONV_DX:
      fine = windows(op, a[2], a[0]) && convolves(op, a[1], a[2]->dims[3], a[0]->dims[3]);
      break;
    case ODL_CONV_DW: {
      /* With channels and one group, no table says how many channels there are, and nothing depends on it; with groups, hi does. */
      uint32_t per = !a[2] ? a[3]->dims[3] : op->groups == 1 ? 0xFFFFu : op->hi >= 1.0f && op->hi <= 65535.0f ? (uint32_t)op->hi : 0;
      if (!per || per * op->groups > 0xFFFFu) return ODL_ERROR_SHAPE;
      return check_conv_dw(t, op, a[0], a[1], a[2], a[0]->dims[3], per, a[3]);
    }
    case ODL_CONV_DB:
      fine = maybe_vector(a[1], a[0]->dims[3]);
      break;
    case ODL_UPDATE:
      if ((uint32_t)a[0]->dims[1] * a[0]->dims[2] > 0xFFFFu || (a[0]->flags && op->groups != 1) || !op->groups) return ODL_ERROR_SHAPE;
      fine = gradient_fits(a[1], a[0]->dims[0], a[0]->dims[3], a[0]->dims[1], a[0]->dims[2], op->groups, a[3]) &&
             maybe_vector(a[2], a[0]->dims[0]) && maybe_alike(a[4], a[1]);
      return fine ? check_channels(t, a[3], (uint32_t)a[0]->dims[3] * op->groups) : ODL_ERROR_SHAPE;
    case ODL_CONV_DW_UPDATE:
      if (!convolves(op, a[3], (uint32_t)a[3]->dims[3] * op->groups, a[3]->dims[0]) || !maybe_vector(a[4], a[3]->dims[0]))
        return ODL_ERROR_SHAPE;
      return check_conv_dw(t, op, a[0], a[1], a[2], a[3]->dims[0], a[3]->dims[3], a[5]);
    case ODL_CONV_DB_UPDATE:
      fine = maybe_vector(a[1], a[0]->dims[3]) && maybe_vector(a[2], a[0]->dims[3]) && maybe_vector(a[3], a[0]->dims[3]);
      break;
    case ODL_AVG_POOL_DX:
      fine = pools(op, a[1], a[0]);
      break;
    case ODL_MAX_POOL_DX:
      fine = pools(op, a[2], a[0]) && alike(a[1], a[0]);
      break;
    default:                                                       /* ODL_GATHER */
      if (!same_type(a[0], a[2])) return ODL_ERROR_DTYPE;
      fine = is(a[2], a[0]->dims[0], a[0]->dims[1], a[0]->dims[2], a[1]->dims[0]);
      return fine ? check_channels(t, a[1], a[0]->dims[3]) : ODL_ERROR_SHAPE;
  }
  return fine ? ODL_ERROR_NONE : ODL_ERROR_SHAPE;
}

/* ---- scratch ---- */

static uint32_t scratch_slot(uint8_t kind) {
  return kind == ODL_CONV || kind == ODL_CONV_DW_UPDATE ? 6 : kind == ODL_CONV_DX ? 3 : kind == ODL_CONV_DW ? 4 : 8;
}

uint32_t odl_workspace_bytes(const odl_op_t *op, const odl_tensor_t *tensors) {
  const odl_tensor_t *a = tensors + op->t[0], *b = tensors + op->t[1];
  odl_shape_t s;
  switch (op->kind) {
    case ODL_CONV:
      s = odl_shape(op, a, tensors + op->t[4]);
      return odl_conv_bytes(&s, a->dtype, b->flags & ODL_PAIRS);
    case ODL_CONV_DX:
      s = odl_shape(op, tensors + op->t[2], a);
      return odl_conv_dx_bytes(&s, b->dtype);
    case ODL_CONV_DW:
    case ODL_CONV_DW_UPDATE:
      s = odl_shape(op, b, a);
      return odl_conv_dw_bytes(&s);
    default:
      return 0;
  }
}

static int check_op(const odl_t *t, const odl_op_t *op) {
  int error = check_operands(t, op);
  if (!error) error = check_shapes(t, op);
  if (error) return error;
  uint32_t slot = scratch_slot(op->kind), need = odl_workspace_bytes(op, t->tensors);
  return need && (op->t[slot] == ODL_NONE || t->tensors[op->t[slot]].nbytes < need) ? ODL_ERROR_WORKSPACE : ODL_ERROR_NONE;
}

/* Input, labels, logits and loss: where the caller reads and writes. */
static int check_ends(const odl_t *t) {
  const odl_header_t *h = t->header;
  uint16_t n = h->num_tensors;
  int trains = h->labels != ODL_NONE || h->loss != ODL_NONE;
  if (h->input >= n || h->logits >= n || (trains && (h->labels >= n || h->loss >= n))) return ODL_ERROR_ENDS;
  row_t x = t->tensors + h->input, logits = t->tensors + h->logits;
  int fine = x->place == ODL_ARENA && x->dims[0] == h->batch && (x->dtype == ODL_S8 || x->dtype == ODL_F32) && !x->flags &&
             logits->place == ODL_ARENA && logits->dtype == ODL_F32 && is(logits, h->batch, 1, 1, logits->dims[3]);
  if (trains) {
    row_t labels = t->tensors + h->labels, loss = t->tensors + h->loss;
    fine = fine && labels->place == ODL_ARENA && labels->dtype == ODL_S32 && maybe_vector(labels, h->batch) && loss->place == ODL_ARENA &&
           loss->dtype == ODL_F32 && maybe_vector(loss, 1);
  }
  return fine ? ODL_ERROR_NONE : ODL_ERROR_ENDS;
}

int odl_verify(odl_t *t, const uint8_t *blob, uint32_t len, uint32_t arena_len) {
  const odl_header_t *h = (const odl_header_t *)(const void *)blob;
  t->where = 0;
  if (len < sizeof *h) return ODL_ERROR_LENGTH;
  int error = check_header(h, len);
  if (error) return error;
  t->header = h;
  t->tensors = (const odl_tensor_t *)(const void *)(blob + h->tensors_at);
  t->ops = (const odl_op_t *)(const void *)(blob + h->ops_at);
  t->constants = blob + h->const_at;
  for (t->where = 0; t->where < h->num_tensors; t->where++)
    if ((error = check_tensor(h, t->tensors + t->where))) return error;
  for (t->where = 0; t->where < h->num_ops; t->where++)
    if ((error = check_op(t, t->ops + t->where))) return error;
  t->where = 0;
  return h->arena_bytes > arena_len ? ODL_ERROR_ARENA : check_ends(t);
}
