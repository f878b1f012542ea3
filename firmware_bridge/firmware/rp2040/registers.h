/* The RP2040 registers that are used, with the names of its datasheet and of the Pico SDK.
 *
 * Addresses of memory (flash, RAM, key block, rollback counters) come from
 * `memory_map.py`; the build passes them as FG_... macros.
 */
#ifndef FG_RP2040_REGISTERS_H
#define FG_RP2040_REGISTERS_H

#include <stddef.h>
#include <stdint.h>

typedef volatile uint32_t reg32;

typedef struct {
    struct {
        reg32 ctrl, div, selected;
    } clk[9]; /* by clock_index */
} clocks_hw_t;
enum clock_index { CLK_REF = 4, CLK_SYS = 5, CLK_PERI = 6, CLK_ADC = 8 };

typedef struct {
    reg32 reset, wdsel, reset_done;
} resets_hw_t;

typedef struct {
    reg32 frce_on, frce_off, wdsel, done;
} psm_hw_t;

typedef struct {
    struct {
        reg32 status, ctrl;
    } io[30];
} io_bank0_hw_t;

typedef struct {
    reg32 voltage_select, io[30];
} pads_bank0_hw_t;

typedef struct {
    reg32 ctrl, status, dormant, startup;
} xosc_hw_t;

typedef struct {
    reg32 cs, pwr, fbdiv_int, prim;
} pll_hw_t;

typedef struct {
    reg32 DR, RSR, reserved0[4], FR, reserved1, ILPR, IBRD, FBRD, LCRH, CTL, IFLS, IM, RIS, MIS, ICR;
} uart_hw_t; /* PL011 */

typedef struct {
    reg32 con, tar, sar, reserved0, data_cmd, ss_scl_hcnt, ss_scl_lcnt, fs_scl_hcnt, fs_scl_lcnt;
    reg32 reserved1[2], intr_stat, intr_mask, raw_intr_stat, rx_tl, tx_tl, clr_intr, reserved2[4];
    reg32 clr_tx_abrt, reserved3[5], enable, status, reserved4[11], fs_spklen;
} i2c_hw_t;

typedef struct {
    reg32 cs, result;
} adc_hw_t;

typedef struct {
    reg32 timehw, timelw, timehr, timelr, alarm[4], armed, timerawh, timerawl;
} timer_hw_t;

typedef struct {
    reg32 ctrl, load, reason, scratch[8], tick;
} watchdog_hw_t;

typedef struct {
    reg32 ctrl, freqa, freqb, dormant, div, phase, status, randombit;
} rosc_hw_t;

typedef struct {
    reg32 ctrlr0, ctrlr1, ssienr, mwcr, ser, baudr;
} ssi_hw_t;

typedef struct {
    reg32 cpuid, gpio_in, gpio_hi_in, reserved0, gpio_out, gpio_set, gpio_clr, gpio_togl;
    reg32 gpio_oe, gpio_oe_set;
} sio_hw_t;

typedef struct {
    reg32 csr, rvr, cvr, calib;
} systick_hw_t;

_Static_assert(offsetof(clocks_hw_t, clk[CLK_ADC]) == 0x60, "CLK_ADC_CTRL");
_Static_assert(offsetof(uart_hw_t, ICR) == 0x44, "UARTICR");
_Static_assert(offsetof(i2c_hw_t, clr_tx_abrt) == 0x54, "IC_CLR_TX_ABRT");
_Static_assert(offsetof(i2c_hw_t, status) == 0x70, "IC_STATUS");
_Static_assert(offsetof(i2c_hw_t, fs_spklen) == 0xA0, "IC_FS_SPKLEN");
_Static_assert(offsetof(timer_hw_t, timerawh) == 0x24, "TIMERAWH");
_Static_assert(offsetof(watchdog_hw_t, tick) == 0x2C, "WATCHDOG_TICK");
_Static_assert(offsetof(sio_hw_t, gpio_oe_set) == 0x24, "GPIO_OE_SET");

#define ssi_hw ((ssi_hw_t *)0x18000000U)
#define clocks_hw ((clocks_hw_t *)0x40008000U)
#define resets_hw ((resets_hw_t *)0x4000C000U)
#define psm_hw ((psm_hw_t *)0x40010000U)
#define io_bank0_hw ((io_bank0_hw_t *)0x40014000U)
#define pads_bank0_hw ((pads_bank0_hw_t *)0x4001C000U)
#define xosc_hw ((xosc_hw_t *)0x40024000U)
#define pll_sys_hw ((pll_hw_t *)0x40028000U)
#define UART0 ((uart_hw_t *)0x40034000U)
#define i2c0_hw ((i2c_hw_t *)0x40044000U)
#define adc_hw ((adc_hw_t *)0x4004C000U)
#define timer_hw ((timer_hw_t *)0x40054000U)
#define watchdog_hw ((watchdog_hw_t *)0x40058000U)
#define rosc_hw ((rosc_hw_t *)0x40060000U)
#define sio_hw ((sio_hw_t *)0xD0000000U)
#define systick_hw ((systick_hw_t *)0xE000E010U)
#define nvic_iser ((reg32 *)0xE000E100U)

/* Each peripheral has an alias at 0x3000 that clears the bits written to it. */
static inline void hw_clear_bits(reg32 *at, uint32_t bits) {
    *(reg32 *)((uintptr_t)at + 0x3000U) = bits;
}

enum {
    RESETS_ADC = 1 << 0,
    RESETS_I2C0 = 1 << 3,
    RESETS_IO_BANK0 = 1 << 5,
    RESETS_PADS_BANK0 = 1 << 8,
    RESETS_PLL_SYS = 1 << 12,
    RESETS_TIMER = 1 << 21,
    RESETS_UART0 = 1 << 22
};
enum { XOSC_CTRL_1_15MHZ = 0xAA0, XOSC_CTRL_ENABLE = 0xFAB << 12 };
#define XOSC_STATUS_STABLE (1U << 31)
#define PLL_CS_LOCK (1U << 31)
enum { PLL_CS_REFDIV_1 = 1, PLL_PWR_PD = 1 << 0, PLL_PWR_POSTDIVPD = 1 << 3, PLL_PWR_VCOPD = 1 << 5 };
enum { PLL_PRIM_POSTDIV1_LSB = 16, PLL_PRIM_POSTDIV2_LSB = 12 };
enum { CLK_REF_SRC_XOSC = 2, CLK_REF_XOSC_SELECTED = 1 << 2 };
enum { CLK_SYS_SRC_REF = 0, CLK_SYS_SRC_AUX = 1, CLK_SYS_REF_SELECTED = 1 << 0 };
enum { CLK_SYS_AUX_SELECTED = 1 << 1, CLK_ENABLE = 1 << 11, CLK_ADC_AUXSRC_XOSC = 3 << 5 };
enum { UART_FR_RXFE = 1 << 4, UART_FR_TXFF = 1 << 5 };
enum { UART_LCRH_FEN = 1 << 4, UART_LCRH_WLEN_8 = 3 << 5 };
enum { UART_CTL_UARTEN = 1 << 0, UART_CTL_TXE = 1 << 8, UART_CTL_RXE = 1 << 9 };
enum { UART_IM_RXIM = 1 << 4, UART_IM_RTIM = 1 << 6, UART_ICR_ALL = 0x7FF };
enum { I2C_CON_MASTER = 1, I2C_CON_FAST = 2 << 1, I2C_CON_RESTART_EN = 1 << 5, I2C_CON_SLAVE_OFF = 1 << 6 };
enum { I2C_CMD_READ = 1 << 8, I2C_CMD_STOP = 1 << 9, I2C_CMD_RESTART = 1 << 10 };
enum { I2C_RAW_TX_ABRT = 1 << 6, I2C_STATUS_TFE = 1 << 2, I2C_STATUS_RFNE = 1 << 3 };
enum { ADC_CS_EN = 1 << 0, ADC_CS_START_ONCE = 1 << 2, ADC_CS_READY = 1 << 8 };
enum { WATCHDOG_CTRL_ENABLE = 1 << 30, WATCHDOG_TICK_ENABLE = 1 << 9 };
enum { PSM_WDSEL_ALL_BUT_OSCILLATORS = 0x1FFFC };
enum { SYSTICK_CSR_ENABLE = 1 << 0, SYSTICK_CSR_TICKINT = 1 << 1, SYSTICK_CSR_CLKSOURCE = 1 << 2 };
enum { UART0_IRQ = 20 };
enum { FLASH_SECTOR_SIZE = 4096, FLASH_PAGE_SIZE = 256 };

enum {
    PIN_UART_TX = 0,
    PIN_UART_RX = 1,
    PIN_I2C_SDA = 4,
    PIN_I2C_SCL = 5,
    PIN_DOCK = 14,   /* low: docked */
    PIN_TAMPER = 15, /* low: housing shut */
    PIN_LINE = 16,   /* interlock and indicator */
    PIN_LIGHT = 26   /* ADC 0 */
};

enum gpio_function { GPIO_FUNC_UART = 2, GPIO_FUNC_I2C = 3, GPIO_FUNC_SIO = 5, GPIO_FUNC_NULL = 31 };

/* Bits of a pad. */
enum {
    PAD_SCHMITT = 1 << 1,
    PAD_PULL_DOWN = 1 << 2,
    PAD_PULL_UP = 1 << 3,
    PAD_DRIVE_4MA = 1 << 4,
    PAD_INPUT = 1 << 6,
    PAD_OUTPUT_OFF = 1 << 7
};

static inline void gpio_set_function(uint32_t gpio, enum gpio_function function, uint32_t pad) {
    pads_bank0_hw->io[gpio] = pad;
    io_bank0_hw->io[gpio].ctrl = function;
}

#endif
