/* odl: trains and runs one Program, a list of operations over a table of tensors, in memory that the caller gives. C99; no heap, no libc.
 *
 *   odl_open     checks every byte of a Program before anything runs: one that passes cannot read or write outside its memory
 *   odl_forward  predicts, odl_step trains on one batch; input and labels are written in place, by odl_data(t, t->header->input) ...
 *   odl_conv_s8, odl_conv_dx_s8, ...: the operations, which C emitted from a Program calls one by one
 *
 * Activations are (N, H, W, C), weights (O, kh, kw, C/groups), float is IEEE float32, and each product and each sum is rounded on its own,
 * in an order that is part of the contract: every compiler and processor gets the same bits.
 */
#ifndef ODL_H
#define ODL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ODL_S8, ODL_S32, ODL_F32, ODL_BITS, ODL_U8, ODL_U16 };      /* dtypes; bits: element i is bit i % 8 of byte i / 8 */
enum { ODL_ARENA, ODL_CONST, ODL_STATE };                          /* places */
enum { ODL_NEAREST, ODL_STOCHASTIC };                              /* roundings of stored integers */
enum { ODL_PAIRS = 1 };                                            /* flag of an s8 weight (O, K): for o even, 4 values of row o, 4 of o + 1, ... */
#define ODL_NONE 0xFFFFu                                           /* the tensor number of an operand that is missing */

enum { ODL_CONV = 1, ODL_ADD, ODL_AVG_POOL, ODL_MAX_POOL, ODL_RELU, ODL_DEQUANTIZE, ODL_LOSS, ODL_SCALE_GRAD, ODL_CONV_DX, ODL_CONV_DW,
       ODL_CONV_DB, ODL_UPDATE, ODL_CONV_DW_UPDATE, ODL_CONV_DB_UPDATE, ODL_AVG_POOL_DX, ODL_MAX_POOL_DX, ODL_ACCUMULATE, ODL_GATHER,
       ODL_KINDS };

/* A Program's bytes, little-endian: header, tensors, ops, constants, state. */
typedef struct {
  uint32_t magic;                                                  /* "ODLP" */
  uint16_t version, batch;
  uint32_t blob_bytes, crc32;                                      /* crc32: of everything behind it */
  uint16_t num_tensors, num_ops, num_forward;                      /* ops 0 .. num_forward - 1 end at the logits */
  uint8_t precision, rounding;
  uint32_t tensors_at, ops_at, const_at, state_at, state_bytes, arena_bytes;
  uint16_t input, labels, logits, loss;                            /* tensor numbers; ODL_NONE where a Program only predicts */
  uint32_t seed, reserved;
} odl_header_t;

typedef struct {
  uint8_t dtype, place, flags;
  int8_t zero;
  uint16_t dims[4];
  uint32_t offset, nbytes;                                         /* offset: from where its place begins */
  float scale;
} odl_tensor_t;

typedef struct {
  uint8_t kind, kh, kw, sh, sw, ph, pw, flags;                     /* kernel, stride, padding */
  uint16_t t[8];                                                   /* operands, in the order of the function's comment in odl_run.c */
  uint16_t groups, reserved;
  float lo, hi;
} odl_op_t;

typedef struct {
  const odl_header_t *header;
  const odl_tensor_t *tensors;
  const odl_op_t *ops;
  const uint8_t *constants;
  uint8_t *state, *arena;
  uint32_t step, seed;                                             /* steps of training so far; both feed the stochastic rounding */
  uint16_t where;                                                  /* after an error: the number of the tensor or op that is wrong */
} odl_t;

/* ---- a Program ---- */

/* Check a Program of `len` bytes, aligned to 4, and make it ready. state: state_bytes of memory, to which the state is copied, or NULL: it
 * stays inside the blob, which then is written to. arena: arena_len bytes. Both aligned to 4. Returns 0 or an error. */
enum { ODL_ERROR_NONE, ODL_ERROR_ALIGNMENT, ODL_ERROR_LENGTH, ODL_ERROR_MAGIC, ODL_ERROR_VERSION, ODL_ERROR_CRC, ODL_ERROR_HEADER,
       ODL_ERROR_TENSOR, ODL_ERROR_ARENA, ODL_ERROR_ENDS, ODL_ERROR_KIND, ODL_ERROR_OPERAND, ODL_ERROR_DTYPE, ODL_ERROR_PLACE,
       ODL_ERROR_SHAPE, ODL_ERROR_CHANNEL, ODL_ERROR_SUM, ODL_ERROR_WORKSPACE, ODL_ERRORS };

int odl_open(odl_t *t, const uint8_t *blob, uint32_t len, uint8_t *state, uint8_t *arena, uint32_t arena_len);
const char *odl_error_name(int error);
void odl_forward(odl_t *t);
/* One step of SGD on the batch that lies in the input and labels; returns its mean loss. A label that is no class makes it NaN. */
float odl_step(odl_t *t, float lr);
/* Of the `count` first examples of the batch: how many logits have their maximum (the first one) at the label; adds their losses to
 * *loss_sum. To be called after odl_forward. */
uint32_t odl_score(const odl_t *t, uint32_t count, float *loss_sum);
const odl_tensor_t *odl_tensor(const odl_t *t, uint16_t number);   /* NULL if there is no such tensor */
uint8_t *odl_data(const odl_t *t, uint16_t number);                /* its bytes; those of a constant must not be written */
/* Bytes of scratch that an op needs, of which only kind, kernel, stride, padding, groups and operands count. */
uint32_t odl_workspace_bytes(const odl_op_t *op, const odl_tensor_t *tensors);
uint32_t odl_crc32(uint32_t crc, const uint8_t *bytes, uint32_t len);   /* zlib's; begin with crc = 0 */

/* ---- arithmetic ---- */

float odl_exp(float x);                                            /* x <= 0; below -87: 0 */
float odl_log(float x);                                            /* x >= 1 */
uint32_t odl_mix(uint32_t x);                                      /* a hash of 32 bits: lowbias32 */

/* ---- operations ---- */

typedef struct {
  uint16_t n, h, w, c, ho, wo, o, groups;                          /* input (n, h, w, c), output (n, ho, wo, o) */
  uint8_t kh, kw, sh, sw, ph, pw;                                  /* kernel, stride, padding */
} odl_shape_t;

/* How an update stores. r: factor of each output channel's gradient, or NULL. velocity: shaped like the gradient, or NULL. key: of the
 * random numbers of this tensor in this step, from odl_key. */
typedef struct {
  float lr, momentum;
  const float *r;
  float *velocity;
  uint32_t key;
  uint8_t rounding;
} odl_rule_t;
uint32_t odl_key(uint32_t seed, uint32_t step, uint16_t tensor);

/* A weight tensor: dtype s8, s32 or f32, (rows, kh, kw, per), kernel = kh * kw. pairs: ODL_PAIRS or 0. */
typedef struct {
  void *data;
  uint8_t dtype, pairs;
  uint16_t rows, kernel, per, groups;
} odl_weight_t;

void odl_conv_s8(const odl_shape_t *s, const int8_t *x, const int8_t *w, const int32_t *b, const float *m, int8_t *y, uint8_t *mask,
                 void *ws, int8_t zx, int8_t zy, uint8_t pairs);
void odl_conv_depthwise_s8(const odl_shape_t *s, const int8_t *x, const int8_t *w, const int32_t *b, const float *m, int8_t *y,
                           uint8_t *mask, void *ws, int8_t zx, int8_t zy);
void odl_conv_f32(const odl_shape_t *s, const float *x, const float *w, const float *b, float *y, uint8_t *mask, void *ws, float lo,
                  float hi);
void odl_add_s8(uint32_t n, const int8_t *a, const int8_t *b, int8_t *y, uint8_t *mask, int8_t za, int8_t zb, int8_t zy, float ma,
                float mb);
void odl_add_f32(uint32_t n, const float *a, const float *b, float *y, uint8_t *mask, float lo, float hi);
void odl_relu_s8(uint32_t n, const int8_t *x, int8_t *y, uint8_t *mask, int8_t zx, int8_t zy, float m);
void odl_relu_f32(uint32_t n, const float *x, float *y, uint8_t *mask, float lo, float hi);
void odl_dequantize(uint32_t n, const int8_t *x, float *y, int8_t zx, float scale);
void odl_avg_pool_s8(const odl_shape_t *s, const int8_t *x, int8_t *y, int8_t zero);
void odl_avg_pool_f32(const odl_shape_t *s, const float *x, float *y);
void odl_max_pool_s8(const odl_shape_t *s, const int8_t *x, int8_t *y, uint8_t *place);
void odl_max_pool_f32(const odl_shape_t *s, const float *x, float *y, uint8_t *place);
void odl_loss(uint32_t n, uint32_t c, const float *logits, const int32_t *labels, float *dlogits, float *loss);
void odl_scale_grad(uint32_t n, uint32_t c, const float *gy, const uint8_t *mask, const float *m, float factor, float *g);
void odl_conv_dx_s8(const odl_shape_t *s, const float *g, const int8_t *w, float *dx, void *ws, uint8_t pairs);
void odl_conv_dx_f32(const odl_shape_t *s, const float *g, const float *w, float *dx, void *ws);
/* x: s8 (is_s8) or f32, (n, h, w, count), the `channels` of the input, or all of them (NULL, count = c). */
void odl_conv_dw(const odl_shape_t *s, const float *g, const void *x, uint8_t is_s8, int8_t zx, const uint16_t *channels, uint16_t count,
                 float *dw, void *ws);
void odl_conv_dw_update(const odl_shape_t *s, const float *g, const void *x, uint8_t is_s8, int8_t zx, const uint16_t *channels,
                        uint16_t count, const odl_weight_t *w, const odl_rule_t *rule, void *ws);
void odl_conv_db(uint32_t n, uint32_t o, const float *g, float *db);
void odl_conv_db_update(uint32_t n, uint32_t o, const float *g, const odl_weight_t *b, const odl_rule_t *rule);
/* grad: shaped like w, or, for `count` channels, (O/groups, kh, kw, count), of a depthwise w (count, kh, kw, 1). */
void odl_update(const odl_weight_t *w, const float *grad, const uint16_t *channels, uint16_t count, const odl_rule_t *rule);
void odl_avg_pool_dx(const odl_shape_t *s, const float *g, float *dx);
void odl_max_pool_dx(const odl_shape_t *s, const float *g, const uint8_t *place, float *dx);
void odl_accumulate(uint32_t n, float *a, const float *b);
void odl_gather(uint32_t n, uint16_t c, const void *x, uint16_t count, const uint16_t *channels, void *y, uint8_t is_s8);

#ifdef __cplusplus
}
#endif
#endif
