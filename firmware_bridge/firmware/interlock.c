/* See interlock.h. Every branch here has its twin in virtual_board.py. */
#include "interlock.h"

enum {
    MS = 1000,
    MAX_LIFE_MS = 500,
    MAX_ECHO_MS = 250, /* a lease held back longer than this is refused */
    ROLL_US = 1000 * MS,
    SENSOR_LIFE_US = 100 * MS,
    STATUS_US = 50 * MS,
    EVIDENCE_US = 20 * MS,
    COMPLAIN_US = 100 * MS,
    MAX_MISMATCHES = 3,
    GYRO_LIMIT = 750,  /* 0.15 rad/s */
    ACCEL_LOW = 4155,  /* 9.81 m/s2 less 1.5 */
    ACCEL_HIGH = 5655, /* and plus 1.5 */
    SPEED_LIMIT = 200, /* 2 m/s */
    REQUIRED = FG_HAS_DOCK | FG_HAS_TAMPER | FG_HAS_GYRO | FG_HAS_ACCEL | FG_HAS_DOCK_ID
};

enum {
    HELLO_SIZE = 10,
    LEASE_SIZE = 19,
    FLOOR_SIZE = 8
};

/* the line */

/* Raises the line: nothing else does. */
static void permit(fg_board *board, uint32_t decision, uint64_t until_us) {
    board->permitted = true;
    board->decision = decision;
    board->until_us = until_us;
    board->mismatches = 0;
}

static void inhibit(fg_board *board) {
    board->permitted = false;
    board->decision = 0;
}

static void latch(fg_board *board, uint8_t fault) {
    inhibit(board);
    if (fault > board->fault) {
        board->fault = fault;
    }
    board->fault_decision = board->last_decision;
}

bool fg_line(const fg_board *board) {
    return board->permitted;
}

/* sending */

static void send(fg_board *board, uint8_t kind, const uint8_t *payload, uint32_t length) {
    uint8_t content[FG_MAX_CONTENT];
    uint8_t wire[FG_MAX_WIRE];
    if (board->tx_sequence == UINT32_MAX) {
        latch(board, FG_FAULT_SEQUENCE); /* only a reset, with a new boot id, permits new ones */
        return;
    }
    board->tx_sequence++;
    fg_packet packet = {kind, (uint8_t)length, board->boot_id, board->tx_sequence, payload};
    uint32_t size = fg_seal(&packet, &board->to_host, FG_FROM_BOARD, content);
    size = fg_frame(content, size, wire);
    if (board->tx_count + size <= FG_TX_ROOM) {
        for (uint32_t i = 0; i < size; i++) {
            board->tx[board->tx_count + i] = wire[i];
        }
        board->tx_count += size;
    }
}

static void send_status(fg_board *board, uint64_t now_us) {
    uint8_t payload[FG_MAX_PAYLOAD];
    uint8_t *at = payload;
    board->status_us = now_us;
    if (!board->streaming) {
        return;
    }
    uint64_t age_us = now_us - board->rx_us;
    uint64_t left_us = board->permitted ? board->until_us - now_us : 0;
    at = fg_put(at, board->permitted, 1);
    at = fg_put(at, board->fault, 1);
    at = fg_put(at, board->veto, 1);
    at = fg_put(at, board->mismatches, 1);
    at = fg_put(at, board->decision, 4);
    at = fg_put(at, board->challenge, 8);
    at = fg_put(at, now_us, 8);
    at = fg_put(at, board->rx_sequence, 4);
    at = fg_put(at, age_us > UINT32_MAX ? UINT32_MAX : age_us, 4);
    at = fg_put(at, left_us / MS, 2);
    at = fg_put(at, board->refused, 2);
    at = fg_put(at, board->deframer.noise, 2);
    at = fg_put(at, board->refusal, 1);
    send(board, FG_STATUS, payload, (uint32_t)(at - payload));
}

static void send_evidence(fg_board *board, uint64_t now_us) {
    const fg_sensors *s = &board->sensors;
    uint8_t payload[FG_MAX_PAYLOAD];
    uint8_t *at = payload;
    at = fg_put(at, s->has, 2);
    at = fg_put(at, now_us / MS, 4);
    for (uint32_t i = 0; i < 3; i++) {
        at = fg_put(at, (uint16_t)s->gyro[i], 2);
    }
    for (uint32_t i = 0; i < 3; i++) {
        at = fg_put(at, (uint16_t)s->accel[i], 2);
    }
    at = fg_put(at, (uint32_t)s->lat, 4);
    at = fg_put(at, (uint32_t)s->lon, 4);
    at = fg_put(at, s->speed, 2);
    at = fg_put(at, s->lux, 4);
    for (uint32_t i = 0; i < FG_DOCK_ID; i++) {
        at = fg_put(at, s->dock_id[i], 1);
    }
    send(board, FG_EVIDENCE, payload, (uint32_t)(at - payload));
}

static void send_floors(fg_board *board) {
    uint8_t payload[FG_MAX_PAYLOAD];
    uint8_t *at = fg_put(payload, board->log_floor, 8);
    at = fg_put(at, board->policy_floor, 8);
    send(board, FG_FLOORS, payload, (uint32_t)(at - payload));
}

static void refuse(fg_board *board, enum fg_refusal refusal) {
    board->refused++;
    board->refusal = (uint8_t)refusal;
}

static void report(fg_board *board, const fg_packet *packet, enum fg_refusal refusal) {
    uint8_t payload[FG_MAX_PAYLOAD];
    uint8_t *at = fg_put(payload, packet->kind, 1);
    at = fg_put(at, refusal, 1);
    at = fg_put(at, packet->sequence, 4);
    send(board, FG_REFUSED, payload, (uint32_t)(at - payload));
}

/* A challenge that cannot be predicted without the key. */
static uint64_t draw(const fg_board *board) {
    static const char text[] = "challenge";
    uint8_t seed[sizeof text - 1 + 16];
    uint8_t digest[FG_DIGEST];
    uint32_t size = sizeof text - 1;
    for (uint32_t i = 0; i < size; i++) {
        seed[i] = (uint8_t)text[i];
    }
    (void)fg_put(fg_put(seed + size, board->boot_id, 8), board->rolls, 8);
    fg_hmac(&board->to_host, seed, sizeof seed, digest);
    return fg_get64(digest);
}

/* sensors */

static uint32_t square(const int16_t vector[3]) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 3; i++) {
        int32_t axis = vector[i];
        sum += (uint32_t)(axis * axis); /* at most 3 * 2^30 */
    }
    return sum;
}

static uint8_t veto_of(const fg_sensors *s) {
    uint8_t found = 0;
    if ((s->has & REQUIRED) != REQUIRED) {
        found |= FG_SILENT;
    }
    if ((s->has & FG_HAS_DOCK) && !(s->has & FG_DOCKED)) {
        found |= FG_NOT_DOCKED;
    }
    if (s->has & FG_TAMPER_ON) {
        found |= FG_TAMPERED;
    }
    if (square(s->gyro) > (uint32_t)GYRO_LIMIT * GYRO_LIMIT) {
        found |= FG_MOTION;
    }
    if ((s->has & FG_HAS_ACCEL) && (square(s->accel) < (uint32_t)ACCEL_LOW * ACCEL_LOW ||
                                    square(s->accel) > (uint32_t)ACCEL_HIGH * ACCEL_HIGH)) {
        found |= FG_MOTION;
    }
    if (s->speed > SPEED_LIMIT) {
        found |= FG_SPEED;
    }
    return found;
}

static void judge(fg_board *board, uint8_t found, uint64_t now_us) {
    bool news = found != board->veto; /* only then can line or fault change here */
    board->veto = found;
    if (found & FG_TAMPERED) {
        latch(board, FG_FAULT_TAMPER);
    } else if (found && board->permitted) {
        latch(board, FG_FAULT_VETO);
    }
    if (news) {
        send_status(board, now_us);
    }
}

/* the lease */

/* The host claims to release frames while the line is down. */
static void mismatch(fg_board *board) {
    inhibit(board);
    if (board->mismatches < MAX_MISMATCHES) {
        board->mismatches++;
    }
    if (board->mismatches == MAX_MISMATCHES) {
        latch(board, FG_FAULT_CLAIM);
    }
}

/* Whether nothing forbids `decision`; a new one clears a latched fault. */
static bool may_permit(fg_board *board, uint32_t decision) {
    if (board->fault == FG_FAULT_SEQUENCE || board->veto) {
        return false;
    }
    if (board->fault != FG_NO_FAULT && decision <= board->fault_decision) {
        return false;
    }
    board->fault = FG_NO_FAULT;
    return true;
}

static enum fg_refusal lease(fg_board *board, const fg_packet *packet, uint64_t now_us) {
    if (packet->length != LEASE_SIZE) {
        return FG_BAD_LENGTH;
    }
    uint64_t challenge = fg_get64(packet->payload);
    uint32_t echo_ms = fg_get32(packet->payload + 8);
    uint32_t decision = fg_get32(packet->payload + 12);
    uint32_t life_ms = packet->payload[16] | ((uint32_t)packet->payload[17] << 8);
    uint8_t releasing = packet->payload[18];
    if (releasing > 1) {
        return FG_BAD_FIELD;
    }
    if (challenge != board->challenge && !(board->has_before && challenge == board->before)) {
        return FG_BAD_CHALLENGE;
    }
    if ((uint32_t)(now_us / MS) - echo_ms > MAX_ECHO_MS) { /* modulo 2^32: a future time is old */
        return FG_STALE;
    }
    if (life_ms == 0) {
        inhibit(board);
        board->mismatches = 0;
        return FG_OK;
    }
    if (decision == 0) {
        return FG_BAD_FIELD;
    }
    if (life_ms > MAX_LIFE_MS) {
        life_ms = MAX_LIFE_MS;
    }
    board->last_decision = decision;
    if (releasing && !(board->permitted && decision == board->decision)) {
        mismatch(board);
    } else if (may_permit(board, decision)) {
        permit(board, decision, now_us + (uint64_t)life_ms * MS);
    }
    return FG_OK;
}

/* packets */

static enum fg_refusal hello(fg_board *board, const fg_packet *packet, uint64_t now_us) {
    uint8_t payload[FG_MAX_PAYLOAD];
    uint8_t *at = payload;
    if (packet->length != HELLO_SIZE) {
        return FG_BAD_LENGTH;
    }
    at = fg_put(at, FG_VERSION, 1);
    at = fg_put(at, FG_VERSION, 1);
    at = fg_put(at, board->board, 1);
    at = fg_put(at, fg_get64(board->firmware), 8);
    at = fg_put(at, fg_get64(packet->payload + 2), 8);
    at = fg_put(at, board->challenge, 8);
    at = fg_put(at, board->rx_sequence, 4);
    at = fg_put(at, now_us, 8);
    send(board, FG_GREETING, payload, (uint32_t)(at - payload));
    if (packet->payload[0] > FG_VERSION || packet->payload[1] < FG_VERSION) {
        return FG_BAD_VERSION;
    }
    board->streaming = true;
    return FG_OK;
}

static enum fg_refusal raise_floor(fg_board *board, const fg_packet *packet, uint64_t *floor) {
    if (packet->length != FLOOR_SIZE) {
        return FG_BAD_LENGTH;
    }
    uint64_t value = fg_get64(packet->payload);
    if (value > *floor) {
        *floor = value;
    }
    send_floors(board);
    return FG_OK;
}

/* The allow-list: whatever is not named here is refused. */
static enum fg_refusal act(fg_board *board, const fg_packet *packet, uint64_t now_us) {
    if (packet->kind == FG_HELLO) {
        return hello(board, packet, now_us); /* changes nothing, so a repeated one is harmless */
    }
    if (packet->boot_id != board->boot_id) {
        return FG_BAD_BOOT;
    }
    if (packet->sequence <= board->rx_sequence) {
        return FG_BAD_SEQUENCE;
    }
    board->rx_sequence = packet->sequence;
    board->rx_us = now_us;
    switch (packet->kind) {
    case FG_LEASE:
        return lease(board, packet, now_us);
    case FG_PING:
        return packet->length ? FG_BAD_LENGTH : FG_OK;
    case FG_LOG_FLOOR:
        return raise_floor(board, packet, &board->log_floor);
    case FG_POLICY_FLOOR:
        return raise_floor(board, packet, &board->policy_floor);
    default:
        return FG_BAD_KIND;
    }
}

/* Say what was wrong with a packet that did not authenticate, but not too often. */
static void complain(fg_board *board, const fg_packet *packet, enum fg_refusal refusal,
                     uint64_t now_us) {
    if (refusal == FG_BAD_LAYOUT || refusal == FG_BAD_DIRECTION) {
        return;
    }
    if (board->complained && now_us - board->complained_us < COMPLAIN_US) {
        return;
    }
    board->complained = true;
    board->complained_us = now_us;
    report(board, packet, refusal);
}

static void take_content(fg_board *board, const uint8_t *content, uint32_t size,
                         uint64_t now_us) {
    fg_packet packet;
    enum fg_refusal refusal = fg_unseal(content, size, &board->from_host, 0, &packet);
    if (refusal != FG_OK) {
        refuse(board, refusal);
        complain(board, &packet, refusal, now_us);
        return;
    }
    refusal = act(board, &packet, now_us);
    if (refusal != FG_OK) {
        refuse(board, refusal);
        report(board, &packet, refusal);
        return;
    }
    send_status(board, now_us);
}

/* what happens to a board */

void fg_init(fg_board *board, uint64_t now_us, const uint8_t root[FG_ROOT], uint64_t boot_id,
             uint8_t kind, const uint8_t firmware[8]) {
    uint8_t *bytes = (uint8_t *)board;
    for (size_t i = 0; i < sizeof *board; i++) {
        bytes[i] = 0;
    }
    fg_derive(root, "host to board", &board->from_host);
    fg_derive(root, "board to host", &board->to_host);
    board->boot_id = boot_id;
    board->board = kind;
    (void)fg_put(board->firmware, fg_get64(firmware), 8);
    board->rx_us = now_us;
    board->evidence_us = now_us;
    board->rolled_us = now_us;
    board->challenge = draw(board);
    board->veto = FG_SILENT;
}

/* Called before anything else, so that no code ever sees a lease past its end. */
static void expire(fg_board *board, uint64_t now_us) {
    if (board->permitted && now_us >= board->until_us) {
        inhibit(board);
        send_status(board, now_us);
    }
}

void fg_receive(fg_board *board, uint64_t now_us, const uint8_t *data, uint32_t size) {
    uint8_t content[FG_MAX_BODY];
    expire(board, now_us);
    for (uint32_t i = 0; i < size; i++) {
        uint32_t whole = fg_deframe(&board->deframer, data[i], content);
        if (whole > 0) {
            take_content(board, content, whole, now_us);
        }
    }
}

void fg_sense(fg_board *board, uint64_t now_us, const fg_sensors *reading) {
    expire(board, now_us);
    board->sensors = *reading;
    board->sensed = true;
    board->sensed_us = now_us;
    judge(board, veto_of(reading), now_us);
}

static void roll(fg_board *board, uint64_t now_us) {
    board->has_before = now_us - board->rolled_us < 2 * (uint64_t)ROLL_US;
    board->before = board->challenge;
    board->rolls++;
    board->rolled_us = now_us;
    board->challenge = draw(board);
}

/* A tick sends at most one packet that is due: reading the sensors never waits for two. */
void fg_tick(fg_board *board, uint64_t now_us) {
    expire(board, now_us);
    if (board->sensed && now_us - board->sensed_us > SENSOR_LIFE_US) {
        board->sensed = false;
        judge(board, FG_SILENT, now_us);
    }
    if (now_us - board->rolled_us >= ROLL_US) {
        roll(board, now_us);
    } else if (now_us - board->status_us >= STATUS_US) {
        send_status(board, now_us);
    } else if (now_us - board->evidence_us >= EVIDENCE_US) {
        board->evidence_us = now_us;
        if (board->streaming && board->sensed) {
            send_evidence(board, now_us);
        }
    }
}

uint32_t fg_take(fg_board *board, uint8_t *out, uint32_t room) {
    uint32_t size = board->tx_count < room ? board->tx_count : room;
    for (uint32_t i = 0; i < size; i++) {
        out[i] = board->tx[i];
    }
    for (uint32_t i = size; i < board->tx_count; i++) {
        board->tx[i - size] = board->tx[i];
    }
    board->tx_count -= size;
    return size;
}
