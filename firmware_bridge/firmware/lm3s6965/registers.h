/* The LM3S6965 registers and places that are used, named as in its datasheet. */
#ifndef FG_LM3S6965_REGISTERS_H
#define FG_LM3S6965_REGISTERS_H

#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

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
#define SURVIVES 0x2000FF00U /* RAM that a reset leaves alone: seed, boots */
#define KEPT 0x2000FF20U     /* and the floors: QEMU models no flash that can be written */

enum { BOARD_KIND = 3, KEPT_SIZE = 192 };

#endif
