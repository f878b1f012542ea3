/* See rollback_counters.h. */
#include "rollback_counters.h"

enum { LOG_AT = 4, POLICY_AT = 12, CRC_AT = 20 };

void fg_floors_record(uint64_t log, uint64_t policy, uint8_t record[FG_RECORD]) {
    static const uint8_t start[LOG_AT] = {'F', 'G', 'F', 'L'};
    for (uint32_t i = 0; i < FG_RECORD; i++) {
        record[i] = i < LOG_AT ? start[i] : 0xFF;
    }
    (void)fg_put(fg_put(record + LOG_AT, log, 8), policy, 8);
    (void)fg_put(record + CRC_AT, fg_crc16(record, CRC_AT), 2);
}

static bool same(const uint8_t *a, const uint8_t *b) {
    uint32_t left = FG_RECORD;
    while (left > 0 && a[left - 1] == b[left - 1]) {
        left--;
    }
    return left == 0;
}

static bool erased(const uint8_t *record) {
    uint32_t empty = 0;
    while (empty < FG_RECORD && record[empty] == 0xFF) {
        empty++;
    }
    return empty == FG_RECORD;
}

void fg_floors_read(const uint8_t *memory, uint32_t size, fg_floors *floors) {
    *floors = (fg_floors){.free = size};
    for (uint32_t at = 0; at < size; at += FG_RECORD) {
        uint8_t whole[FG_RECORD];
        uint64_t log = fg_get64(memory + at + LOG_AT);
        uint64_t policy = fg_get64(memory + at + POLICY_AT);
        if (erased(memory + at)) {
            floors->free = at < floors->free ? at : floors->free;
            continue;
        }
        fg_floors_record(log, policy, whole);
        if (!same(whole, memory + at)) {
            continue;
        }
        if (log >= floors->log && policy >= floors->policy) {
            floors->stale = at < size / 2 ? size / 2 : 0;
        }
        floors->log = log > floors->log ? log : floors->log;
        floors->policy = policy > floors->policy ? policy : floors->policy;
    }
}

/* Call it after fg_init: what was kept before the reset still holds. */
void fg_restore(fg_board *board, const fg_floors *floors) {
    board->log_floor = floors->log;
    board->policy_floor = floors->policy;
}
