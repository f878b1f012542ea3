/* The board on an RP2040 (Cortex-M0+, 125 MHz from a 12 MHz crystal).
 *
 * UART0 host link, GPIO16 interlock line with its indicator. Time is the 64-bit
 * microsecond timer, which runs free. The watchdog has its own counter and
 * resets 100 ms after the last round of the main loop; at a reset every pin
 * floats and the pull-down takes the line low.
 */
#include "interlock.h"
#include "registers.h"
#include "sensors.h"
#include "store.h"

enum {
    RX_RING = 1024, /* a power of two */
    SENSE_US = 2000,
    WINDOW_US = 200,           /* the watchdog is not fed more often than this */
    WATCHDOG_HALF_US = 200000, /* 100 ms: the counter falls by two a microsecond */
    BOARD_KIND = 4
};

#define STORE 0x101FF000U

extern uint32_t data_start[], data_end[], data_image[], bss_start[], bss_end[];
extern uint32_t image_start[], image_end[], stack_top[];

static fg_board board;
static uint8_t rx[RX_RING];
static volatile uint32_t rx_head;
static uint32_t rx_tail;

void reset(void);
void stop(void);
void uart0_interrupt(void);
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
void __aeabi_memcpy(void *to, const void *from, size_t size);
void __aeabi_memcpy4(void *to, const void *from, size_t size);
void __aeabi_memclr(void *to, size_t size);
void __aeabi_memclr4(void *to, size_t size);
void __aeabi_memclr8(void *to, size_t size);

static void line_down(void) {
    REG(SIO + 0x18) = 1U << PIN_LINE;
}

static void show_line(void) {
    REG(SIO + (fg_line(&board) ? 0x14 : 0x18)) = 1U << PIN_LINE;
}

void stop(void) {
    line_down();
    for (;;) { /* the watchdog resets */
    }
}

void uart0_interrupt(void) {
    REG(UART0 + 0x44) = 0x7FF;
    while (!(REG(UART0 + 0x18) & 0x10)) {
        uint32_t head = rx_head;
        uint8_t byte = (uint8_t)REG(UART0);
        if (head - rx_tail < RX_RING) {
            rx[head % RX_RING] = byte;
            rx_head = head + 1;
        }
    }
}

static uint64_t now_us(void) {
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
    line_down(); /* before the pin drives */
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
    sensors_start();
}

static void feed_watchdog(uint64_t at_us) {
    static uint64_t fed_us;
    if (at_us - fed_us >= WINDOW_US && board.fault != FG_FAULT_SEQUENCE) {
        fed_us = at_us;
        REG(WATCHDOG + 4) = WATCHDOG_HALF_US;
    }
}

/* Bits of the ring oscillator, far apart, hashed: enough to tell boots apart. */
static uint64_t fresh_number(void) {
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

static void round_of_main(void) {
    static uint64_t sensed_us;
    static uint8_t out[FG_TX_ROOM];
    static uint32_t out_size;
    static uint32_t out_at;
    uint64_t at_us = now_us();
    while (rx_tail != rx_head) {
        fg_receive(&board, at_us, &rx[rx_tail % RX_RING], 1);
        rx_tail++;
    }
    if (at_us - sensed_us >= SENSE_US) {
        fg_sensors reading;
        sensed_us = at_us;
        sensors_read(&reading, at_us);
        fg_sense(&board, at_us, &reading);
    }
    fg_tick(&board, at_us);
    show_line();
    if (out_at == out_size) {
        out_size = fg_take(&board, out, sizeof out);
        out_at = 0;
    }
    while (out_at < out_size && !(REG(UART0 + 0x18) & 0x20)) {
        REG(UART0) = out[out_at];
        out_at++;
    }
    feed_watchdog(at_us);
}

void reset(void) {
    const uint8_t *store = (const uint8_t *)(uintptr_t)STORE;
    uint8_t firmware[FG_DIGEST];
    fg_sha256 hash;
    for (uint32_t i = 0; data_start + i < data_end; i++) {
        data_start[i] = data_image[i];
    }
    for (uint32_t *word = bss_start; word < bss_end; word++) {
        *word = 0;
    }
    start_hardware();
    while (!fg_store_valid(store)) { /* not provisioned: line down, silent */
        feed_watchdog(now_us());
    }
    fg_sha256_init(&hash);
    fg_sha256_add(&hash, (const uint8_t *)image_start,
                  (uint32_t)((uintptr_t)image_end - (uintptr_t)image_start));
    fg_sha256_end(&hash, firmware);
    fg_init(&board, now_us(), fg_store_root(store), fg_boot_id(store, fresh_number()),
            BOARD_KIND, firmware);
    for (;;) {
        round_of_main();
    }
}

/* what the compiler calls by itself */

void *memcpy(void *to, const void *from, size_t size) {
    uint8_t *out = to;
    const uint8_t *in = from;
    while (size > 0) {
        size--;
        *out++ = *in++;
        __asm__ volatile("");
    }
    return to;
}

void *memset(void *to, int value, size_t size) {
    uint8_t *out = to;
    while (size > 0) {
        size--;
        *out++ = (uint8_t)value;
        __asm__ volatile("");
    }
    return to;
}

void __aeabi_memcpy(void *to, const void *from, size_t size) {
    (void)memcpy(to, from, size);
}

void __aeabi_memcpy4(void *to, const void *from, size_t size) {
    (void)memcpy(to, from, size);
}

void __aeabi_memclr(void *to, size_t size) {
    (void)memset(to, 0, size);
}

void __aeabi_memclr4(void *to, size_t size) {
    (void)memset(to, 0, size);
}

void __aeabi_memclr8(void *to, size_t size) {
    (void)memset(to, 0, size);
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16 + 26] = {
    [0] = (uintptr_t)stack_top,
    [1] = (uintptr_t)reset,
    [2] = (uintptr_t)stop,
    [3] = (uintptr_t)stop,
    [11] = (uintptr_t)stop,
    [14] = (uintptr_t)stop,
    [15] = (uintptr_t)stop,
    [16 + 20] = (uintptr_t)uart0_interrupt,
};
