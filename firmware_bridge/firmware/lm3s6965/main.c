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
    PIN_LINE = 0,
    CYCLES_PER_US_X2 = 25, /* 12.5 MHz */
    WATCHDOG_LOAD = 2500000 /* 200 ms; the second time it resets */
};

extern uint32_t stack_top[];

/* RAM that a reset leaves alone: the seed, the boots since power came, the rollback counters
 * (QEMU models no flash that can be written). */
#define boots ((reg32 *)(FG_SURVIVES_ADDRESS + 8))
#define counters ((reg32 *)FG_COUNTERS_ADDRESS)

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
    hal_line(false);
    for (;;) { /* the watchdog resets */
    }
}

void host_interrupt(void) {
    host_ticks = SysTick->VAL;
    uart0_interrupt();
}

static uint32_t since(uint32_t then_ticks, uint32_t now_ticks) {
    return (then_ticks - now_ticks) & SYSTICK_MAX; /* counts down */
}

void bench_interrupt(void) {
    bench_ticks = SysTick->VAL;
    pause_ticks = bench.curious ? pause_ticks : 0;
    UART1->ICR = UART_ICR_ALL;
    while (!(UART1->FR & UART_FR_RXFE)) {
        fg_bench_command(&bench, (uint8_t)UART1->DR);
    }
}

void timer0_interrupt(void) {
    uint32_t now_ticks = SysTick->VAL;
    uint32_t paused = since(timer_ticks, now_ticks);
    TIMER0->ICR = TIMER_ICR_TATOCINT;
    timer_ticks = now_ticks;
    pause_ticks = paused > pause_ticks ? paused : pause_ticks;
    main_loop_millisecond();
}

void watchdog_interrupt(void) {
    hal_line(false);
    for (;;) { /* the interrupt stays pending, so that the second timeout resets */
    }
}

static void tell(uint32_t ticks) {
    for (uint32_t shift = 32; shift > 0; shift -= 4) {
        UART1->DR = (uint8_t) "0123456789abcdef"[(ticks >> (shift - 4)) & 15];
    }
}

/* If the bench asked, reports how long ago host and bench last spoke, and how long the timer
 * paused: a pause of more than a millisecond means that the emulator stood still. */
void hal_line(bool up) {
    static volatile bool is_up;
    uint32_t now_ticks = SysTick->VAL;
    GPIOF->DATA[1U << PIN_LINE] = up ? 1U << PIN_LINE : 0U;
    if (is_up != up && bench.curious) {
        uint32_t paused = since(timer_ticks, now_ticks);
        bench.curious = false;
        tell(since(host_ticks, now_ticks));
        tell(since(bench_ticks, now_ticks));
        tell(paused > pause_ticks ? paused : pause_ticks);
        UART1->DR = '\n';
    }
    is_up = up;
}

uint64_t hal_now_us(void) {
    uint32_t ticks = SysTick->VAL;
    elapsed_ticks += since(before_ticks, ticks);
    before_ticks = ticks;
    return elapsed_ticks * 2 / CYCLES_PER_US_X2;
}

uint64_t hal_fresh(void) {
    return fg_get64((const uint8_t *)(uintptr_t)FG_SURVIVES_ADDRESS) + boots[0];
}

bool hal_sense(fg_sensors *reading, uint64_t now_us) {
    (void)now_us;
    if (bench.restarted) {
        hal_line(false);
        SCB->AIRCR = SCB_AIRCR_RESET;
    }
    if (bench.dead) {
        NVIC->ICER[0] = 0xFFFFFFFF;
    }
    if (bench.wedged || bench.dead) {
        for (;;) {
        }
    }
    fg_bench_reading(&bench, reading);
    return !bench.silent;
}

void hal_feed(void) {
    WATCHDOG0->LOCK = WATCHDOG_UNLOCK;
    WATCHDOG0->ICR = 1;
    WATCHDOG0->LOCK = 0;
}

void hal_erase(uint32_t at) {
    for (uint32_t i = 0; i < FG_COUNTERS_SIZE / 2; i += 4) {
        counters[(at + i) / 4] = 0xFFFFFFFF;
    }
}

void hal_write(uint32_t at, const uint8_t record[FG_RECORD]) {
    for (uint32_t i = 0; i < FG_RECORD; i += 4) {
        counters[(at + i) / 4] = fg_get32(record + i);
    }
}

static void start_uart(UART_Type *uart) {
    uart->CTL = 0;
    uart->IBRD = 6; /* 12.5 MHz / (16 * 115200) */
    uart->FBRD = 50;
    uart->LCRH = UART_LCRH_WLEN_8 | UART_LCRH_FEN; /* 8N1 */
    uart->CTL = UART_CTL_UARTEN | UART_CTL_TXE | UART_CTL_RXE;
    uart->IM = UART_IM_RXIM | UART_IM_RTIM;
}

static void start_hardware(void) {
    SYSCTL->RCGC1 = SYSCTL_RCGC1_TIMER0 | SYSCTL_RCGC1_UART0 | SYSCTL_RCGC1_UART1;
    SYSCTL->RCGC2 = SYSCTL_RCGC2_GPIOF;
    GPIOF->DIR = 1U << PIN_LINE;
    hal_line(false); /* before the pin drives */
    GPIOF->DEN = 1U << PIN_LINE;
    SysTick->LOAD = SYSTICK_MAX;
    SysTick->VAL = 0;
    SysTick->CTRL = SYSTICK_CTRL_ENABLE | SYSTICK_CTRL_CLKSOURCE; /* no interrupt */
    before_ticks = SysTick->VAL;
    start_uart(UART0);
    start_uart(UART1);
    TIMER0->CFG = 0;
    TIMER0->TAMR = TIMER_TAMR_PERIODIC;
    TIMER0->TAILR = 12500 - 1; /* a millisecond */
    TIMER0->IMR = TIMER_IMR_TATOIM;
    TIMER0->CTL = TIMER_CTL_TAEN;
    WATCHDOG0->LOCK = WATCHDOG_UNLOCK;
    WATCHDOG0->LOAD = WATCHDOG_LOAD;
    WATCHDOG0->CTL = WATCHDOG_CTL_INTEN | WATCHDOG_CTL_RESEN; /* interrupt, then reset */
    WATCHDOG0->LOCK = 0;
    NVIC->ISER[0] = (1U << UART0_IRQn) | (1U << UART1_IRQn) | (1U << WATCHDOG_IRQn) |
                    (1U << TIMER0A_IRQn);
}

void reset(void) {
    main_loop_memory();
    start_hardware();
    boots[0] += 1;
    main_loop_run();
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
    [16 + UART0_IRQn] = HANDLER(host_interrupt),
    [16 + UART1_IRQn] = HANDLER(bench_interrupt),
    [16 + WATCHDOG_IRQn] = HANDLER(watchdog_interrupt),
    [16 + TIMER0A_IRQn] = HANDLER(timer0_interrupt),
};
