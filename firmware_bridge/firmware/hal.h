/* What each chip has to offer, and the rounds of the main loop that all chips share.
 *
 * Each chip's folder holds `registers.h` with its registers, UART0 (a PL011 in
 * both) among them. Where flash, RAM, key block and rollback counters lie comes
 * from `memory_map.py`, which the build passes as FG_... macros.
 */
#ifndef FG_HAL_H
#define FG_HAL_H

#include "rollback_counters.h"

/* Of the chip. Time runs free and never goes back. */
uint64_t hal_now_us(void);
uint64_t hal_fresh(void); /* a number that differs each boot */
void hal_line(bool up);   /* also called from an interrupt, to lower */
bool hal_sense(fg_sensors *reading, uint64_t now_us); /* false: they say nothing */
void hal_feed(void);                                  /* the watchdog */
void hal_erase(uint32_t at); /* half of the counters; only while the line is down */
void hal_write(uint32_t at, const uint8_t record[FG_RECORD]); /* into the counters; erased before */

/* For the chip. */
void main_loop_memory(void);          /* call it first: static variables have no value before it */
void main_loop_run(void);             /* never returns */
void main_loop_millisecond(void);     /* from a timer of a millisecond */
void uart0_interrupt(void);

#endif
