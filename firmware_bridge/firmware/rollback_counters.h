/* Floors that outlive a reset: records, appended to a memory that is erased by halves.
 *
 *   0  "FGFL"   4  log size, 8 bytes   12  policy version, 8 bytes
 *  20  CRC-16 of all before, then 10 bytes 0xFF
 *
 * Floors only rise, so the highest values in any whole record are the ones that
 * count, in whatever order they lie. A record torn by a reset fails its CRC and
 * is passed over; the one before still stands. With no room left, the half that
 * does not hold the newest record is erased. No hardware here.
 */
#ifndef FG_FLOORS_H
#define FG_FLOORS_H

#include "interlock.h"

enum { FG_RECORD = 32 };

typedef struct {
    uint64_t log;
    uint64_t policy;
    uint32_t free;  /* where the next record goes; the memory's size if it is full */
    uint32_t stale; /* the half that may be erased */
} fg_floors;

void fg_floors_read(const uint8_t *memory, uint32_t size, fg_floors *floors);
void fg_floors_record(uint64_t log, uint64_t policy, uint8_t record[FG_RECORD]);
void fg_restore(fg_board *board, const fg_floors *floors);

#endif
