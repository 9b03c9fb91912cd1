/* Between odl_run.c and odl_verify.c. Not for users of the library. */
#ifndef ODL_VERIFY_H
#define ODL_VERIFY_H

#include "odl_math.h"

/* Check a blob before any of it is believed; sets the pointers of t. Returns 0 or an error, t->where is the tensor or op. */
int odl_verify(odl_t *t, const uint8_t *blob, uint32_t len, uint32_t arena_len);

/* The convolution that an op means: its input side is tensor x, its output side is tensor y. */
static inline odl_shape_t odl_shape(const odl_op_t *op, const odl_tensor_t *x, const odl_tensor_t *y) {
  odl_shape_t s = {x->dims[0], x->dims[1], x->dims[2], x->dims[3], y->dims[1], y->dims[2], y->dims[3], op->groups,
                   op->kh, op->kw, op->sh, op->sw, op->ph, op->pw};
  return s;
}

#endif
