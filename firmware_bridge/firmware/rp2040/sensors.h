/* The sensors of the RP2040 board; see docs/hardware.md for the wiring. */
#ifndef FG_RP2040_SENSORS_H
#define FG_RP2040_SENSORS_H

#include "interlock.h"

void sensors_start(void);
void sensors_read(fg_sensors *reading, uint64_t now_us);

#endif
