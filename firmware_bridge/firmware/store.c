/* See store.h. */
#include "store.h"

bool fg_store_valid(const uint8_t block[FG_STORE_SIZE]) {
    static const uint8_t start[8] = {'F', 'G', 'K', 'Y', 1, 0, 0, 0};
    for (uint32_t i = 0; i < 8; i++) {
        if (block[i] != start[i]) {
            return false;
        }
    }
    uint32_t given = block[48] | ((uint32_t)block[49] << 8);
    return given == fg_crc16(block, 48);
}

const uint8_t *fg_store_root(const uint8_t block[FG_STORE_SIZE]) {
    return block + 8;
}

/* A number that differs at each boot if `fresh` does, and reveals nothing of `fresh`. */
uint64_t fg_boot_id(const uint8_t block[FG_STORE_SIZE], uint64_t fresh) {
    fg_key key;
    uint8_t digest[FG_DIGEST];
    uint8_t text[16];
    fg_derive(fg_store_root(block), "boot id", &key);
    (void)fg_put(fg_put(text, fg_get64(block + 40), 8), fresh, 8);
    fg_hmac(&key, text, sizeof text, digest);
    return fg_get64(digest);
}
