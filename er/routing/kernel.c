/* The kernel of classification (kernel.py) in C: the same sums in the same order, so the same
 * decisions. Compiled by native.py, without contraction of floating-point operations.
 */
#include <math.h>
#include <stdint.h>
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
    double margin;                   /* of the best expert over the second; infinite without one */
    int64_t second;
} Router;

static const uint64_t START = 0xCBF29CE484222325ULL, PRIME = 0x100000001B3ULL;

/* Fills `hashes` and `table`, which is to hold -1 everywhere. */
void build_table(const uint8_t *terms, const int32_t *starts, int64_t terms_count,
                 uint64_t *hashes, int32_t *table, uint64_t mask) {
    for (int64_t row = 0; row < terms_count; row++) {
        uint64_t value = START;
        for (int32_t at = starts[row]; at < starts[row + 1]; at++)
            value = (value ^ terms[at]) * PRIME;
        hashes[row] = value;
        uint64_t slot = value & mask;
        while (table[slot] >= 0) slot = (slot + 1) & mask;
        table[slot] = (int32_t)row;
    }
}

static int is_term(const Terms *t, int32_t row, const uint8_t *word, int64_t length,
                   const uint8_t *classes) {
    if (t->starts[row + 1] - t->starts[row] != length) return 0;
    const uint8_t *term = t->terms + t->starts[row];
    for (int64_t at = 0; at < length; at++)
        if (classes[word[at]] != term[at]) return 0;
    return 1;
}

/* Counts the known terms of a text; how many rows were touched. */
int64_t count_terms(Terms *t, const uint8_t *text, int64_t length, const uint8_t *classes) {
    int64_t found = 0, at = 0;
    while (at < length) {
        uint8_t letter = classes[text[at]];
        if (!letter) {
            at++;
            continue;
        }
        int64_t begin = at;
        uint64_t value = START;
        while (letter) {
            value = (value ^ letter) * PRIME;
            letter = ++at < length ? classes[text[at]] : 0;
        }
        uint64_t slot = value & t->mask;
        for (int32_t row; (row = t->table[slot]) >= 0; slot = (slot + 1) & t->mask)
            if (t->hashes[row] == value && is_term(t, row, text + begin, at - begin, classes)) {
                if (!t->counts[row]) t->touched[found++] = row;
                t->counts[row]++;
                break;
            }
    }
    return found;
}

/* The projected tf-idf vector of the touched rows, not scaled; its length. Clears `counts`. */
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

/* All of it at once. */
void classify(Router *r, const uint8_t *text, int64_t length, const uint8_t *classes) {
    double norm = embed(r->terms, count_terms(r->terms, text, length, classes), r->projected);
    score(r->projected, norm, r->centres, r->offsets, r->experts, r->terms->dimensions, r->scores);
}

/* The expert of the highest score, the first of equals; fills `margin` and `second` too. */
int64_t choose(Router *r, const uint8_t *text, int64_t length, const uint8_t *classes) {
    classify(r, text, length, classes);
    int64_t best = 0, second = -1;
    for (int64_t expert = 1; expert < r->experts; expert++)
        if (r->scores[expert] > r->scores[best]) best = expert;
    for (int64_t expert = 0; expert < r->experts; expert++)
        if (expert != best && (second < 0 || r->scores[expert] > r->scores[second])) second = expert;
    r->margin = second < 0 ? INFINITY : r->scores[best] - r->scores[second];
    r->second = second < 0 ? best : second;
    return best;
}
