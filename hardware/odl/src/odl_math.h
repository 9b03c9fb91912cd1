/* What every kernel needs: compiler switches that are part of the contract, rounding, bits. Not for users of the library. */
#ifndef ODL_MATH_H
#define ODL_MATH_H

#include "odl.h"

/* a * b + c is rounded twice, here and everywhere: no fused multiply-add. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("O2", "fp-contract=off", "no-tree-loop-distribute-patterns")    /* the last: no calls of memset */
#endif

#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FP) && defined(__thumb2__) && defined(__GNUC__) && !defined(ODL_PLAIN)
#define ODL_SIMD 1
#else
#define ODL_SIMD 0
#endif

#if defined(__GNUC__)
#define ODL_ALONE __attribute__((noinline))                        /* not merged into its caller, which would leave it fewer registers */
#else
#define ODL_ALONE
#endif

typedef union { float f; uint32_t u; } odl_bits_t;

/* The integer next to v, half to even; beyond int32 its nearest end; 0 for NaN. */
static inline int32_t odl_rint(float v) {
#if ODL_SIMD
  int32_t r;
  __asm("vcvtr.s32.f32 %1, %1\n\tvmov %0, %1" : "=r"(r), "+t"(v));
  return r;
#else
  float a = v < 0 ? -v : v;
  if (!(a < 8388608.0f)) {                                         /* 2^23: no fraction left */
    if (a != a) return 0;
    return v >= 2147483648.0f ? INT32_MAX : v <= -2147483648.0f ? INT32_MIN : (int32_t)v;
  }
  a = (a + 8388608.0f) - 8388608.0f;
  return v < 0 ? -(int32_t)a : (int32_t)a;
#endif
}

/* a + b, or the end of int32 that it would leave. */
static inline int32_t odl_add_saturating(int32_t a, int32_t b) {
#if ODL_SIMD
  __asm("qadd %0, %0, %1" : "+r"(a) : "r"(b));
  return a;
#else
  if (b > 0 && a > INT32_MAX - b) return INT32_MAX;
  if (b < 0 && a < INT32_MIN - b) return INT32_MIN;
  return a + b;
#endif
}

static inline int8_t odl_clamp_s8(int32_t r) {
#if ODL_SIMD
  __asm("ssat %0, #8, %0" : "+r"(r));
  return (int8_t)r;
#else
  return (int8_t)(r < -128 ? -128 : r > 127 ? 127 : r);
#endif
}

/* rint(v) + zero, before the clamp: what requantization and its mask look at. */
static inline int32_t odl_requantize(float v, int32_t zero) { return odl_add_saturating(odl_rint(v), zero); }

/* A sum that wraps as the processor's does: of hostile biases, without undefined behaviour. */
static inline int32_t odl_wrap(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

static inline void odl_set_bit(uint8_t *mask, uint32_t i, int on) {
  uint8_t bit = (uint8_t)(1u << (i & 7u));
  mask[i >> 3] = (uint8_t)(on ? mask[i >> 3] | bit : mask[i >> 3] & (uint8_t)~bit);
}

static inline int odl_get_bit(const uint8_t *mask, uint32_t i) { return (mask[i >> 3] >> (i & 7u)) & 1; }

/* Store a requantized value, and, if a mask is asked for, whether the clamp let it pass. */
static inline void odl_store_s8(int8_t *y, uint8_t *mask, uint32_t i, float v, int32_t zero) {
  int32_t r = odl_requantize(v, zero);
  y[i] = odl_clamp_s8(r);
  if (mask) odl_set_bit(mask, i, y[i] == r);
}

/* Store a float clamped to lo .. hi, and whether it lies between them. NaN stays NaN. */
static inline void odl_store_f32(float *y, uint8_t *mask, uint32_t i, float v, float lo, float hi) {
  float low = v < lo ? lo : v;
  y[i] = low > hi ? hi : low;
  if (mask) odl_set_bit(mask, i, v > lo && v < hi);
}

static inline uint32_t odl_min(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t odl_max(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* Is it depthwise: each channel a group of its own? */
static inline int odl_is_depthwise(const odl_shape_t *s) { return s->groups > 1 && s->groups == s->c && s->groups == s->o; }

/* Does the convolution read its input as it lies: kernel 1x1, no padding, stride 1? */
static inline int odl_is_pointwise(const odl_shape_t *s) { return s->kh == 1 && s->kw == 1 && s->sh == 1 && s->sw == 1 && !s->ph && !s->pw; }

#endif
