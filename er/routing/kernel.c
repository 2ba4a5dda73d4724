/* The kernel of classification (kernel.py) in C: the same sums in the same order, so the same
 * decisions. Compiled by native.py, without contraction of floating-point operations.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const uint8_t *terms;       /* all terms, one after the other */
    const int32_t *starts;      /* (v + 1,) where each term begins */
    const uint64_t *hashes;     /* (v,) of each term */
    const int32_t *table;           /* (mask + 1,) rows by hash, open addressing; -1: free */
    uint64_t mask;
    int32_t *counts, *touched;  /* (v,) zero between calls; rows in the order of first occurrence */
    const double *idf;          /* (v,) */
    const float *components;    /* (v, dimensions) */
    int64_t terms_count, dimensions, sublinear;
} Terms;

typedef struct {
    Terms *terms;
    const double *centres, *offsets; /* (experts, dimensions), (experts,) */
    int64_t experts;
    double *projected, *scores;      /* (dimensions,), (experts,): results */
} Router;

static const uint64_t PRIME = 0x9E3779B97F4A7C15ULL, ONES = 0x0101010101010101ULL;
enum { EIGHT = 8 };

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are read eight bytes at a time, the first the lowest"
#endif

#if defined(__x86_64__) && defined(__GLIBC__)
#define WIDE __attribute__((target_clones("avx2", "default"))) /* element by element: same bits */
#else
#define WIDE
#endif

static uint64_t mix(uint64_t value, uint64_t eight) {
    value = (value ^ eight) * PRIME;
    return value ^ value >> 32;
}

/* A hash of a word: of its length, and of its bytes, eight at a time, the last filled with zeros. */
static uint64_t hash_of(const uint8_t *word, int64_t length) {
    uint64_t value = (uint64_t)length, eight;
    for (; length > 0; word += EIGHT, length -= EIGHT) {
        eight = 0;
        memcpy(&eight, word, length < EIGHT ? (size_t)length : EIGHT);
        value = mix(value, eight);
    }
    return value;
}

/* Fills `hashes` and `table`, which is to hold -1 everywhere. */
void build_table(const uint8_t *terms, const int32_t *starts, int64_t terms_count,
                 uint64_t *hashes, int32_t *table, uint64_t mask) {
    for (int64_t row = 0; row < terms_count; row++) {
        uint64_t value = hash_of(terms + starts[row], starts[row + 1] - starts[row]);
        hashes[row] = value;
        uint64_t slot = value & mask;
        while (table[slot] >= 0) slot = (slot + 1) & mask;
        table[slot] = (int32_t)row;
    }
}

/* Words in lower case, zeros between them. Bytes beyond ASCII are parts of words. */
static void separate(const uint8_t *restrict text, int64_t length, uint8_t *restrict words) {
    for (int64_t at = 0; at < length; at++) {
        uint8_t byte = text[at], lower = byte | (uint8_t)((uint8_t)(byte - 'A') < 26 ? 32 : 0);
        int is_part = ((uint8_t)(lower - 'a') < 26) | ((uint8_t)(byte - '0') < 10) | (byte == '_') |
                      (byte > 127);
        words[at] = is_part ? lower : 0;
    }
    memset(words + length, 0, 2 * EIGHT);
}

/* Counts the known terms of words between zeros; how many rows were touched. */
static int64_t count_words(Terms *t, const uint8_t *at, const uint8_t *end) {
    int64_t found = 0;
    for (;; at++) {
        while (at < end && !*at) at++;
        if (at >= end) return found;
        uint64_t eight, value;
        memcpy(&eight, at, EIGHT);
        uint64_t zeros = (eight - ONES) & ~eight & ONES << 7; /* the lowest one is the first zero */
        const uint8_t *word = at;
        if (zeros) {
            int length = __builtin_ctzll(zeros) / 8;
            value = mix((uint64_t)length, eight & ((1ULL << 8 * length) - 1));
            at += length;
        } else {
            at += strlen((const char *)at);
            value = hash_of(word, at - word);
        }
        uint64_t slot = value & t->mask;
        for (int32_t row; (row = t->table[slot]) >= 0; slot = (slot + 1) & t->mask)
            if (t->hashes[row] == value && t->starts[row + 1] - t->starts[row] == at - word &&
                !memcmp(t->terms + t->starts[row], word, (size_t)(at - word))) {
                if (!t->counts[row]) t->touched[found++] = row;
                t->counts[row]++;
                break;
            }
    }
}

/* Counts the known terms of a text; how many rows were touched, -1 without memory. */
int64_t count_terms(Terms *t, const uint8_t *text, int64_t length) {
    uint8_t held[8192], *words = held;
    if (length + 2 * EIGHT > (int64_t)sizeof held && !(words = malloc((size_t)length + 2 * EIGHT)))
        return -1;
    separate(text, length, words);
    int64_t found = count_words(t, words, words + length);
    if (words != held) free(words);
    return found;
}

/* The projected tf-idf vector of the touched rows, not scaled; its length. Clears `counts`. */
WIDE
double embed(Terms *t, int64_t found, double *projected) {
    memset(projected, 0, (size_t)t->dimensions * sizeof *projected);
    for (int64_t n = 0; n < found; n++) {
        int32_t row = t->touched[n];
        double count = t->counts[row], frequency = t->sublinear ? 1.0 + log(count) : count;
        double weight = frequency * t->idf[row];
        const float *component = t->components + row * t->dimensions;
        t->counts[row] = 0;
        for (int64_t d = 0; d < t->dimensions; d++) projected[d] += weight * component[d];
    }
    double squared = 0.0;
    for (int64_t d = 0; d < t->dimensions; d++) squared += projected[d] * projected[d];
    return sqrt(squared);
}

/* For each expert: unit vector times centre, minus offset. */
void score(const double *projected, double length, const double *centres, const double *offsets,
           int64_t experts, int64_t dimensions, double *scores) {
    double scale = length > 0 ? 1.0 / length : 1.0;
    for (int64_t expert = 0; expert < experts; expert++) {
        double total = 0.0;
        for (int64_t d = 0; d < dimensions; d++)
            total += projected[d] * centres[expert * dimensions + d];
        scores[expert] = total * scale - offsets[expert];
    }
}

/* All of it at once; -1 without memory. */
int classify(Router *r, const uint8_t *text, int64_t length) {
    int64_t found = count_terms(r->terms, text, length);
    if (found < 0) return -1;
    double norm = embed(r->terms, found, r->projected);
    score(r->projected, norm, r->centres, r->offsets, r->experts, r->terms->dimensions, r->scores);
    return 0;
}

/* From here on: `choose` as a function of Python's own, since a call through ctypes costs as much
 * as the rest. What is used of Python's C interface is declared here and part of its stable ABI, so
 * that no header is needed. */
typedef struct PyObject PyObject;
typedef struct {
    const char *name;
    PyObject *(*function)(PyObject *, PyObject *);
    int flags;
    const char *documentation;
} PyMethodDef;

extern PyObject *PyCFunction_NewEx(PyMethodDef *, PyObject *, PyObject *);
extern PyObject *PyErr_NoMemory(void);
extern PyObject *PyLong_FromVoidPtr(void *);
extern void *PyLong_AsVoidPtr(PyObject *);
extern const char *PyUnicode_AsUTF8AndSize(PyObject *, int64_t *);
extern PyObject *Py_BuildValue(const char *, ...);
extern void Py_DecRef(PyObject *);

/* The expert of the highest score, the first of equals, its margin over the second, the second. */
static PyObject *choose(PyObject *router, PyObject *words) {
    Router *r = PyLong_AsVoidPtr(router);
    int64_t length, best = 0, second = -1;
    const char *text = PyUnicode_AsUTF8AndSize(words, &length);
    if (!text) return NULL;
    if (classify(r, (const uint8_t *)text, length) < 0) return PyErr_NoMemory();
    for (int64_t expert = 1; expert < r->experts; expert++)
        if (r->scores[expert] > r->scores[best]) best = expert;
    for (int64_t expert = 0; expert < r->experts; expert++)
        if (expert != best && (second < 0 || r->scores[expert] > r->scores[second])) second = expert;
    double margin = second < 0 ? INFINITY : r->scores[best] - r->scores[second];
    return Py_BuildValue("LdL", (long long)best, margin, (long long)(second < 0 ? best : second));
}

/* `choose` for one router, which is to live as long. */
PyObject *chooser(Router *r) {
    enum { ONE_ARGUMENT = 8 };
    static PyMethodDef method = {"choose", choose, ONE_ARGUMENT, NULL};
    PyObject *address = PyLong_FromVoidPtr(r);
    if (!address) return NULL;
    PyObject *function = PyCFunction_NewEx(&method, address, NULL);
    Py_DecRef(address);
    return function;
}
