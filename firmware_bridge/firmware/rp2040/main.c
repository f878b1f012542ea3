/* The board on an RP2040 (Cortex-M0+, 125 MHz from a 12 MHz crystal).
 *
 * UART0 host link, GPIO16 interlock line with its indicator. Time is the 64-bit
 * microsecond timer, which runs free. The watchdog has its own counter and
 * resets 100 ms after the last round of the main loop; at a reset every pin
 * floats and the pull-down takes the line low.
 */
#include "hal.h"
#include "flash.h"
#include "registers.h"
#include "sensors.h"

enum { WATCHDOG_HALF_US = 200000 }; /* 100 ms: the counter falls by two a microsecond */

extern uint32_t stack_top[];

void reset(void);
void stop(void);
void systick_interrupt(void);

void stop(void) {
    chip_line(false);
    for (;;) { /* the watchdog resets */
    }
}

void systick_interrupt(void) {
    rounds_millisecond();
}

void chip_line(bool up) {
    REG(SIO + (up ? 0x14 : 0x18)) = 1U << PIN_LINE;
}

uint64_t chip_now_us(void) {
    for (;;) {
        uint32_t high = REG(TIMER + 0x24);
        uint32_t low = REG(TIMER + 0x28);
        if (high == REG(TIMER + 0x24)) {
            return ((uint64_t)high << 32) | low;
        }
    }
}

static void until(uint32_t address, uint32_t mask) {
    while ((REG(address) & mask) != mask) {
    }
}

static void start_clocks(void) {
    REG(XOSC) = 0xAA0;
    REG(XOSC + 0x0C) = 47; /* about a millisecond */
    REG(XOSC) = 0xFABAA0;
    until(XOSC + 4, 1U << 31);
    REG(CLOCKS + 0x30) = 2; /* reference: crystal */
    until(CLOCKS + 0x38, 4);
    REG(CLOCKS + 0x3C) = 0; /* system: reference, while the PLL starts */
    until(CLOCKS + 0x44, 1);
    REG(RESETS + CLEAR_BITS) = 1U << 12;
    until(RESETS + 8, 1U << 12);
    REG(PLL_SYS) = 1;
    REG(PLL_SYS + 8) = 125; /* 1500 MHz */
    REG(PLL_SYS + 4 + CLEAR_BITS) = 0x21;
    until(PLL_SYS, 1U << 31);
    REG(PLL_SYS + 0x0C) = (6U << 16) | (2U << 12); /* 125 MHz */
    REG(PLL_SYS + 4 + CLEAR_BITS) = 8;
    REG(CLOCKS + 0x3C) = 1;
    until(CLOCKS + 0x44, 2);
    REG(CLOCKS + 0x48) = 1U << 11;                 /* peripherals: system clock */
    REG(CLOCKS + 0x60) = (1U << 11) | (3U << 5);   /* ADC: crystal */
    REG(WATCHDOG + 0x2C) = 12 | (1U << 9);         /* one tick a microsecond */
}

static void start_hardware(void) {
    uint32_t parts = (1U << 0) | (1U << 3) | (1U << 5) | (1U << 8) | (1U << 21) | (1U << 22);
    REG(RESETS + CLEAR_BITS) = 1U << 5 | 1U << 8;
    until(RESETS + 8, 1U << 5 | 1U << 8);
    chip_line(false); /* before the pin drives */
    pin(PIN_LINE, FUNCTION_SIO, 0x56);
    REG(SIO + 0x24) = 1U << PIN_LINE;
    start_clocks();
    REG(RESETS + CLEAR_BITS) = parts;
    until(RESETS + 8, parts);
    REG(UART0 + 0x24) = 67; /* 125 MHz / (16 * 115200) */
    REG(UART0 + 0x28) = 52;
    REG(UART0 + 0x2C) = 0x70; /* 8N1, FIFO */
    REG(UART0 + 0x30) = 0x301;
    REG(UART0 + 0x38) = 0x50;
    pin(PIN_UART_TX, FUNCTION_UART, 0x56);
    pin(PIN_UART_RX, FUNCTION_UART, 0xCA);
    REG(PSM + 8) = 0x1FFFC; /* a watchdog reset resets all but the oscillators */
    REG(WATCHDOG + 4) = WATCHDOG_HALF_US;
    REG(WATCHDOG) = 1U << 30; /* on, also under a debugger */
    REG(NVIC_ENABLE) = 1U << 20;
    REG(SYSTICK + 4) = 125000 - 1; /* a millisecond */
    REG(SYSTICK + 8) = 0;
    REG(SYSTICK) = 7;
    sensors_start();
}

void chip_feed(void) {
    REG(WATCHDOG + 4) = WATCHDOG_HALF_US;
}

bool chip_sense(fg_sensors *reading, uint64_t now_us) {
    sensors_read(reading, now_us);
    return true;
}

/* A tenth of a second is too short for a flash sector, and the line is down. */
void chip_erase(uint32_t at) {
    REG(WATCHDOG + 4) = 10 * WATCHDOG_HALF_US;
    flash_erase(KEPT + at);
    chip_feed();
}

void chip_write(uint32_t at, const uint8_t record[FG_RECORD]) {
    flash_write(KEPT + at, record, FG_RECORD);
}

/* Bits of the ring oscillator, far apart, hashed: enough to tell boots apart. */
uint64_t chip_fresh(void) {
    fg_sha256 hash;
    uint8_t digest[FG_DIGEST];
    fg_sha256_init(&hash);
    for (uint32_t i = 0; i < 512; i++) {
        uint8_t byte = 0;
        for (uint32_t bit = 0; bit < 8; bit++) {
            byte = (uint8_t)((uint32_t)byte << 1 | (REG(ROSC + 0x1C) & 1));
        }
        fg_sha256_add(&hash, &byte, 1);
    }
    fg_sha256_end(&hash, digest);
    return fg_get64(digest);
}

void reset(void) {
    rounds_memory();
    start_hardware();
    rounds_run();
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16 + 26] = {
    [0] = (uintptr_t)stack_top,
    [1] = (uintptr_t)reset,
    [2] = (uintptr_t)stop,
    [3] = (uintptr_t)stop,
    [11] = (uintptr_t)stop,
    [14] = (uintptr_t)stop,
    [15] = (uintptr_t)systick_interrupt,
    [16 + 20] = (uintptr_t)uart0_interrupt,
};
