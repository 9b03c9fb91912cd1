#include "odl_math.h"

/* e^x for x <= 0, within 1 ulp; below -87: 0. x = n ln 2 + r with |r| <= ln(2) / 2, e^r = 1 + r + r^2 q(r), times 2^n. q of degree 4 has
 * the least greatest relative error, 3e-9. n * LN2_HIGH is exact: LN2_HIGH has 9 bits. odl_kit/engine/math32.py is the same in NumPy. */
float odl_exp(float x) {
  if (x < -87.0f) return 0.0f;
  int32_t n = odl_rint(x * 1.44269504f);
  float r = (x - (float)n * 0.693359375f) - (float)n * -2.12194440e-4f;
  float q = 1.38145400e-3f;
  q = q * r + 8.36874525e-3f;
  q = q * r + 4.16683908e-2f;
  q = q * r + 1.66665204e-1f;
  q = q * r + 4.99999934e-1f;
  float p = (q * (r * r) + r) + 1.0f;
  odl_bits_t two_n;
  two_n.u = (uint32_t)(n + 127) << 23;
  return p * two_n.f;
}

/* ln x for x >= 1: x = 2^n (1 + f) with 1 + f from 1/sqrt(2) to sqrt(2); with s = f / (2 + f), ln(1 + f) = 2 atanh(s), as a series in s^2. */
float odl_log(float x) {
  odl_bits_t b;
  if (!(x <= 3.40282347e38f)) return x;                            /* infinity, NaN */
  b.f = x;
  int32_t n = (int32_t)(b.u >> 23) - 127;
  b.u = (b.u & 0x007FFFFFu) | 0x3F800000u;
  if (b.f > 1.41421356f) {
    b.f *= 0.5f;
    n += 1;
  }
  float f = b.f - 1.0f;
  float s = f / (2.0f + f);
  float z = s * s;
  float p = 0.222222222f;
  p = p * z + 0.285714286f;
  p = p * z + 0.4f;
  p = p * z + 0.666666667f;
  /* 2 atanh(s) = 2 s + s z p = f - s (f - z p): f is exact, and what is taken off it is small. */
  float low = (float)n * -2.12194440e-4f - s * (f - z * p);
  return (float)n * 0.693359375f + (f + low);
}

/* A hash of 32 bits to 32 bits. Source: Wellons 2018, "Prospecting for hash functions" (lowbias32). */
uint32_t odl_mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7FEB352Du;
  x ^= x >> 15;
  x *= 0x846CA68Bu;
  x ^= x >> 16;
  return x;
}

uint32_t odl_key(uint32_t seed, uint32_t step, uint16_t tensor) {
  return odl_mix(seed ^ odl_mix(step * 0x9E3779B9u + tensor));
}
