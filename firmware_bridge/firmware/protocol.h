/* Protocol: bytes on the wire, and which of them to believe.
 *
 * COBS framing, CRC-16/IBM-3740, SHA-256, HMAC and HKDF, and the sealed packet.
 * No hardware, no heap, no clock; integers on the wire are little-endian.
 * PROTOCOL.md has the layouts; vectors.json has examples for both sides.
 */
#ifndef FG_PROTOCOL_H
#define FG_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FG_VERSION = 1,
    FG_HEADER = 16,
    FG_TAG = 16,
    FG_CRC = 2,
    FG_MAX_PAYLOAD = 46,
    FG_MAX_CONTENT = FG_HEADER + FG_MAX_PAYLOAD + FG_TAG,
    FG_MAX_BODY = FG_MAX_CONTENT + FG_CRC,
    FG_MAX_CODED = FG_MAX_BODY + 1,
    FG_MAX_WIRE = FG_MAX_CODED + 1,
    FG_ROOT = 32,
    FG_DIGEST = 32,
    FG_FROM_BOARD = 0x80
};

enum fg_kind {
    FG_HELLO = 0x01,
    FG_LEASE = 0x02,
    FG_PING = 0x03,
    FG_LOG_FLOOR = 0x04,
    FG_POLICY_FLOOR = 0x05,
    FG_GREETING = 0x81,
    FG_STATUS = 0x82,
    FG_EVIDENCE = 0x83,
    FG_FLOORS = 0x84,
    FG_REFUSED = 0x85
};

enum fg_refusal {
    FG_OK = 0,
    FG_BAD_LAYOUT = 1,
    FG_BAD_DIRECTION = 2,
    FG_BAD_VERSION = 3,
    FG_BAD_KEY_ID = 4,
    FG_BAD_TAG = 5,
    FG_BAD_BOOT = 6,
    FG_BAD_SEQUENCE = 7,
    FG_BAD_KIND = 8,
    FG_BAD_LENGTH = 9,
    FG_BAD_FIELD = 10,
    FG_BAD_CHALLENGE = 11,
    FG_STALE = 12
};

typedef struct {
    uint32_t inner[8]; /* state after the inner pad: the key itself is not kept */
    uint32_t outer[8];
} fg_key;

typedef struct {
    uint32_t state[8];
    uint8_t block[64];
    uint32_t held;
    uint64_t total;
} fg_sha256;

/* One authenticated packet; payload points into the content it was read from. */
typedef struct {
    uint8_t kind;
    uint8_t length;
    uint64_t boot_id;
    uint32_t sequence;
    const uint8_t *payload;
} fg_packet;

/* Collects bytes up to the next zero byte. */
typedef struct {
    uint8_t held[FG_MAX_CODED];
    uint32_t count;
    bool overlong;
    uint32_t noise;
} fg_deframer;

uint32_t fg_get32(const uint8_t *from);
uint64_t fg_get64(const uint8_t *from);
uint8_t *fg_put(uint8_t *to, uint64_t value, uint32_t bytes);

uint16_t fg_crc16(const uint8_t *data, uint32_t size);
void fg_sha256_init(fg_sha256 *hash);
void fg_sha256_add(fg_sha256 *hash, const uint8_t *data, uint32_t size);
void fg_sha256_end(fg_sha256 *hash, uint8_t digest[FG_DIGEST]);
void fg_key_init(fg_key *key, const uint8_t *secret, uint32_t size);
void fg_hmac(const fg_key *key, const uint8_t *data, uint32_t size, uint8_t digest[FG_DIGEST]);
void fg_derive(const uint8_t root[FG_ROOT], const char *info, fg_key *key);

uint32_t fg_frame(const uint8_t *content, uint32_t size, uint8_t wire[FG_MAX_WIRE]);
uint32_t fg_deframe(fg_deframer *deframer, uint8_t byte, uint8_t content[FG_MAX_BODY]);
uint32_t fg_seal(const fg_packet *packet, const fg_key *key, uint8_t key_byte,
                 uint8_t content[FG_MAX_CONTENT]);
enum fg_refusal fg_unseal(const uint8_t *content, uint32_t size, const fg_key *key,
                          uint8_t key_byte, fg_packet *packet);

#endif
