/* The interlock rule: one struct, no heap, no hardware, time as an argument.
 *
 * The line is down after fg_init and rises only inside one function. The
 * platform calls fg_receive with bytes, fg_sense with readings, fg_tick often,
 * and after each of them copies fg_line to the pin and sends what fg_take
 * gives. `now_us` is a free-running counter that never goes back.
 */
#ifndef FG_INTERLOCK_H
#define FG_INTERLOCK_H

#include "protocol.h"

enum fg_fault {
    FG_NO_FAULT = 0,
    FG_FAULT_VETO = 1,
    FG_FAULT_CLAIM = 2,
    FG_FAULT_TAMPER = 3,
    FG_FAULT_SEQUENCE = 4 /* ends only with a reset: let the watchdog bite */
};

enum fg_veto {
    FG_NOT_DOCKED = 1,
    FG_TAMPERED = 2,
    FG_MOTION = 4,
    FG_SPEED = 8,
    FG_SILENT = 16
};

enum fg_has {
    FG_HAS_DOCK = 1,
    FG_DOCKED = 2,
    FG_HAS_TAMPER = 4,
    FG_TAMPER_ON = 8,
    FG_HAS_GYRO = 16,
    FG_HAS_ACCEL = 32,
    FG_HAS_LUX = 64,
    FG_HAS_SPEED = 128,
    FG_HAS_POSITION = 256,
    FG_HAS_DOCK_ID = 512
};

enum { FG_TX_ROOM = 1024, FG_DOCK_ID = 12 };

/* One reading of every sensor; what `has` does not name is 0. */
typedef struct {
    uint16_t has;
    int16_t gyro[3];  /* 0.2 mrad/s */
    int16_t accel[3]; /* 2 mm/s2 */
    int32_t lat;      /* 1e-7 degree */
    int32_t lon;
    uint16_t speed; /* 1 cm/s */
    uint32_t lux;   /* 0.01 lux */
    uint8_t dock_id[FG_DOCK_ID];
} fg_sensors;

typedef struct {
    fg_key from_host;
    fg_key to_host;
    uint64_t boot_id;
    uint8_t board;
    uint8_t firmware[8];

    fg_deframer deframer;
    uint8_t tx[FG_TX_ROOM];
    uint32_t tx_count;
    uint32_t tx_sequence;
    uint32_t rx_sequence;
    uint64_t rx_us;
    bool streaming;
    uint64_t status_us;
    uint64_t evidence_us;
    bool complained;
    uint64_t complained_us;
    uint16_t refused;
    uint8_t refusal;

    uint64_t rolls;
    uint64_t rolled_us;
    uint64_t challenge;
    bool has_before;
    uint64_t before;

    fg_sensors sensors;
    bool sensed;
    uint64_t sensed_us;
    uint8_t veto;

    bool permitted;
    uint32_t decision;
    uint64_t until_us;
    uint32_t last_decision;
    uint8_t fault;
    uint32_t fault_decision;
    uint8_t mismatches;

    uint64_t log_floor;
    uint64_t policy_floor;
} fg_board;

void fg_init(fg_board *board, uint64_t now_us, const uint8_t root[FG_ROOT], uint64_t boot_id,
             uint8_t kind, const uint8_t firmware[8]);
void fg_receive(fg_board *board, uint64_t now_us, const uint8_t *data, uint32_t size);
void fg_sense(fg_board *board, uint64_t now_us, const fg_sensors *reading);
void fg_tick(fg_board *board, uint64_t now_us);
uint32_t fg_take(fg_board *board, uint8_t *out, uint32_t room);
bool fg_line(const fg_board *board);

#endif
