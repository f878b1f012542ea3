/* Erasing and writing the flash the code runs from, by the boot ROM's own functions. */
#ifndef FG_RP2040_FLASH_H
#define FG_RP2040_FLASH_H

#include <stdint.h>

void flash_erase(uint32_t address);                                        /* one sector */
void flash_write(uint32_t address, const uint8_t *data, uint32_t size); /* within one page */

#endif
