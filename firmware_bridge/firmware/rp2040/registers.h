/* The RP2040 registers that are used, named as in its datasheet. */
#ifndef FG_RP2040_REGISTERS_H
#define FG_RP2040_REGISTERS_H

#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define CLEAR_BITS 0x3000U /* alias that clears the bits written */

#define CLOCKS 0x40008000U
#define RESETS 0x4000C000U
#define PSM 0x40010000U
#define IO_BANK0 0x40014000U
#define PADS_BANK0 0x4001C000U
#define XOSC 0x40024000U
#define PLL_SYS 0x40028000U
#define UART0 0x40034000U
#define I2C0 0x40044000U
#define ADC 0x4004C000U
#define TIMER 0x40054000U
#define WATCHDOG 0x40058000U
#define ROSC 0x40060000U
#define FLASH_SSI 0x18000000U
#define SIO 0xD0000000U
#define SYSTICK 0xE000E010U
#define NVIC_ENABLE 0xE000E100U

#define XIP 0x10000000U /* where flash is read */
#define KEPT 0x101FD000U  /* two sectors for the floors */
#define STORE 0x101FF000U /* the last sector: the provisioned block */

enum { BOARD_KIND = 4, FLASH_SECTOR = 4096, FLASH_PAGE = 256, KEPT_SIZE = 2 * FLASH_SECTOR };

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

enum { FUNCTION_UART = 2, FUNCTION_I2C = 3, FUNCTION_SIO = 5, FUNCTION_NONE = 31 };

/* Pad: bit 7 output off, 6 input on, 3 pull-up, 2 pull-down, 1 hysteresis. */
static inline void pin(uint32_t number, uint32_t function, uint32_t pad) {
    REG(PADS_BANK0 + 4 + 4 * number) = pad;
    REG(IO_BANK0 + 8 * number + 4) = function;
}

#endif
