/* See fault_injection.h. */
#include "fault_injection.h"

void fg_bench_command(fg_bench *bench, uint8_t byte) {
    switch (byte) {
    case 'u':
    case 'd':
        bench->undocked = byte == 'u';
        break;
    case 't':
    case 's':
        bench->tampered = byte == 't';
        break;
    case 'm':
    case 'r':
        bench->moving = byte == 'm';
        break;
    case 'q':
    case 'p':
        bench->silent = byte == 'q';
        break;
    case 'w':
        bench->wedged = true;
        break;
    case 'x':
        bench->dead = true;
        break;
    case 'l':
        bench->curious = true;
        break;
    case 'z':
        bench->restarted = true;
        break;
    default:
        break;
    }
}

void fg_bench_reading(fg_bench *bench, fg_sensors *reading) {
    static const uint8_t dock_id[FG_DOCK_ID] = {'D', '-', '0', '0', '1', '7'};
    bench->count++;
    int16_t noise = (int16_t)((bench->count * 37U) % 21U);
    *reading = (fg_sensors){0};
    reading->has = FG_HAS_DOCK | FG_HAS_TAMPER | FG_HAS_GYRO | FG_HAS_ACCEL | FG_HAS_LUX |
                   FG_HAS_DOCK_ID;
    reading->has |= bench->undocked ? 0 : FG_DOCKED;
    reading->has |= bench->tampered ? FG_TAMPER_ON : 0;
    reading->gyro[0] = bench->moving ? 3000 : (int16_t)(noise - 10);
    reading->gyro[1] = (int16_t)(10 - noise);
    reading->accel[2] = (int16_t)(4895 + noise);
    reading->lux = 32000;
    for (uint32_t i = 0; i < FG_DOCK_ID; i++) {
        reading->dock_id[i] = dock_id[i];
    }
}
