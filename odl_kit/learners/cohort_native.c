// The native path of odl_kit.learners.cohort: clients train copies of a dense net by SGD on the mean cross-entropy, each from its start on
// its own examples. odl_kit/federation/local.py is the same in plain PyTorch. What a function computes on which shapes stands above it.
//
// Numbers are float32. A matrix is stored in one of two ways:
//   by rows    (n, m): row after row, pad(m) floats apart; pad rounds up to 16, so that whole vectors can be read at the end of a row.
//   in panels  (n, m): its columns 0-15 row by row, then columns 16-31, ...; a tile of a product goes down a panel in one straight line.
// Names: h (batch, inputs) by rows, what goes into a layer. w (inputs, outputs) in panels, behind it the bias (pad(outputs)).
// d (batch, outputs) in panels, the gradient at what comes out; dt (outputs, batch) in panels, the same turned round.
// A client that diverges shows NaN and Inf as in PyTorch: never build this with -ffast-math. Nothing here allocates memory.
#include <math.h>
#include <stdint.h>
#include <string.h>

// A tile of ROWS x COLS vectors is summed up in registers: enough of them to keep the multipliers busy, few enough to fit.
#if defined(__AVX512F__)
enum { LANES = 16, COLS = 2 };
#elif defined(__AVX__)
enum { LANES = 8, COLS = 2 };
#elif defined(__aarch64__)
enum { LANES = 4, COLS = 4 };
#else
enum { LANES = 4, COLS = 2 };
#endif
enum { ROWS = 5, PANEL = 16 };
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t bits __attribute__((vector_size(4 * LANES)));

#define INLINE static inline __attribute__((always_inline))
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

typedef struct { int64_t inputs, outputs, bias, relu, learns; } Layer;    // bias, relu, learns: 0 or 1

typedef struct {
    int64_t clients, epochs, batch_size, layers;
    int64_t weights;                            // P, of one client
    int64_t room;                               // rows of x for each client, used or not
    int64_t longest;                            // the last dimension of order
    int64_t start_stride;                       // from one client's start to the next: P, or 0 where all have the same
    const Layer *layer;                         // (layers)
    const float *x, *start, *mask;              // (R, room, inputs), (clients, P), (P) of 0 and 1 or NULL: all learn
    const int64_t *y, *rows, *num_examples;     // (R, room), (clients) row of x and y, (clients)
    const int64_t *order, *turn;                // (clients, epochs, longest), (clients) whose turn it is first, second, ...
    float *update;                              // (clients, P), the result: weights after - start
} Job;

// How weights learn: w <- w - lr v, where v <- momentum v + mask (gradient + prox (w - start)). v, start, mask: NULL where not needed.
typedef struct { float *w, *v, *start, *mask; float lr, momentum, prox; } Rule;

// What one thread works in. rule: the weights of one client (floats). h: what goes into each layer, one behind the other, and the scores.
// d, dt and gt, which becomes the next dt: (pad(batch_size), the widest pad(outputs)).
typedef struct { Rule rule; int64_t floats; float *h, *d, *dt, *gt; } Room;

INLINE vec load(const float *p) { vec a; memcpy(&a, p, sizeof a); return a; }
INLINE void store(float *p, vec a) { memcpy(p, &a, sizeof a); }
INLINE int64_t pad(int64_t n) { return (n + PANEL - 1) / PANEL * PANEL; }
INLINE int64_t layer_floats(const Layer *a) { return (a->inputs + 1) * pad(a->outputs); }

// Where column j begins, if panels are `panel` floats apart.
INLINE int64_t column(int64_t j, int64_t panel) { return j / PANEL * panel + j % PANEL; }

// The ReLU: z where z > 0 or NaN, else 0.
INLINE vec relu(vec z) { return (vec)((bits)z & ~(bits)(z <= 0)); }

// Its gradient: g where h > 0 or NaN, else 0. Without a branch, which would be guessed wrong half of the time.
INLINE float gate(float g, float h) { union { float f; uint32_t word; } u = {g}; u.word &= -(uint32_t)!(h <= 0); return u.f; }

// The vector of weights at `at` learns from its gradient.
INLINE void descend(Rule u, int64_t at, vec gradient) {
    vec w = load(u.w + at);
    if (u.start) gradient += u.prox * (w - load(u.start + at));
    if (u.mask) gradient *= load(u.mask + at);
    if (u.v) store(u.v + at, gradient += u.momentum * load(u.v + at));
    store(u.w + at, w - u.lr * gradient);
}

// A product sum_k a[m][k] b[k][j], and what becomes of it: the gradient of `rule`, or c = the product, or c = relu(the product + bias).
typedef struct {
    int64_t rows, depth, columns;
    const float *a; int64_t a_row, a_column, a_panel;   // a[m][k] is at m * a_row + k * a_column + k / 16 * a_panel
    const float *b;                                     // (depth, columns) in panels
    float *c; int64_t c_row, c_panel;                   // c[m][j], or the weights that learn: at m * c_row + column(j, c_panel)
    const float *bias; int64_t relu;
    const Rule *rule;
} Product;

// Rows m0 to m0 + M and N vectors of columns from j. M and N are constants once this is inlined, so the sums stay in registers.
INLINE void tile(int M, int N, const Product *p, int64_t m0, int64_t j) {
    vec sum[ROWS][COLS], b[COLS];
    for (int m = 0; m < M; m++) for (int n = 0; n < N; n++) sum[m][n] = (vec){0};
    for (int64_t k = 0; k < p->depth; k++) {
        const float *a = p->a + m0 * p->a_row + k * p->a_column + (p->a_panel ? k / PANEL * p->a_panel : 0);
        for (int n = 0; n < N; n++) b[n] = load(p->b + k * PANEL + column(j + n * LANES, p->depth * PANEL));
        for (int m = 0; m < M; m++) for (int n = 0; n < N; n++) sum[m][n] += a[m * p->a_row] * b[n];
    }
    Rule u = p->rule ? *p->rule : (Rule){0};
    int plain = !u.v && !u.start && !u.mask;
    for (int m = 0; m < M; m++) for (int n = 0; n < N; n++) {
        int64_t at = (m0 + m) * p->c_row + column(j + n * LANES, p->c_panel);
        if (p->rule && plain) store(u.w + at, load(u.w + at) - u.lr * sum[m][n]);
        else if (p->rule) descend(u, at, sum[m][n]);
        else if (p->bias && p->relu) store(p->c + at, relu(sum[m][n] + load(p->bias + j + n * LANES)));
        else store(p->c + at, p->bias ? sum[m][n] + load(p->bias + j + n * LANES) : sum[m][n]);
    }
}

// N vectors of columns from j, in tiles of about equal height: a rest of one row would cost as much as five.
INLINE void tiles(int N, const Product *p, int64_t j) {
    for (int64_t m = 0, M; m < p->rows; m += M)
        switch (M = (p->rows - m) / ((p->rows - m + ROWS - 1) / ROWS)) {
            case 5: tile(5, N, p, m, j); break;
            case 4: tile(4, N, p, m, j); break;
            case 3: tile(3, N, p, m, j); break;
            case 2: tile(2, N, p, m, j); break;
            default: tile(1, N, p, m, j);
        }
}

INLINE void multiply(Product p) {
    int64_t j = 0;
    for (; j + COLS * LANES <= p.columns; j += COLS * LANES) tiles(COLS, &p, j);
    for (; j < p.columns; j += LANES) tiles(1, &p, j);
}

// z = relu(h w + bias), the ReLU only if the layer has one.   z (n, outputs) by rows
static void forward(const Layer *a, int64_t n, const float *h, const float *w, float *z) {
    int64_t out = pad(a->outputs);
    multiply((Product){.rows = n, .depth = a->inputs, .columns = out, .a = h, .a_row = pad(a->inputs), .a_column = 1, .b = w,
                       .c = z, .c_row = out, .c_panel = PANEL, .bias = w + a->inputs * out, .relu = a->relu});
}

// gt = w dt, the gradient at the inputs, turned round.   gt (inputs, n) in panels
static void backward(const Layer *a, int64_t n, const float *dt, const float *w, float *gt) {
    int64_t panel = a->inputs * PANEL;
    multiply((Product){.rows = a->inputs, .depth = a->outputs, .columns = pad(n), .a = w, .a_row = PANEL, .a_column = 1,
                       .a_panel = panel - PANEL, .b = dt, .c = gt, .c_row = PANEL, .c_panel = panel});
}

// The weights learn from h^T d, the bias from the sum of d over the batch. u: the rule from this layer's first weight on.
static void learn(const Layer *a, int64_t n, const float *h, const float *d, Rule u) {
    int64_t out = pad(a->outputs);
    multiply((Product){.rows = a->inputs, .depth = n, .columns = out, .a = h, .a_row = 1, .a_column = pad(a->inputs), .b = d,
                       .c_row = PANEL, .c_panel = a->inputs * PANEL, .rule = &u});
    for (int64_t j = 0; a->bias && j < out; j += LANES) {
        vec sum = {0};
        for (int64_t r = 0; r < n; r++) sum += load(d + r * PANEL + column(j, n * PANEL));
        descend(u, a->inputs * out + j, sum);
    }
}

// d = dt^T, both 0 where a ReLU gave h = 0.   h (n, inputs) by rows, d (n, inputs) and dt (inputs, n) in panels
static void turn_round(int64_t inputs, int64_t n, int64_t relu, const float *h, float *dt, float *d) {
    memset(d, 0, sizeof(float) * n * pad(inputs));
    for (int64_t j = 0; j < inputs; j += PANEL)
        for (int64_t r = 0; r < n; r++, d += PANEL) {
            float *t = dt + j * PANEL + column(r, inputs * PANEL);
            for (int64_t i = 0; i < PANEL && j + i < inputs; i++)
                d[i] = t[i * PANEL] = gate(t[i * PANEL], relu ? h[r * pad(inputs) + j + i] : 1);
        }
}

// dt = (softmax(z) - one_hot(y[pick]))^T / n, the gradient of the mean cross-entropy.   z (n, classes) by rows, lost; dt (classes, n)
static void loss_gradient(int64_t classes, int64_t n, const float *z, const int64_t *y, const int64_t *pick, float *dt) {
    for (int64_t r = 0; r < n; r++, z += pad(classes)) {
        float top = z[0], sum = 0, *t = dt + column(r, classes * PANEL);
        for (int64_t j = 1; j < classes; j++) top = z[j] > top ? z[j] : top;
        for (int64_t j = 0; j < classes; j++) sum += t[j * PANEL] = expf(z[j] - top);
        for (int64_t j = 0; j < classes; j++) t[j * PANEL] = (t[j * PANEL] / sum - (j == y[pick[r]])) / n;
    }
}

// The rule for the weights that come `floats` later.
static Rule skip(Rule u, int64_t floats) {
    u.w += floats;
    if (u.v) u.v += floats;
    if (u.start) u.start += floats;
    if (u.mask) u.mask += floats;
    return u;
}

// One step of SGD on the n examples x[pick], y[pick].   x (room, inputs), y (room), pick (n)
static void step(const Job *job, Room t, const float *x, const int64_t *y, const int64_t *pick, int64_t n) {
    const Layer *first = job->layer, *end = first + job->layers, *lowest = first, *a;
    while (lowest < end && !lowest->learns) lowest++;                           // nothing learns below this layer
    for (int64_t r = 0; r < n; r++) memcpy(t.h + r * pad(first->inputs), x + pick[r] * first->inputs, sizeof(float) * first->inputs);
    for (a = first; a < end; a++) {
        float *z = t.h + job->batch_size * pad(a->inputs);
        forward(a, n, t.h, t.rule.w, z);
        t.h = z, t.rule = skip(t.rule, layer_floats(a));
    }
    a = end - 1;
    loss_gradient(a->outputs, n, t.h, y, pick, t.dt);
    turn_round(a->outputs, n, a->relu, t.h, t.dt, t.d);
    for (; a >= lowest; a--) {
        t.h -= job->batch_size * pad(a->inputs), t.rule = skip(t.rule, -layer_floats(a));
        if (a > lowest) backward(a, n, t.dt, t.rule.w, t.gt);                   // before the weights move
        if (a->learns) learn(a, n, t.h, t.d, t.rule);
        if (a > lowest) turn_round(a->inputs, n, a[-1].relu, t.h, t.gt, t.d);
        float *swap = t.dt; t.dt = t.gt, t.gt = swap;
    }
}

// The weights of one client, flat (P) as in PyTorch, each layer (outputs, inputs) and its bias, turned into ours.
static void pack(const Job *job, const float *flat, float *ours) {
    for (const Layer *a = job->layer; a < job->layer + job->layers; ours += layer_floats(a), a++) {
        int64_t panel = a->inputs * PANEL, bias = a->inputs * pad(a->outputs);
        memset(ours, 0, sizeof(float) * layer_floats(a));
        for (int64_t j = 0; j < a->outputs; j++, flat += a->inputs)
            for (int64_t i = 0; i < a->inputs; i++) ours[i * PANEL + column(j, panel)] = flat[i];
        for (int64_t j = 0; a->bias && j < a->outputs; j++) ours[bias + j] = *flat++;
    }
}

// The way back: update (P) = ours - start.   start (P)
static void unpack(const Job *job, const float *ours, const float *start, float *update) {
    for (const Layer *a = job->layer; a < job->layer + job->layers; ours += layer_floats(a), a++) {
        int64_t panel = a->inputs * PANEL, bias = a->inputs * pad(a->outputs);
        for (int64_t j = 0; j < a->outputs; j++, update += a->inputs, start += a->inputs)
            for (int64_t i = 0; i < a->inputs; i++) update[i] = ours[i * PANEL + column(j, panel)] - start[i];
        for (int64_t j = 0; a->bias && j < a->outputs; j++) *update++ = ours[bias + j] - *start++;
    }
}

// Client c: from its start to its row of update.
static void train_client(const Job *job, const Room *t, int64_t c) {
    const float *x = job->x + job->rows[c] * job->room * job->layer[0].inputs;
    const float *start = job->start + c * job->start_stride;
    const int64_t *y = job->y + job->rows[c] * job->room, n = job->num_examples[c];
    pack(job, start, t->rule.w);
    if (t->rule.start) memcpy(t->rule.start, t->rule.w, sizeof(float) * t->floats);
    if (t->rule.v) memset(t->rule.v, 0, sizeof(float) * t->floats);
    for (int64_t e = 0; e < job->epochs; e++)
        for (int64_t i = 0; i < n; i += job->batch_size) {
            const int64_t *pick = job->order + (c * job->epochs + e) * job->longest + i;
            step(job, *t, x, y, pick, n - i < job->batch_size ? n - i : job->batch_size);
        }
    unpack(job, t->rule.w, start, job->update + c * job->weights);
}

// Trains clients turn[*next], turn[*next + 1], ... until none is left. Any number of threads may call this at once, with one `next`, 0 at
// first, and each with its own room, zeros at first. A client's result does not depend on who takes it.
EXPORT void odl_cohort_train(const Job *job, int64_t *next, const Room *room) {
    int64_t i;
    if (room->rule.mask) pack(job, job->mask, room->rule.mask);
    while ((i = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED)) < job->clients) train_client(job, room, job->turn[i]);
}
