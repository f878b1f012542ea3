/* The board on an LM3S6965 (Cortex-M3), the part that QEMU models whole.
 *
 * UART0 host link, UART1 bench control, PF0 interlock line and indicator, PF2
 * mirrors a wedge caught by the timer. Time is SysTick's counter, which runs
 * free: nothing counts interrupts. The watchdog resets 2 x 200 ms after the
 * last round of the main loop; the 1 ms timer drops the line after 50 ms.
 */
#include "bench.h"
#include "store.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

enum {
    CYCLES_PER_US_X2 = 25, /* 12.5 MHz */
    TICK_MASK = 0xFFFFFF,
    RX_RING = 1024, /* a power of two */
    SENSE_US = 2000,
    STALL_TICKS = 625000, /* 50 ms */
    WINDOW_US = 200, /* the watchdog is not fed more often than this */
    BOARD_KIND = 3
};

#define WATCHDOG 0x40000000U
#define PORT_F 0x40025000U
#define UART0 0x4000C000U
#define UART1 0x4000D000U
#define TIMER0 0x40030000U
#define SYSCTL 0x400FE000U
#define SYSTICK 0xE000E010U
#define NVIC_ENABLE 0xE000E100U
#define NVIC_CLEAR 0xE000E180U
#define RESET_CONTROL 0xE000ED0CU
#define STORE 0x0003FC00U
#define SURVIVES 0x2000FF00U

#define WATCHDOG_LOAD 2500000U /* 200 ms; the second time it resets */

extern uint32_t data_start[], data_end[], data_image[], bss_start[], bss_end[], image_end[];
extern uint32_t stack_top[];

static fg_board board;
static fg_bench bench;
static uint8_t rx[RX_RING];
static volatile uint32_t rx_head;
static uint32_t rx_tail;
static volatile uint32_t round_ticks; /* when the main loop last came round */
static uint32_t before_ticks;
static uint64_t elapsed_ticks;

void reset(void);
void uart0_interrupt(void);
void timer0_interrupt(void);
void watchdog_interrupt(void);
void stop(void);
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
void __aeabi_memcpy(void *to, const void *from, size_t size);
void __aeabi_memclr8(void *to, size_t size);
void __aeabi_memclr4(void *to, size_t size);
void __aeabi_memclr(void *to, size_t size);

static void line_down(void) {
    REG(PORT_F + (1U << 2)) = 0;
}

static void show_line(void) {
    REG(PORT_F + (1U << 2)) = fg_line(&board) ? 1U : 0U;
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

/* Wakes the main loop, and drops the line when that loop makes no rounds. */
void timer0_interrupt(void) {
    REG(TIMER0 + 0x24) = 1;
    if (((round_ticks - REG(SYSTICK + 8)) & TICK_MASK) > STALL_TICKS) {
        line_down();
    }
}

void watchdog_interrupt(void) {
    line_down();
    for (;;) { /* left pending, so that the second timeout resets */
    }
}

static uint64_t now_us(void) {
    uint32_t ticks = REG(SYSTICK + 8);
    elapsed_ticks += (before_ticks - ticks) & TICK_MASK; /* counts down */
    before_ticks = ticks;
    return elapsed_ticks * 2 / CYCLES_PER_US_X2;
}

static void start_hardware(void) {
    REG(SYSCTL + 0x104) = 0x00010003; /* clocks: timer 0, UART 0 and 1 */
    REG(SYSCTL + 0x108) = 0x00000020; /* port F */
    REG(PORT_F + 0x400) = 0x05;
    line_down(); /* before the pin drives */
    REG(PORT_F + 0x51C) = 0x05;
    REG(SYSTICK + 4) = TICK_MASK;
    REG(SYSTICK + 8) = 0;
    REG(SYSTICK) = 5; /* core clock, no interrupt */
    before_ticks = REG(SYSTICK + 8);
    round_ticks = before_ticks;
    for (uint32_t uart = UART0; uart <= UART1; uart += 0x1000) {
        REG(uart + 0x30) = 0;
        REG(uart + 0x24) = 6; /* 12.5 MHz / (16 * 115200) */
        REG(uart + 0x28) = 50;
        REG(uart + 0x2C) = 0x70; /* 8N1, FIFO */
        REG(uart + 0x30) = 0x301;
    }
    REG(UART0 + 0x38) = 0x50; /* received, receive timeout */
    REG(TIMER0) = 0;
    REG(TIMER0 + 4) = 2;
    REG(TIMER0 + 0x28) = 12500 - 1;
    REG(TIMER0 + 0x18) = 1;
    REG(TIMER0 + 0x0C) = 1;
    REG(WATCHDOG + 0xC00) = 0x1ACCE551;
    REG(WATCHDOG) = WATCHDOG_LOAD;
    REG(WATCHDOG + 8) = 3; /* interrupt, then reset */
    REG(WATCHDOG + 0xC00) = 0;
    REG(NVIC_ENABLE) = (1U << 5) | (1U << 18) | (1U << 19);
}

static void feed_watchdog(uint64_t at_us) {
    static uint64_t fed_us;
    if (at_us - fed_us < WINDOW_US || board.fault == FG_FAULT_SEQUENCE) {
        return;
    }
    fed_us = at_us;
    round_ticks = REG(SYSTICK + 8);
    REG(WATCHDOG + 0xC00) = 0x1ACCE551;
    REG(WATCHDOG + 0x0C) = 1;
    REG(WATCHDOG + 0xC00) = 0;
}

static void hash_image(uint8_t digest[FG_DIGEST]) {
    fg_sha256 hash;
    fg_sha256_init(&hash);
    fg_sha256_add(&hash, (const uint8_t *)0, (uint32_t)(uintptr_t)image_end);
    fg_sha256_end(&hash, digest);
}

static void hear_bench(void) {
    while (!(REG(UART1 + 0x18) & 0x10)) {
        fg_bench_command(&bench, (uint8_t)REG(UART1));
    }
    if (bench.restarted) {
        line_down();
        REG(RESET_CONTROL) = 0x05FA0004;
    }
    if (bench.dead) {
        REG(NVIC_CLEAR) = 0xFFFFFFFF;
    }
    if (bench.wedged || bench.dead) {
        for (;;) {
        }
    }
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
    hear_bench();
    if (at_us - sensed_us >= SENSE_US && !bench.silent) {
        fg_sensors reading;
        sensed_us = at_us;
        fg_bench_reading(&bench, &reading);
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
    for (uint32_t i = 0; data_start + i < data_end; i++) {
        data_start[i] = data_image[i];
    }
    for (uint32_t *word = bss_start; word < bss_end; word++) {
        *word = 0;
    }
    start_hardware();
    REG(SURVIVES + 8) += 1; /* boots since power came */
    if (!fg_store_valid(store)) {
        for (;;) { /* not provisioned: line down, silent */
            feed_watchdog(now_us());
            __asm__ volatile("wfi");
        }
    }
    hash_image(firmware);
    uint64_t fresh = fg_get64((const uint8_t *)(uintptr_t)SURVIVES) + REG(SURVIVES + 8);
    fg_init(&board, now_us(), fg_store_root(store), fg_boot_id(store, fresh), BOARD_KIND,
            firmware);
    for (;;) {
        round_of_main();
        __asm__ volatile("wfi");
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

void __aeabi_memclr8(void *to, size_t size) {
    (void)memset(to, 0, size);
}

void __aeabi_memclr4(void *to, size_t size) {
    (void)memset(to, 0, size);
}

void __aeabi_memclr(void *to, size_t size) {
    (void)memset(to, 0, size);
}

#define HANDLER(name) (uintptr_t)(name)

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16 + 20] = {
    [0] = (uintptr_t)stack_top,
    [1] = HANDLER(reset),
    [2] = HANDLER(stop),
    [3] = HANDLER(stop),
    [4] = HANDLER(stop),
    [5] = HANDLER(stop),
    [6] = HANDLER(stop),
    [11] = HANDLER(stop),
    [14] = HANDLER(stop),
    [15] = HANDLER(stop),
    [16 + 5] = HANDLER(uart0_interrupt),
    [16 + 18] = HANDLER(watchdog_interrupt),
    [16 + 19] = HANDLER(timer0_interrupt),
};
