/* What each chip has to offer, and the rounds of the main loop that all chips share.
 *
 * Each chip's folder holds `registers.h` with REG, UART0 (a PL011 in both),
 * BOARD_KIND, STORE (the provisioned block) and KEPT, KEPT_SIZE (floors).
 */
#ifndef FG_CHIP_H
#define FG_CHIP_H

#include "rollback_counters.h"

/* Of the chip. Time runs free and never goes back. */
uint64_t chip_now_us(void);
uint64_t chip_fresh(void); /* a number that differs each boot */
void chip_line(bool up);   /* also called from an interrupt, to lower */
bool chip_sense(fg_sensors *reading, uint64_t now_us); /* false: they say nothing */
void chip_feed(void);                                  /* the watchdog */
void chip_erase(uint32_t at); /* half of KEPT; only while the line is down */
void chip_write(uint32_t at, const uint8_t record[FG_RECORD]); /* into KEPT; erased before */

/* For the chip. */
void rounds_memory(void);          /* first of all: nothing static holds before it */
void rounds_run(void);             /* never returns */
void rounds_millisecond(void);     /* from a timer of a millisecond */
void uart0_interrupt(void);

#endif
