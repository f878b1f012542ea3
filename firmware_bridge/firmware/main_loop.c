/* The main loop of a bare chip. See hal.h. */
#include "hal.h"
#include "registers.h"
#include "store.h"

enum {
    RX_RING = 1024, /* a power of two */
    SENSE_US = 500,
    WINDOW_US = 200, /* the watchdog is not fed more often than this */
    STALL_MS = 50
};

extern uint32_t data_start[], data_end[], data_image[], bss_start[], bss_end[];
extern const uint8_t image_start[], image_end[];

static fg_board board;
static fg_floors kept;
static uint8_t rx[RX_RING];
static volatile uint32_t rx_head;
static uint32_t rx_tail;
static volatile uint32_t unfed_ms;

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
void __aeabi_memcpy(void *to, const void *from, size_t size);
void __aeabi_memcpy4(void *to, const void *from, size_t size);
void __aeabi_memclr(void *to, size_t size);
void __aeabi_memclr4(void *to, size_t size);
void __aeabi_memclr8(void *to, size_t size);

void uart0_interrupt(void) {
    UART0->ICR = UART_ICR_ALL;
    while (!(UART0->FR & UART_FR_RXFE)) {
        uint32_t head = rx_head;
        uint8_t byte = (uint8_t)UART0->DR;
        if (head - rx_tail < RX_RING) {
            rx[head % RX_RING] = byte;
            rx_head = head + 1;
        }
    }
}

/* Lowers the line when the rule says so, even while the main loop handles a packet,
 * and also when that loop has stopped. It never raises the line. */
void main_loop_millisecond(void) {
    unfed_ms++;
    if (unfed_ms > STALL_MS || !fg_line(&board)) {
        hal_line(false);
    }
}

static void feed(uint64_t at_us) {
    static uint64_t fed_us;
    if (at_us - fed_us >= WINDOW_US && board.fault != FG_FAULT_SEQUENCE) {
        fed_us = at_us;
        unfed_ms = 0;
        hal_feed();
    }
}

/* Called before the answer is sent, so that what the host was told survives a reset. */
static void keep_floors(void) {
    uint8_t record[FG_RECORD];
    if (board.log_floor == kept.log && board.policy_floor == kept.policy) {
        return;
    }
    if (kept.free == FG_COUNTERS_SIZE) {
        if (fg_line(&board)) {
            return; /* erasing takes long: never while the line is up */
        }
        hal_erase(kept.stale);
        fg_floors_read((const uint8_t *)(uintptr_t)FG_COUNTERS_ADDRESS, FG_COUNTERS_SIZE, &kept);
    }
    fg_floors_record(board.log_floor, board.policy_floor, record);
    hal_write(kept.free, record);
    fg_floors_read((const uint8_t *)(uintptr_t)FG_COUNTERS_ADDRESS, FG_COUNTERS_SIZE, &kept);
    kept.log = board.log_floor; /* also if it was not kept: trying again wears the memory out */
    kept.policy = board.policy_floor;
}

static void send(void) {
    static uint8_t out[FG_TX_ROOM];
    static uint32_t out_size;
    static uint32_t out_at;
    if (out_at == out_size) {
        out_size = fg_take(&board, out, sizeof out);
        out_at = 0;
    }
    while (out_at < out_size && !(UART0->FR & UART_FR_TXFF)) {
        UART0->DR = out[out_at];
        out_at++;
    }
}

/* Called between any two packets, received or sent: at most one of them delays a veto. */
static void sense(void) {
    static uint64_t sensed_us;
    fg_sensors reading;
    uint64_t at_us = hal_now_us();
    if (at_us - sensed_us < SENSE_US) {
        return;
    }
    if (hal_sense(&reading, at_us)) {
        fg_sense(&board, at_us, &reading);
    }
    sensed_us = hal_now_us(); /* its end: slow sensors leave time for the rest */
}

static void round_of_main(void) {
    while (rx_tail != rx_head) {
        fg_receive(&board, hal_now_us(), &rx[rx_tail % RX_RING], 1);
        rx_tail++;
        sense();
    }
    sense();
    fg_tick(&board, hal_now_us());
    sense();
    hal_line(fg_line(&board));
    keep_floors();
    send();
    feed(hal_now_us());
}

void main_loop_memory(void) {
    for (uint32_t i = 0; data_start + i < data_end; i++) {
        data_start[i] = data_image[i];
    }
    for (uint32_t *word = bss_start; word < bss_end; word++) {
        *word = 0;
    }
}

void main_loop_run(void) {
    const uint8_t *store = (const uint8_t *)(uintptr_t)FG_STORE_ADDRESS;
    uint8_t firmware[FG_DIGEST];
    fg_sha256 hash;
    while (!fg_store_valid(store)) { /* not provisioned: line down, silent */
        feed(hal_now_us());
        __asm__ volatile("wfi");
    }
    fg_sha256_init(&hash);
    fg_sha256_add(&hash, image_start, (uint32_t)((uintptr_t)image_end - (uintptr_t)image_start));
    fg_sha256_end(&hash, firmware);
    fg_init(&board, hal_now_us(), fg_store_root(store), fg_boot_id(store, hal_fresh()),
            FG_BOARD_KIND, firmware);
    fg_floors_read((const uint8_t *)(uintptr_t)FG_COUNTERS_ADDRESS, FG_COUNTERS_SIZE, &kept);
    fg_restore(&board, &kept);
    for (;;) {
        round_of_main();
        __asm__ volatile("wfi");
    }
}

/* functions that the compiler calls by itself */

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
