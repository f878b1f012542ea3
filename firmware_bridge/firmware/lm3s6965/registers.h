/* The LM3S6965 registers that are used, with the names of its datasheet and of CMSIS.
 *
 * Addresses of memory (flash, RAM, key block, rollback counters) come from
 * `memory_map.py`; the build passes them as FG_... macros.
 */
#ifndef FG_LM3S6965_REGISTERS_H
#define FG_LM3S6965_REGISTERS_H

#include <stddef.h>
#include <stdint.h>

typedef volatile uint32_t reg32;

typedef struct {
    reg32 DR, RSR, reserved0[4], FR, reserved1, ILPR, IBRD, FBRD, LCRH, CTL, IFLS, IM, RIS, MIS, ICR;
} UART_Type; /* PL011 */

typedef struct {
    reg32 DATA[256]; /* indexed by the mask of the bits that are meant */
    reg32 DIR, reserved0[70], DEN;
} GPIO_Type;

typedef struct {
    reg32 CFG, TAMR, TBMR, CTL, reserved0[2], IMR, RIS, MIS, ICR, TAILR;
} TIMER_Type;

typedef struct {
    reg32 LOAD, VALUE, CTL, ICR, RIS, MIS, reserved0[762], LOCK;
} WATCHDOG_Type;

typedef struct {
    reg32 reserved0[65], RCGC1, RCGC2;
} SYSCTL_Type;

typedef struct {
    reg32 CTRL, LOAD, VAL, CALIB;
} SysTick_Type;

typedef struct {
    reg32 ISER[8], reserved0[24], ICER[8];
} NVIC_Type;

typedef struct {
    reg32 CPUID, ICSR, VTOR, AIRCR;
} SCB_Type;

_Static_assert(offsetof(UART_Type, ICR) == 0x44, "UARTICR");
_Static_assert(offsetof(GPIO_Type, DEN) == 0x51C, "GPIODEN");
_Static_assert(offsetof(TIMER_Type, TAILR) == 0x28, "GPTMTAILR");
_Static_assert(offsetof(WATCHDOG_Type, LOCK) == 0xC00, "WDTLOCK");
_Static_assert(offsetof(SYSCTL_Type, RCGC2) == 0x108, "RCGC2");
_Static_assert(offsetof(NVIC_Type, ICER) == 0x80, "NVIC_ICER");

#define WATCHDOG0 ((WATCHDOG_Type *)0x40000000U)
#define UART0 ((UART_Type *)0x4000C000U)
#define UART1 ((UART_Type *)0x4000D000U)
#define GPIOF ((GPIO_Type *)0x40025000U)
#define TIMER0 ((TIMER_Type *)0x40030000U)
#define SYSCTL ((SYSCTL_Type *)0x400FE000U)
#define SysTick ((SysTick_Type *)0xE000E010U)
#define NVIC ((NVIC_Type *)0xE000E100U)
#define SCB ((SCB_Type *)0xE000ED00U)

enum { SYSCTL_RCGC1_UART0 = 1 << 0, SYSCTL_RCGC1_UART1 = 1 << 1, SYSCTL_RCGC1_TIMER0 = 1 << 16 };
enum { SYSCTL_RCGC2_GPIOF = 1 << 5 };
enum { UART_FR_RXFE = 1 << 4, UART_FR_TXFF = 1 << 5 };
enum { UART_LCRH_FEN = 1 << 4, UART_LCRH_WLEN_8 = 3 << 5 };
enum { UART_CTL_UARTEN = 1 << 0, UART_CTL_TXE = 1 << 8, UART_CTL_RXE = 1 << 9 };
enum { UART_IM_RXIM = 1 << 4, UART_IM_RTIM = 1 << 6, UART_ICR_ALL = 0x7FF };
enum { TIMER_TAMR_PERIODIC = 2, TIMER_CTL_TAEN = 1, TIMER_IMR_TATOIM = 1, TIMER_ICR_TATOCINT = 1 };
enum { WATCHDOG_CTL_INTEN = 1 << 0, WATCHDOG_CTL_RESEN = 1 << 1, WATCHDOG_UNLOCK = 0x1ACCE551 };
enum { SYSTICK_CTRL_ENABLE = 1 << 0, SYSTICK_CTRL_CLKSOURCE = 1 << 2, SYSTICK_MAX = 0xFFFFFF };
enum { SCB_AIRCR_RESET = 0x05FA0004 }; /* VECTKEY and SYSRESETREQ */
enum { UART0_IRQn = 5, UART1_IRQn = 6, WATCHDOG_IRQn = 18, TIMER0A_IRQn = 19 };

#endif
