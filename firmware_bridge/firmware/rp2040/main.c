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
    hal_line(false);
    for (;;) { /* the watchdog resets */
    }
}

void systick_interrupt(void) {
    main_loop_millisecond();
}

void hal_line(bool up) {
    *(up ? &sio_hw->gpio_set : &sio_hw->gpio_clr) = 1U << PIN_LINE;
}

uint64_t hal_now_us(void) {
    for (;;) {
        uint32_t high = timer_hw->timerawh;
        uint32_t low = timer_hw->timerawl;
        if (high == timer_hw->timerawh) {
            return ((uint64_t)high << 32) | low;
        }
    }
}

static void until(reg32 *at, uint32_t mask) {
    while ((*at & mask) != mask) {
    }
}

static void start_clocks(void) {
    xosc_hw->ctrl = XOSC_CTRL_1_15MHZ;
    xosc_hw->startup = 47; /* about a millisecond */
    xosc_hw->ctrl = XOSC_CTRL_ENABLE | XOSC_CTRL_1_15MHZ;
    until(&xosc_hw->status, XOSC_STATUS_STABLE);
    clocks_hw->clk[CLK_REF].ctrl = CLK_REF_SRC_XOSC;
    until(&clocks_hw->clk[CLK_REF].selected, CLK_REF_XOSC_SELECTED);
    clocks_hw->clk[CLK_SYS].ctrl = CLK_SYS_SRC_REF; /* while the PLL starts */
    until(&clocks_hw->clk[CLK_SYS].selected, CLK_SYS_REF_SELECTED);
    hw_clear_bits(&resets_hw->reset, RESETS_PLL_SYS);
    until(&resets_hw->reset_done, RESETS_PLL_SYS);
    pll_sys_hw->cs = PLL_CS_REFDIV_1;
    pll_sys_hw->fbdiv_int = 125; /* 1500 MHz */
    hw_clear_bits(&pll_sys_hw->pwr, PLL_PWR_PD | PLL_PWR_VCOPD);
    until(&pll_sys_hw->cs, PLL_CS_LOCK);
    pll_sys_hw->prim = (6U << PLL_PRIM_POSTDIV1_LSB) | (2U << PLL_PRIM_POSTDIV2_LSB); /* 125 MHz */
    hw_clear_bits(&pll_sys_hw->pwr, PLL_PWR_POSTDIVPD);
    clocks_hw->clk[CLK_SYS].ctrl = CLK_SYS_SRC_AUX; /* the PLL */
    until(&clocks_hw->clk[CLK_SYS].selected, CLK_SYS_AUX_SELECTED);
    clocks_hw->clk[CLK_PERI].ctrl = CLK_ENABLE; /* from the system clock */
    clocks_hw->clk[CLK_ADC].ctrl = CLK_ENABLE | CLK_ADC_AUXSRC_XOSC;
    watchdog_hw->tick = 12 | WATCHDOG_TICK_ENABLE; /* one tick a microsecond */
}

static void start_hardware(void) {
    uint32_t pins = RESETS_IO_BANK0 | RESETS_PADS_BANK0;
    uint32_t parts = pins | RESETS_ADC | RESETS_I2C0 | RESETS_TIMER | RESETS_UART0;
    hw_clear_bits(&resets_hw->reset, pins);
    until(&resets_hw->reset_done, pins);
    hal_line(false); /* before the pin drives */
    gpio_set_function(PIN_LINE, GPIO_FUNC_SIO,
                      PAD_INPUT | PAD_DRIVE_4MA | PAD_PULL_DOWN | PAD_SCHMITT);
    sio_hw->gpio_oe_set = 1U << PIN_LINE;
    start_clocks();
    hw_clear_bits(&resets_hw->reset, parts);
    until(&resets_hw->reset_done, parts);
    UART0->IBRD = 67; /* 125 MHz / (16 * 115200) */
    UART0->FBRD = 52;
    UART0->LCRH = UART_LCRH_WLEN_8 | UART_LCRH_FEN; /* 8N1 */
    UART0->CTL = UART_CTL_UARTEN | UART_CTL_TXE | UART_CTL_RXE;
    UART0->IM = UART_IM_RXIM | UART_IM_RTIM;
    gpio_set_function(PIN_UART_TX, GPIO_FUNC_UART,
                      PAD_INPUT | PAD_DRIVE_4MA | PAD_PULL_DOWN | PAD_SCHMITT);
    gpio_set_function(PIN_UART_RX, GPIO_FUNC_UART,
                      PAD_OUTPUT_OFF | PAD_INPUT | PAD_PULL_UP | PAD_SCHMITT);
    psm_hw->wdsel = PSM_WDSEL_ALL_BUT_OSCILLATORS;
    watchdog_hw->load = WATCHDOG_HALF_US;
    watchdog_hw->ctrl = WATCHDOG_CTRL_ENABLE; /* also under a debugger */
    nvic_iser[0] = 1U << UART0_IRQ;
    systick_hw->rvr = 125000 - 1; /* a millisecond */
    systick_hw->cvr = 0;
    systick_hw->csr = SYSTICK_CSR_ENABLE | SYSTICK_CSR_TICKINT | SYSTICK_CSR_CLKSOURCE;
    sensors_start();
}

void hal_feed(void) {
    watchdog_hw->load = WATCHDOG_HALF_US;
}

bool hal_sense(fg_sensors *reading, uint64_t now_us) {
    sensors_read(reading, now_us);
    return true;
}

/* The watchdog's 100 ms are too short to erase a sector: it gets a second. The line is down. */
void hal_erase(uint32_t at) {
    watchdog_hw->load = 10 * WATCHDOG_HALF_US;
    flash_erase(FG_COUNTERS_ADDRESS + at);
    hal_feed();
}

void hal_write(uint32_t at, const uint8_t record[FG_RECORD]) {
    flash_write(FG_COUNTERS_ADDRESS + at, record, FG_RECORD);
}

/* Hashes bits of the ring oscillator, read far apart: that tells one boot from another. */
uint64_t hal_fresh(void) {
    fg_sha256 hash;
    uint8_t digest[FG_DIGEST];
    fg_sha256_init(&hash);
    for (uint32_t i = 0; i < 512; i++) {
        uint8_t byte = 0;
        for (uint32_t bit = 0; bit < 8; bit++) {
            byte = (uint8_t)((uint32_t)byte << 1 | (rosc_hw->randombit & 1));
        }
        fg_sha256_add(&hash, &byte, 1);
    }
    fg_sha256_end(&hash, digest);
    return fg_get64(digest);
}

void reset(void) {
    main_loop_memory();
    start_hardware();
    main_loop_run();
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16 + 26] = {
    [0] = (uintptr_t)stack_top,
    [1] = (uintptr_t)reset,
    [2] = (uintptr_t)stop,
    [3] = (uintptr_t)stop,
    [11] = (uintptr_t)stop,
    [14] = (uintptr_t)stop,
    [15] = (uintptr_t)systick_interrupt,
    [16 + UART0_IRQ] = (uintptr_t)uart0_interrupt,
};
