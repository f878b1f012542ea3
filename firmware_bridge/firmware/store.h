/* The provisioned block: the root key and a seed, written by the platform's own tool.
 *
 *   0  "FGKY"   4  version 1   5  three zero bytes   8  root key, 32 bytes
 *  40  seed of the boot ids, 8 bytes   48  CRC-16 of all before, then 14 bytes 0xFF
 */
#ifndef FG_STORE_H
#define FG_STORE_H

#include "protocol.h"

enum { FG_STORE_SIZE = 64 };

bool fg_store_valid(const uint8_t block[FG_STORE_SIZE]);
const uint8_t *fg_store_root(const uint8_t block[FG_STORE_SIZE]);
uint64_t fg_boot_id(const uint8_t block[FG_STORE_SIZE], uint64_t fresh);

#endif
