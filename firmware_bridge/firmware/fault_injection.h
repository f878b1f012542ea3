/* Bench control: one byte at a time from outside plays the sensors and makes faults.
 *
 * Linked only into the host process and the emulated board, which have no
 * sensors of their own. The greeting's board kind (2, 3) tells the host so.
 */
#ifndef FG_BENCH_H
#define FG_BENCH_H

#include "interlock.h"

typedef struct {
    bool undocked;  /* 'u' on, 'd' off */
    bool tampered;  /* 't' on, 's' off */
    bool moving;    /* 'm' on, 'r' off */
    bool silent;    /* 'q' on, 'p' off: sensors say nothing */
    bool wedged;    /* 'w': the main loop hangs with interrupts on */
    bool dead;      /* 'x': the main loop hangs with interrupts off */
    bool restarted; /* 'z': reset */
    bool curious;   /* 'l': at the next change of the line, report when host and bench spoke */
    uint8_t count;  /* readings taken, for a little noise */
} fg_bench;

void fg_bench_command(fg_bench *bench, uint8_t byte);
void fg_bench_reading(fg_bench *bench, fg_sensors *reading);

#endif
