/* The innermost loops for the DSP extension of Cortex-M4 and M7: two int16 products and their sum in one instruction (SMLAD), 16 floats in
 * registers. What each computes stands above its plain twin in odl_block.h. LDRD wants words aligned to 4: the verifier and the cuts of the
 * scratch see to it. */
#ifndef ODL_CORTEX_M4_H
#define ODL_CORTEX_M4_H

typedef uint32_t __attribute__((may_alias)) odl_word_t;

static inline uint32_t odl_smlad(uint32_t a, uint32_t b, uint32_t sum) {
  __asm("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

/* Four int16 lie in the order 0, 2, 1, 3: what SXTB16 makes of a word of weights, too. step: 4 or 8. */
#define ODL_WIDEN(bytes)                                                                                                              \
  __asm volatile(                                                                                                                     \
      "1:\n\tldrd %[a], %[c], [%[x]], #8\n\tsxtb16 %[b], %[a], ror #8\n\tsxtb16 %[a], %[a]\n\tsxtb16 %[d], %[c], ror #8\n\t"  \
      "sxtb16 %[c], %[c]\n\tssub16 %[a], %[a], %[z]\n\tssub16 %[b], %[b], %[z]\n\tssub16 %[c], %[c], %[z]\n\t"                  \
      "ssub16 %[d], %[d], %[z]\n\tstrd %[a], %[b], [%[t]], #" bytes "\n\tstrd %[c], %[d], [%[t]], #" bytes                         \
      "\n\tcmp %[x], %[e]\n\tbne 1b"                                                                                                 \
      : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d), [x] "+r"(from), [t] "+r"(to)                                          \
      : [z] "r"(zeros), [e] "r"(end)                                                                                                  \
      : "cc", "memory")
static inline void odl_widen(int16_t *to, uint32_t step, const int8_t *from, uint32_t k, int8_t zero) {
  uint32_t a, b, c, d, zeros = (uint16_t)zero * 0x10001u;
  const int8_t *end = from + k;
  if (step == 4) ODL_WIDEN("8");
  else ODL_WIDEN("16");
}
#undef ODL_WIDEN

/* Two rows of weights, 4 values each, as int16 in a, b (row o) and c, d (row o + 1); then one position's 4 inputs with both. */
#define ODL_ROWS "ldrd %[a], %[c], [%[w]], #8\n\tsxtb16 %[b], %[a], ror #8\n\tsxtb16 %[a], %[a]\n\tsxtb16 %[d], %[c], ror #8\n\tsxtb16 %[c], %[c]\n\t"
#define ODL_TIMES(p, q)                                                                                                       \
  "ldrd %[m], %[n], [%[x]], #8\n\tsmlad %[" p "], %[m], %[a], %[" p "]\n\tsmlad %[" q "], %[m], %[c], %[" q "]\n\t"           \
  "smlad %[" p "], %[n], %[b], %[" p "]\n\tsmlad %[" q "], %[n], %[d], %[" q "]\n\t"
#define ODL_DOT_TEMPORARIES [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d), [m] "=&r"(m), [n] "=&r"(n), [x] "+r"(x), [w] "+r"(w)

static inline const int8_t *odl_dot_2x2(const int16_t *x, const int8_t *w, uint32_t k, int32_t *sums) {
  uint32_t a, b, c, d, m, n;
  int32_t e = sums[0], f = sums[1], g = sums[2], h = sums[3];
  const int16_t *end = x + 2 * k;
  __asm volatile("1:\n\t" ODL_ROWS ODL_TIMES("p", "q") ODL_TIMES("r", "s") ODL_ROWS ODL_TIMES("p", "q") ODL_TIMES("r", "s")
                 "cmp %[x], %[z]\n\tbne 1b"
                 : [p] "+r"(e), [q] "+r"(f), [r] "+r"(g), [s] "+r"(h), ODL_DOT_TEMPORARIES
                 : [z] "r"(end)
                 : "cc", "memory");
  sums[0] = e, sums[1] = f, sums[2] = g, sums[3] = h;
  return w;
}

#define ODL_DOT_1X2(blocks)                                                                                   \
  __asm volatile("1:\n\t" blocks "cmp %[x], %[z]\n\tbne 1b"                                                  \
                 : [p] "+r"(e), [q] "+r"(f), ODL_DOT_TEMPORARIES                                              \
                 : [z] "r"(end)                                                                               \
                 : "cc", "memory")
#define ODL_DOT_8 ODL_ROWS ODL_TIMES("p", "q") ODL_ROWS ODL_TIMES("p", "q")
static inline const int8_t *odl_dot_1x2(const int16_t *x, const int8_t *w, uint32_t k, int32_t *sums) {
  uint32_t a, b, c, d, m, n;
  int32_t e = sums[0], f = sums[1];
  const int16_t *end = x + k;
  if (k & 31u) ODL_DOT_1X2(ODL_DOT_8);
  else ODL_DOT_1X2(ODL_DOT_8 ODL_DOT_8 ODL_DOT_8 ODL_DOT_8);
  sums[0] = e, sums[1] = f;
  return w;
}
#undef ODL_DOT_8
#undef ODL_DOT_1X2

/* Four at a time. */
static inline void odl_widen_row(int16_t *to, const int8_t *from, uint32_t step, uint32_t n, int8_t zero) {
  uint32_t a, b, c, d, two = 2 * step, left = n >> 2;
  if (left)
    __asm volatile(
        "1:\n\tldrsb %[a], [%[x]]\n\tldrsb %[b], [%[x], %[s]]\n\tadd %[x], %[w]\n\tldrsb %[c], [%[x]]\n\tldrsb %[d], [%[x], %[s]]\n\t"
        "add %[x], %[w]\n\tsubs %[a], %[z]\n\tsubs %[b], %[z]\n\tsubs %[c], %[z]\n\tsubs %[d], %[z]\n\tstrh %[a], [%[t]], #2\n\t"
        "strh %[b], [%[t]], #2\n\tstrh %[c], [%[t]], #2\n\tstrh %[d], [%[t]], #2\n\tsubs %[n], #1\n\tbne 1b"
        : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d), [x] "+r"(from), [t] "+r"(to), [n] "+r"(left)
        : [s] "r"(step), [w] "r"(two), [z] "r"((int32_t)zero)
        : "cc", "memory");
  for (n &= 3u; n; n--, from += step) *to++ = (int16_t)(*from - zero);
}

/* Two at a time. */
static inline void odl_store_row(const int32_t *sums, uint32_t n, float m, int8_t *y, uint32_t step, int32_t zero) {
  uint32_t a, b, left = n >> 1;
  if (left)
    __asm volatile(
        "1:\n\tvldmia %[x]!, {s0-s1}\n\tvcvt.f32.s32 s0, s0\n\tvcvt.f32.s32 s1, s1\n\tvmul.f32 s0, s0, %[m]\n\tvmul.f32 s1, s1, %[m]\n\t"
        "vcvtr.s32.f32 s0, s0\n\tvcvtr.s32.f32 s1, s1\n\tvmov %[a], %[b], s0, s1\n\tqadd %[a], %[a], %[z]\n\tqadd %[b], %[b], %[z]\n\t"
        "ssat %[a], #8, %[a]\n\tssat %[b], #8, %[b]\n\tstrb %[a], [%[y]]\n\tstrb %[b], [%[y], %[s]]\n\tadd %[y], %[y], %[s], lsl #1\n\t"
        "subs %[n], #1\n\tbne 1b"
        : [a] "=&r"(a), [b] "=&r"(b), [x] "+r"(sums), [y] "+r"(y), [n] "+r"(left)
        : [m] "t"(m), [s] "r"(step), [z] "r"(zero)
        : "cc", "memory", "s0", "s1");
  if (n & 1u) *y = odl_clamp_s8(odl_requantize((float)*sums * m, zero));
}

/* Kernel 3x3, stride 1, two outputs at a time. Of a row the pixels g = (x0, x1), h = (x2, x3), of its taps A = (w0, w1), D = (w1, w2):
 * the first output adds g . A + x2 w2, the second x1 w0 + h . D. `end` waits in a float register, the others are taken. */
#define ODL_ROW_3(A, D)                                                                                          \
  "ldrd %[g], %[h], [%[t]]\n\tsmlad %[m], %[g], %[" A "], %[m]\n\tsmlabt %[m], %[h], %[" D "], %[m]\n\t"         \
  "smlatb %[n], %[g], %[" A "], %[n]\n\tsmlad %[n], %[h], %[" D "], %[n]\n\t"

static inline void odl_dot_3x3(const int16_t *plane, uint32_t width, const int16_t *taps, uint32_t wo, int32_t bias, int32_t *sums) {
  const odl_word_t *w = (const odl_word_t *)(const void *)taps;
  uint32_t a = w[0], b = (uint16_t)(w[0] >> 16) | (w[1] << 16), c = w[2], d = (uint16_t)(w[2] >> 16) | (w[3] << 16);
  uint32_t e = w[4], f = (uint16_t)(w[4] >> 16) | (w[5] << 16), m, n, g, h, back = 4 * width - 4;
  odl_bits_t end, step, begin;
  end.u = (uint32_t)(uintptr_t)(sums + ((wo + 1u) & ~1u));
  step.u = 2 * width;
  begin.u = (uint32_t)bias;
  __asm volatile(
      "1:\n\tvmov %[m], %[i]\n\tvmov %[n], %[i]\n\t" ODL_ROW_3("a", "b") "vmov %[g], %[s]\n\tadd %[t], %[g]\n\t" ODL_ROW_3("c", "d")
      "vmov %[g], %[s]\n\tadd %[t], %[g]\n\t" ODL_ROW_3("e", "f") "sub %[t], %[k]\n\tstrd %[m], %[n], [%[y]], #8\n\t"
      "vmov %[g], %[z]\n\tcmp %[y], %[g]\n\tbne 1b"
      : [m] "=&r"(m), [n] "=&r"(n), [g] "=&r"(g), [h] "=&r"(h), [t] "+r"(plane), [y] "+r"(sums)
      : [a] "r"(a), [b] "r"(b), [c] "r"(c), [d] "r"(d), [e] "r"(e), [f] "r"(f), [k] "r"(back), [s] "t"(step.f), [z] "t"(end.f), [i] "t"(begin.f)
      : "cc", "memory");
}
#undef ODL_ROW_3

/* Kernel 3x3, stride 2, one output at a time. */
#define ODL_ROW_2(A, D) "ldrd %[g], %[h], [%[t]]\n\tsmlad %[m], %[g], %[" A "], %[m]\n\tsmlad %[m], %[h], %[" D "], %[m]\n\t"
static inline void odl_dot_3x3_2(const int16_t *plane, uint32_t width, const int16_t *taps, uint32_t wo, int32_t bias, int32_t *sums) {
  const odl_word_t *w = (const odl_word_t *)(const void *)taps;
  uint32_t m, g, h, step = 2 * width, back = 4 * width - 4;
  odl_bits_t end, begin;
  end.u = (uint32_t)(uintptr_t)(sums + wo);
  begin.u = (uint32_t)bias;
  __asm volatile(
      "1:\n\tvmov %[m], %[i]\n\t" ODL_ROW_2("a", "b") "add %[t], %[s]\n\t" ODL_ROW_2("c", "d") "add %[t], %[s]\n\t" ODL_ROW_2("e", "f")
      "sub %[t], %[k]\n\tstr %[m], [%[y]], #4\n\tvmov %[g], %[z]\n\tcmp %[y], %[g]\n\tbne 1b"
      : [m] "=&r"(m), [g] "=&r"(g), [h] "=&r"(h), [t] "+r"(plane), [y] "+r"(sums)
      : [a] "r"(w[0]), [b] "r"(w[1]), [c] "r"(w[2]), [d] "r"(w[3]), [e] "r"(w[4]), [f] "r"(w[5]), [k] "r"(back), [s] "r"(step), [z] "t"(end.f),
        [i] "t"(begin.f)
      : "cc", "memory");
}
#undef ODL_ROW_2

static inline void odl_dot_plane(const int16_t *plane, uint32_t width, const int16_t *taps, const odl_shape_t *s, int32_t bias, int32_t *sums) {
  if (s->kh == 3 && s->kw == 3 && s->sw <= 2) {
    if (s->sw == 1) odl_dot_3x3(plane, width, taps, s->wo, bias, sums);
    else odl_dot_3x3_2(plane, width, taps, s->wo, bias, sums);
    return;
  }
  for (uint32_t wo = 0; wo < s->wo; wo++, plane += s->sw) {
    const odl_word_t *w = (const odl_word_t *)(const void *)taps;
    const int16_t *row = plane;
    uint32_t sum = (uint32_t)bias;
    for (uint32_t ky = 0; ky < s->kh; ky++, row += width)
      for (uint32_t kx = 0; kx < s->kw; kx += 2) {
        uint32_t two;
        __builtin_memcpy(&two, row + kx, 4);
        sum = odl_smlad(two, *w++, sum);
      }
    sums[wo] = (int32_t)sum;
  }
}

/* Sums s(a) .. s(d) += s(v) .. of four columns times one factor: the products first, so that no instruction waits for the one before. */
#define ODL_MADD(f, v0, v1, v2, v3, t0, t1, t2, t3, a, b, c, d)                                                     \
  "vmul.f32 " t0 ", " v0 ", " f "\n\tvmul.f32 " t1 ", " v1 ", " f "\n\tvmul.f32 " t2 ", " v2 ", " f "\n\tvmul.f32 " t3 ", " v3 ", " f "\n\t"    \
  "vadd.f32 " a ", " a ", " t0 "\n\tvadd.f32 " b ", " b ", " t1 "\n\tvadd.f32 " c ", " c ", " t2 "\n\tvadd.f32 " d ", " d ", " t3 "\n\t"
#define ODL_CLOBBERS_16 "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15"
#define ODL_CLOBBERS_32 ODL_CLOBBERS_16, "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31"

/* One position, four outputs, four inputs at a time. */
#define ODL_DOT_STEP(x, a, b, c, d) ODL_MADD(x, a, b, c, d, "s24", "s25", "s26", "s27", "s0", "s1", "s2", "s3")
static inline void odl_dot_f32(const float *x, const float *w, uint32_t k, uint32_t count, float *sums) {
  uint32_t whole = count == 4 ? k & ~3u : 0;
  if (whole) {
    const float *a = w, *b = a + k, *c = b + k, *d = c + k, *from = x, *end = x + whole;
    __asm volatile("vldmia %[y], {s0-s3}\n1:\n\tvldmia %[x]!, {s4-s7}\n\tvldmia %[a]!, {s8-s11}\n\tvldmia %[b]!, {s12-s15}\n\t"
                   "vldmia %[c]!, {s16-s19}\n\tvldmia %[d]!, {s20-s23}\n\t" ODL_DOT_STEP("s4", "s8", "s12", "s16", "s20")
                   ODL_DOT_STEP("s5", "s9", "s13", "s17", "s21") ODL_DOT_STEP("s6", "s10", "s14", "s18", "s22")
                   ODL_DOT_STEP("s7", "s11", "s15", "s19", "s23") "cmp %[x], %[z]\n\tbne 1b\n\tvstmia %[y], {s0-s3}"
                   : [x] "+r"(from), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d)
                   : [y] "r"(sums), [z] "r"(end)
                   : "cc", "memory", ODL_CLOBBERS_16, "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27");
  }
  odl_plain_dot_f32(x + whole, w + whole, k, k - whole, count, sums);
}
#undef ODL_DOT_STEP

/* Four positions, four channels, two outputs at a time. */
#define ODL_DX_STEP(a, b, c, d)                                                                                 \
  "vldmia %[v], {s24-s27}\n\tadd %[v], %[vs]\n\t"                                                               \
  ODL_MADD(a, "s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31", "s0", "s1", "s2", "s3")                   \
  ODL_MADD(b, "s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31", "s4", "s5", "s6", "s7")                   \
  ODL_MADD(c, "s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31", "s8", "s9", "s10", "s11")                 \
  ODL_MADD(d, "s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31", "s12", "s13", "s14", "s15")
#define ODL_FOUR_ROWS(op)                                                                                       \
  "mov %[t], %[dx]\n\t" op " %[t], {s0-s3}\n\tadd %[t], %[ds]\n\t" op " %[t], {s4-s7}\n\tadd %[t], %[ds]\n\t"   \
  op " %[t], {s8-s11}\n\tadd %[t], %[ds]\n\t" op " %[t], {s12-s15}\n\t"
static inline void odl_block_dx(float *dx, uint32_t dx_step, const float *g, uint32_t g_step, const float *v, uint32_t v_step, uint32_t o,
                                uint32_t rows, uint32_t cols) {
  uint32_t whole = rows == 4 && cols == 4 ? o & ~1u : 0;
  if (whole) {
    uint32_t t, left = whole, ds = 4 * dx_step, vs = 4 * v_step;
    const float *a = g, *b = a + g_step, *c = b + g_step, *d = c + g_step, *from = v;
    __asm volatile(ODL_FOUR_ROWS("vldmia")
                   "1:\n\tvldmia %[a]!, {s16-s17}\n\tvldmia %[b]!, {s18-s19}\n\tvldmia %[c]!, {s20-s21}\n\tvldmia %[d]!, {s22-s23}\n\t"
                   ODL_DX_STEP("s16", "s18", "s20", "s22") ODL_DX_STEP("s17", "s19", "s21", "s23") "subs %[n], #2\n\tbne 1b\n\t"
                   ODL_FOUR_ROWS("vstmia")
                   : [t] "=&r"(t), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [v] "+r"(from), [n] "+r"(left)
                   : [dx] "r"(dx), [ds] "r"(ds), [vs] "r"(vs)
                   : "cc", "memory", ODL_CLOBBERS_32);
  }
  if (whole < o) odl_plain_dx(dx, dx_step, g + whole, g_step, v + whole * v_step, v_step, o - whole, rows, cols);
}
#undef ODL_DX_STEP
#undef ODL_FOUR_ROWS

/* Four outputs, four columns, two positions at a time. */
#define ODL_DW_STEP                                                                                             \
  "vldmia %[g], {s16-s19}\n\tadd %[g], %[gs]\n\tvldmia %[v], {s20-s23}\n\tadd %[v], %[vs]\n\t"                  \
  ODL_MADD("s16", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27", "s0", "s1", "s2", "s3")               \
  ODL_MADD("s17", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27", "s4", "s5", "s6", "s7")               \
  ODL_MADD("s18", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27", "s8", "s9", "s10", "s11")             \
  ODL_MADD("s19", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27", "s12", "s13", "s14", "s15")
static inline void odl_block_dw(float *d, const float *g, uint32_t g_step, const float *v, uint32_t v_step, uint32_t positions, uint32_t rows) {
  uint32_t whole = rows == 4 ? positions & ~1u : 0;
  if (whole) {
    uint32_t left = whole, gs = 4 * g_step, vs = 4 * v_step;
    const float *a = g, *b = v;
    __asm volatile("vldmia %[d], {s0-s15}\n1:\n\t" ODL_DW_STEP ODL_DW_STEP "subs %[n], #2\n\tbne 1b\n\tvstmia %[d], {s0-s15}"
                   : [g] "+r"(a), [v] "+r"(b), [n] "+r"(left)
                   : [d] "r"(d), [gs] "r"(gs), [vs] "r"(vs)
                   : "cc", "memory", ODL_CLOBBERS_16, "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27");
  }
  if (whole < positions) odl_plain_dw(d, g + whole * g_step, g_step, v + whole * v_step, v_step, positions - whole, rows);
}
#undef ODL_DW_STEP

/* Four channels of one position after the other. */
static inline void odl_block_depthwise_dx(float *dx, uint32_t dx_step, const float *g, uint32_t g_step, const float *v, uint32_t count,
                                          uint32_t cols) {
  if (cols < 4) {
    odl_plain_depthwise_dx(dx, dx_step, g, g_step, v, count, cols);
  } else if (count) {
    uint32_t ds = 4 * dx_step, gs = 4 * g_step;
    __asm volatile("vldmia %[v], {s8-s11}\n1:\n\tvldmia %[d], {s0-s3}\n\tvldmia %[g], {s4-s7}\n\tadd %[g], %[gs]\n\t"
                   "vmul.f32 s4, s4, s8\n\tvmul.f32 s5, s5, s9\n\tvmul.f32 s6, s6, s10\n\tvmul.f32 s7, s7, s11\n\t"
                   "vadd.f32 s0, s0, s4\n\tvadd.f32 s1, s1, s5\n\tvadd.f32 s2, s2, s6\n\tvadd.f32 s3, s3, s7\n\t"
                   "vstmia %[d], {s0-s3}\n\tadd %[d], %[ds]\n\tsubs %[n], #1\n\tbne 1b"
                   : [d] "+r"(dx), [g] "+r"(g), [n] "+r"(count)
                   : [v] "r"(v), [ds] "r"(ds), [gs] "r"(gs)
                   : "cc", "memory", ODL_CLOBBERS_16);
  }
}

#endif
