/* The board on an LM3S6965 (Cortex-M3), the part that QEMU models whole.
 *
 * UART0 host link, UART1 bench control, PF0 interlock line and indicator. Time
 * is SysTick's counter, which runs free: nothing counts interrupts for it. The
 * watchdog resets 2 x 200 ms after the last round of the main loop; the timer
 * of a millisecond lowers the line after 50 ms.
 */
#include "fault_injection.h"
#include "hal.h"
#include "registers.h"

enum {
    CYCLES_PER_US_X2 = 25, /* 12.5 MHz */
    TICK_MASK = 0xFFFFFF,
    WATCHDOG_LOAD = 2500000 /* 200 ms; the second time it resets */
};

extern uint32_t stack_top[];

static fg_bench bench;
static volatile uint32_t host_ticks;  /* when the host's last byte came */
static volatile uint32_t bench_ticks; /* when the bench's did */
static volatile uint32_t timer_ticks; /* when the timer last called */
static volatile uint32_t pause_ticks; /* the longest it did not, since the bench asked */
static uint32_t before_ticks;
static uint64_t elapsed_ticks;

void reset(void);
void host_interrupt(void);
void bench_interrupt(void);
void timer0_interrupt(void);
void watchdog_interrupt(void);
void stop(void);

void stop(void) {
    chip_line(false);
    for (;;) { /* the watchdog resets */
    }
}

void host_interrupt(void) {
    host_ticks = REG(SYSTICK + 8);
    uart0_interrupt();
}

static uint32_t since(uint32_t then_ticks, uint32_t now_ticks) {
    return (then_ticks - now_ticks) & TICK_MASK; /* counts down */
}

void bench_interrupt(void) {
    bench_ticks = REG(SYSTICK + 8);
    pause_ticks = bench.curious ? pause_ticks : 0;
    REG(UART1 + 0x44) = 0x7FF;
    while (!(REG(UART1 + 0x18) & 0x10)) {
        fg_bench_command(&bench, (uint8_t)REG(UART1));
    }
}

void timer0_interrupt(void) {
    uint32_t now_ticks = REG(SYSTICK + 8);
    uint32_t paused = since(timer_ticks, now_ticks);
    REG(TIMER0 + 0x24) = 1;
    timer_ticks = now_ticks;
    pause_ticks = paused > pause_ticks ? paused : pause_ticks;
    rounds_millisecond();
}

void watchdog_interrupt(void) {
    chip_line(false);
    for (;;) { /* left pending, so that the second timeout resets */
    }
}

static void tell(uint32_t ticks) {
    for (uint32_t shift = 32; shift > 0; shift -= 4) {
        REG(UART1) = (uint8_t) "0123456789abcdef"[(ticks >> (shift - 4)) & 15];
    }
}

/* When the bench is curious, it hears how long ago the host and it spoke last, and how long
 * the timer paused: more than a millisecond, and it was the emulator that stood still. */
void chip_line(bool up) {
    static volatile bool is_up;
    uint32_t now_ticks = REG(SYSTICK + 8);
    REG(PORT_F + (1U << 2)) = up ? 1U : 0U;
    if (is_up != up && bench.curious) {
        uint32_t paused = since(timer_ticks, now_ticks);
        bench.curious = false;
        tell(since(host_ticks, now_ticks));
        tell(since(bench_ticks, now_ticks));
        tell(paused > pause_ticks ? paused : pause_ticks);
        REG(UART1) = '\n';
    }
    is_up = up;
}

uint64_t chip_now_us(void) {
    uint32_t ticks = REG(SYSTICK + 8);
    elapsed_ticks += since(before_ticks, ticks);
    before_ticks = ticks;
    return elapsed_ticks * 2 / CYCLES_PER_US_X2;
}

uint64_t chip_fresh(void) {
    return fg_get64((const uint8_t *)(uintptr_t)SURVIVES) + REG(SURVIVES + 8);
}

bool chip_sense(fg_sensors *reading, uint64_t now_us) {
    (void)now_us;
    if (bench.restarted) {
        chip_line(false);
        REG(RESET_CONTROL) = 0x05FA0004;
    }
    if (bench.dead) {
        REG(NVIC_CLEAR) = 0xFFFFFFFF;
    }
    if (bench.wedged || bench.dead) {
        for (;;) {
        }
    }
    fg_bench_reading(&bench, reading);
    return !bench.silent;
}

void chip_feed(void) {
    REG(WATCHDOG + 0xC00) = 0x1ACCE551;
    REG(WATCHDOG + 0x0C) = 1;
    REG(WATCHDOG + 0xC00) = 0;
}

void chip_erase(uint32_t at) {
    for (uint32_t i = 0; i < KEPT_SIZE / 2; i += 4) {
        REG(KEPT + at + i) = 0xFFFFFFFF;
    }
}

void chip_write(uint32_t at, const uint8_t record[FG_RECORD]) {
    for (uint32_t i = 0; i < FG_RECORD; i += 4) {
        REG(KEPT + at + i) = fg_get32(record + i);
    }
}

static void start_hardware(void) {
    REG(SYSCTL + 0x104) = 0x00010003; /* clocks: timer 0, UART 0 and 1 */
    REG(SYSCTL + 0x108) = 0x00000020; /* port F */
    REG(PORT_F + 0x400) = 0x01;
    chip_line(false); /* before the pin drives */
    REG(PORT_F + 0x51C) = 0x01;
    REG(SYSTICK + 4) = TICK_MASK;
    REG(SYSTICK + 8) = 0;
    REG(SYSTICK) = 5; /* core clock, no interrupt */
    before_ticks = REG(SYSTICK + 8);
    for (uint32_t uart = UART0; uart <= UART1; uart += 0x1000) {
        REG(uart + 0x30) = 0;
        REG(uart + 0x24) = 6; /* 12.5 MHz / (16 * 115200) */
        REG(uart + 0x28) = 50;
        REG(uart + 0x2C) = 0x70; /* 8N1, FIFO */
        REG(uart + 0x30) = 0x301;
        REG(uart + 0x38) = 0x50; /* received, receive timeout */
    }
    REG(TIMER0) = 0;
    REG(TIMER0 + 4) = 2;
    REG(TIMER0 + 0x28) = 12500 - 1;
    REG(TIMER0 + 0x18) = 1;
    REG(TIMER0 + 0x0C) = 1;
    REG(WATCHDOG + 0xC00) = 0x1ACCE551;
    REG(WATCHDOG) = WATCHDOG_LOAD;
    REG(WATCHDOG + 8) = 3; /* interrupt, then reset */
    REG(WATCHDOG + 0xC00) = 0;
    REG(NVIC_ENABLE) = (1U << 5) | (1U << 6) | (1U << 18) | (1U << 19);
}

void reset(void) {
    rounds_memory();
    start_hardware();
    REG(SURVIVES + 8) += 1; /* boots since power came */
    rounds_run();
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
    [16 + 5] = HANDLER(host_interrupt),
    [16 + 6] = HANDLER(bench_interrupt),
    [16 + 18] = HANDLER(watchdog_interrupt),
    [16 + 19] = HANDLER(timer0_interrupt),
};
