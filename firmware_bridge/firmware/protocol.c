/* See protocol.h. */
#include "protocol.h"

static const char SALT[] = "framegate board v1";

/* little-endian integers */

uint64_t fg_get64(const uint8_t *from) {
    uint64_t value = 0;
    for (uint32_t i = 8; i > 0; i--) {
        value = (value << 8) | from[i - 1];
    }
    return value;
}

uint32_t fg_get32(const uint8_t *from) {
    uint32_t value = 0;
    for (uint32_t i = 4; i > 0; i--) {
        value = (value << 8) | from[i - 1];
    }
    return value;
}

uint8_t *fg_put(uint8_t *to, uint64_t value, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
    return to + bytes;
}

static void copy(uint8_t *to, const uint8_t *from, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        to[i] = from[i];
    }
}

/* CRC-16/IBM-3740: polynomial 0x1021, start 0xFFFF, nothing reflected */

uint16_t fg_crc16(const uint8_t *data, uint32_t size) {
    uint32_t crc = 0xFFFF;
    for (uint32_t i = 0; i < size; i++) {
        crc ^= (uint32_t)data[i] << 8;
        for (uint32_t bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000U) ? (crc << 1) ^ 0x1021U : crc << 1;
        }
    }
    return (uint16_t)crc;
}

/* SHA-256, FIPS 180-4 */

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t value, uint32_t bits) {
    return (value >> bits) | (value << (32 - bits));
}

static void compress(uint32_t state[8], const uint8_t block[64]) {
    uint32_t w[64];
    for (uint32_t i = 0; i < 16; i++) {
        w[i] = ((uint32_t)block[4 * i] << 24) | ((uint32_t)block[4 * i + 1] << 16) |
               ((uint32_t)block[4 * i + 2] << 8) | block[4 * i + 3];
    }
    for (uint32_t i = 16; i < 64; i++) {
        uint32_t s0 = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >> 3);
        uint32_t s1 = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t v[8];
    for (uint32_t i = 0; i < 8; i++) {
        v[i] = state[i];
    }
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t s1 = turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25);
        uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i];
        uint32_t s0 = turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22);
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        for (uint32_t j = 7; j > 0; j--) {
            v[j] = v[j - 1];
        }
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (uint32_t i = 0; i < 8; i++) {
        state[i] += v[i];
    }
}

void fg_sha256_init(fg_sha256 *hash) {
    static const uint32_t start[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    for (uint32_t i = 0; i < 8; i++) {
        hash->state[i] = start[i];
    }
    hash->held = 0;
    hash->total = 0;
}

void fg_sha256_add(fg_sha256 *hash, const uint8_t *data, uint32_t size) {
    hash->total += size;
    for (uint32_t i = 0; i < size; i++) {
        hash->block[hash->held] = data[i];
        hash->held++;
        if (hash->held == 64) {
            compress(hash->state, hash->block);
            hash->held = 0;
        }
    }
}

void fg_sha256_end(fg_sha256 *hash, uint8_t digest[FG_DIGEST]) {
    uint64_t bits = hash->total * 8;
    uint8_t byte = 0x80;
    fg_sha256_add(hash, &byte, 1);
    byte = 0;
    while (hash->held != 56) {
        fg_sha256_add(hash, &byte, 1);
    }
    for (uint32_t i = 0; i < 8; i++) {
        byte = (uint8_t)(bits >> (56 - 8 * i));
        fg_sha256_add(hash, &byte, 1);
    }
    for (uint32_t i = 0; i < FG_DIGEST; i++) {
        digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
    }
}

/* HMAC, RFC 2104; a key is held as the two states after its pads */

static void pad(uint32_t state[8], const uint8_t *secret, uint32_t size, uint8_t with) {
    fg_sha256 hash;
    fg_sha256_init(&hash);
    for (uint32_t i = 0; i < 64; i++) {
        uint8_t byte = (uint8_t)((i < size ? secret[i] : 0) ^ with);
        fg_sha256_add(&hash, &byte, 1);
    }
    for (uint32_t i = 0; i < 8; i++) {
        state[i] = hash.state[i];
    }
}

void fg_key_init(fg_key *key, const uint8_t *secret, uint32_t size) {
    uint8_t digest[FG_DIGEST];
    if (size > 64) {
        fg_sha256 hash;
        fg_sha256_init(&hash);
        fg_sha256_add(&hash, secret, size);
        fg_sha256_end(&hash, digest);
        secret = digest;
        size = FG_DIGEST;
    }
    pad(key->inner, secret, size, 0x36);
    pad(key->outer, secret, size, 0x5C);
}

static void resume(fg_sha256 *hash, const uint32_t state[8]) {
    for (uint32_t i = 0; i < 8; i++) {
        hash->state[i] = state[i];
    }
    hash->held = 0;
    hash->total = 64;
}

void fg_hmac(const fg_key *key, const uint8_t *data, uint32_t size, uint8_t digest[FG_DIGEST]) {
    fg_sha256 hash;
    resume(&hash, key->inner);
    fg_sha256_add(&hash, data, size);
    fg_sha256_end(&hash, digest);
    resume(&hash, key->outer);
    fg_sha256_add(&hash, digest, FG_DIGEST);
    fg_sha256_end(&hash, digest);
}

/* HKDF-SHA-256, RFC 5869: extract, then one block of expand */
void fg_derive(const uint8_t root[FG_ROOT], const char *info, fg_key *key) {
    uint8_t digest[FG_DIGEST];
    uint8_t text[64];
    uint32_t size = 0;
    fg_key_init(key, (const uint8_t *)SALT, sizeof SALT - 1);
    fg_hmac(key, root, FG_ROOT, digest);
    fg_key_init(key, digest, FG_DIGEST);
    while (info[size] != '\0') {
        text[size] = (uint8_t)info[size];
        size++;
    }
    text[size] = 1;
    fg_hmac(key, text, size + 1, digest);
    fg_key_init(key, digest, FG_DIGEST);
}

/* COBS: no zero byte inside a packet */

static uint32_t cobs_encode(const uint8_t *body, uint32_t size, uint8_t *coded) {
    uint32_t mark = 0;
    uint32_t at = 1;
    for (uint32_t i = 0; i < size; i++) { /* size < 254, so no run is split */
        if (body[i] == 0) {
            coded[mark] = (uint8_t)(at - mark);
            mark = at;
        } else {
            coded[at] = body[i];
        }
        at++;
    }
    coded[mark] = (uint8_t)(at - mark);
    return at;
}

/* Size of the body, or 0 if `coded` is none; every read lies inside `size`. */
static uint32_t cobs_decode(const uint8_t *coded, uint32_t size, uint8_t *body) {
    uint32_t out = 0;
    uint32_t at = 0;
    while (at < size) {
        uint32_t end = at + coded[at];
        if (end > size) {
            return 0;
        }
        for (at++; at < end; at++) {
            body[out++] = coded[at];
        }
        if (at < size) {
            body[out++] = 0;
        }
    }
    return out;
}

uint32_t fg_frame(const uint8_t *content, uint32_t size, uint8_t wire[FG_MAX_WIRE]) {
    uint8_t body[FG_MAX_BODY];
    copy(body, content, size);
    (void)fg_put(body + size, fg_crc16(content, size), FG_CRC);
    uint32_t coded = cobs_encode(body, size + FG_CRC, wire);
    wire[coded] = 0;
    return coded + 1;
}

/* Size of the content that `byte` completes, or 0; counts what is no packet. */
uint32_t fg_deframe(fg_deframer *deframer, uint8_t byte, uint8_t content[FG_MAX_BODY]) {
    if (byte != 0) {
        if (deframer->count == FG_MAX_CODED) {
            deframer->overlong = true;
        } else {
            deframer->held[deframer->count] = byte;
            deframer->count++;
        }
        return 0;
    }
    uint32_t count = deframer->count;
    bool overlong = deframer->overlong;
    deframer->count = 0;
    deframer->overlong = false;
    if (count == 0) {
        return 0; /* idle line */
    }
    uint32_t size = overlong ? 0 : cobs_decode(deframer->held, count, content);
    if (size > FG_CRC) {
        size -= FG_CRC;
        uint32_t given = content[size] | ((uint32_t)content[size + 1] << 8);
        if (given == fg_crc16(content, size)) {
            return size;
        }
    }
    deframer->noise++;
    return 0;
}

/* sealed packets */

uint32_t fg_seal(const fg_packet *packet, const fg_key *key, uint8_t key_byte,
                 uint8_t content[FG_MAX_CONTENT]) {
    uint8_t digest[FG_DIGEST];
    uint8_t *at = content;
    at = fg_put(at, FG_VERSION, 1);
    at = fg_put(at, packet->kind, 1);
    at = fg_put(at, key_byte, 1);
    at = fg_put(at, packet->length, 1);
    at = fg_put(at, packet->boot_id, 8);
    at = fg_put(at, packet->sequence, 4);
    copy(at, packet->payload, packet->length);
    uint32_t size = (uint32_t)FG_HEADER + packet->length;
    fg_hmac(key, content, size, digest);
    copy(content + size, digest, FG_TAG);
    return size + FG_TAG;
}

enum fg_refusal fg_unseal(const uint8_t *content, uint32_t size, const fg_key *key,
                          uint8_t key_byte, fg_packet *packet) {
    uint8_t digest[FG_DIGEST];
    uint8_t differs = 0;
    if (size < FG_HEADER + FG_TAG) {
        return FG_BAD_LAYOUT;
    }
    uint32_t length = size - FG_HEADER - FG_TAG;
    if (content[3] != length) {
        return FG_BAD_LAYOUT;
    }
    if ((content[2] & FG_FROM_BOARD) != (key_byte & FG_FROM_BOARD)) {
        return FG_BAD_DIRECTION;
    }
    packet->kind = content[1];
    packet->length = content[3];
    packet->boot_id = fg_get64(content + 4);
    packet->sequence = fg_get32(content + 12);
    packet->payload = content + FG_HEADER;
    if (content[0] != FG_VERSION) {
        return FG_BAD_VERSION;
    }
    if (content[2] != key_byte) {
        return FG_BAD_KEY_ID;
    }
    fg_hmac(key, content, FG_HEADER + length, digest);
    for (uint32_t i = 0; i < FG_TAG; i++) { /* takes the same time whichever byte differs */
        differs |= digest[i] ^ content[FG_HEADER + length + i];
    }
    return differs ? FG_BAD_TAG : FG_OK;
}
