/* Counts the edges of the control-flow graph that were taken; see firmware_coverage.py. */
#include <stdint.h>

#define BARE __attribute__((no_sanitize("coverage")))
enum { ROOM = 4096 };

static uint8_t hits[ROOM];
static uint32_t count;
static uintptr_t places[ROOM];

BARE void __sanitizer_cov_trace_pc_guard_init(uint32_t *from, uint32_t *to) {
    for (; from < to && *from == 0; from++) {
        *from = ++count;
    }
}

BARE void __sanitizer_cov_trace_pc_guard(uint32_t *guard) {
    hits[*guard] = 1;
}

BARE void __sanitizer_cov_pcs_init(const uintptr_t *from, const uintptr_t *to) {
    for (uint32_t i = 1; from < to && i < ROOM; i++, from += 2) {
        places[i] = from[0];
    }
}

BARE uint32_t fg_edges(void) {
    return count;
}

BARE uint32_t fg_hit(uint32_t edge) {
    return hits[edge];
}

BARE uintptr_t fg_place(uint32_t edge) {
    return places[edge] - (uintptr_t)&fg_edges;
}
