"""exp and log in float32, the same bits as odl_math.c: the library functions of two machines differ in the last bit.

Each product and each sum is rounded to float32 on its own. Within 2 units in the last place (a test, against float64).
"""
import numpy as np

F = np.float32
LN2_HIGH, LN2_LOW = F(0.693359375), F(-2.12194440e-4)       # n * LN2_HIGH is exact: it has 9 bits
EXP = [F(c) for c in (1.38145400e-3, 8.36874525e-3, 4.16683908e-2, 1.66665204e-1, 4.99999934e-1)]     # the least greatest relative error
LOG = [F(c) for c in (0.222222222, 0.285714286, 0.4, 0.666666667)]                                    # 2/9, 2/7, 2/5, 2/3


def exp(x):
    """e^x of a float32 array, x <= 0; below -87: 0.  x = n ln 2 + r,  e^x = 2^n e^r,  e^r = 1 + r + r^2 q(r)."""
    x = np.asarray(x, F)
    low = x < F(-87)
    n = _integer(np.where(low, F(0), x) * F(1.44269504))
    r = (np.where(low, F(0), x) - n.astype(F) * LN2_HIGH) - n.astype(F) * LN2_LOW
    q = EXP[0]
    for c in EXP[1:]:
        q = q * r + c
    p = (q * (r * r) + r) + F(1)
    two_n = ((n + 127).astype(np.uint32) << np.uint32(23)).view(F)
    return np.where(low, F(0), p * two_n)


def log(x):
    """ln x of a float32 array, x >= 1; infinity and NaN stay.  x = 2^n (1 + f),  ln(1 + f) = 2 atanh(f / (2 + f)), a series."""
    x = np.asarray(x, F)
    bits = x.view(np.uint32)
    n = (bits >> np.uint32(23)).astype(np.int32) - 127
    m = ((bits & np.uint32(0x007FFFFF)) | np.uint32(0x3F800000)).view(F)
    large = m > F(1.41421356)
    m, n = np.where(large, m * F(0.5), m), np.where(large, n + 1, n).astype(F)
    f = m - F(1)
    s = f / (F(2) + f)
    z = s * s
    p = LOG[0]
    for c in LOG[1:]:
        p = p * z + c
    low = n * LN2_LOW - s * (f - z * p)
    return np.where(x < F(np.inf), n * LN2_HIGH + (f + low), x)


def rint(v):
    """The whole number next to v, half to even, as float32; 0 for NaN."""
    return np.rint(np.where(np.isnan(v), F(0), v))


def mix(x):
    """A hash of uint32 to uint32. Source: Wellons 2018, "Prospecting for hash functions" (lowbias32)."""
    x = np.asarray(x, np.uint32)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def uniform(seed, step, number, places):
    """Random numbers in [0, 1) of 24 bits, one for each flat place of tensor `number` in training step `step`: float32."""
    with np.errstate(over="ignore"):
        key = mix(np.uint32(seed) ^ mix(np.uint32((step * 0x9E3779B9 + number) & 0xFFFFFFFF)))
        return (mix(np.uint32(key) + np.asarray(places).astype(np.uint32)) >> np.uint32(8)).astype(F) * F(2.0**-24)


def _integer(v):
    return rint(v).astype(np.int32)
