/* The board as a process of this machine, on a pseudo-terminal.
 *
 *   host STORE_FD [LINE_FD [KEPT_FD]]
 *
 * Prints the port's path. Bench commands come on standard input. Each change
 * of the line goes to LINE_FD as {"t_ns": CLOCK_BOOTTIME, "permit": true}.
 * Floors outlive a reset; in the file KEPT_FD also the end of the process.
 * Ends with its parent. The rule is the one the firmware images run.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "fault_injection.h"
#include "rollback_counters.h"
#include "store.h"

enum { TURN_MS = 1, SENSE_US = 500, BOARD_KIND = 2, CHUNK = 4096, KEPT_SIZE = 256 };

static fg_board board;
static fg_bench bench;
static uint8_t store[FG_STORE_SIZE];
static uint8_t memory[KEPT_SIZE];
static fg_floors kept;
static int kept_fd = -1;
static const uint8_t firmware[8] = {'h', 'o', 's', 't', 0, 0, 0, 1};

static uint64_t now_ns(void) {
    struct timespec at;
    (void)clock_gettime(CLOCK_BOOTTIME, &at);
    return (uint64_t)at.tv_sec * 1000000000U + (uint64_t)at.tv_nsec;
}

static int fail(const char *what) {
    (void)fprintf(stderr, "board: %s\n", what);
    return 2;
}

static int boot(void) {
    uint64_t fresh = 0;
    if (getrandom(&fresh, sizeof fresh, 0) != (ssize_t)sizeof fresh) {
        return fail("no random numbers");
    }
    bench = (fg_bench){0};
    fg_init(&board, now_ns() / 1000, fg_store_root(store), fg_boot_id(store, fresh), BOARD_KIND,
            firmware);
    fg_floors_read(memory, KEPT_SIZE, &kept);
    fg_restore(&board, &kept);
    return 0;
}

static int keep(uint32_t at, uint32_t size) {
    bool written = kept_fd < 0 || (pwrite(kept_fd, memory + at, size, at) == (ssize_t)size &&
                                   fdatasync(kept_fd) == 0);
    return written ? 0 : fail("cannot keep the floors");
}

static int keep_floors(void) {
    if (board.log_floor == kept.log && board.policy_floor == kept.policy) {
        return 0;
    }
    if (kept.free == KEPT_SIZE) {
        for (uint32_t i = 0; i < KEPT_SIZE / 2; i++) {
            memory[kept.stale + i] = 0xFF;
        }
        if (keep(kept.stale, KEPT_SIZE / 2) != 0) {
            return 2;
        }
        fg_floors_read(memory, KEPT_SIZE, &kept);
    }
    uint32_t at = kept.free;
    fg_floors_record(board.log_floor, board.policy_floor, memory + at);
    fg_floors_read(memory, KEPT_SIZE, &kept);
    return keep(at, FG_RECORD);
}

static void show_line(int line_fd) {
    static bool shown;
    char text[64];
    if (fg_line(&board) == shown || line_fd < 0) {
        return;
    }
    shown = fg_line(&board);
    int size = snprintf(text, sizeof text, "{\"t_ns\": %" PRIu64 ", \"permit\": %s}\n", now_ns(),
                        shown ? "true" : "false");
    if (write(line_fd, text, (size_t)size) < 0) {
        exit(fail("nobody reads the line"));
    }
}

static int hear_bench(void) {
    uint8_t bytes[64];
    ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);
    for (ssize_t i = 0; i < size; i++) {
        fg_bench_command(&bench, bytes[i]);
    }
    return bench.restarted ? boot() : 0;
}

static int turn(int master, int line_fd) {
    static uint64_t sensed_us;
    static uint8_t out[FG_TX_ROOM];
    static uint32_t out_size;
    static uint32_t out_at;
    uint8_t bytes[CHUNK];
    uint64_t at_us = now_ns() / 1000;
    ssize_t size = read(master, bytes, sizeof bytes);
    if (size > 0) {
        fg_receive(&board, at_us, bytes, (uint32_t)size);
    }
    if (at_us - sensed_us >= SENSE_US && !bench.silent) {
        fg_sensors reading;
        sensed_us = at_us;
        fg_bench_reading(&bench, &reading);
        fg_sense(&board, at_us, &reading);
    }
    fg_tick(&board, at_us);
    show_line(line_fd);
    if (keep_floors() != 0) {
        return 2;
    }
    if (out_at == out_size) {
        out_size = fg_take(&board, out, sizeof out);
        out_at = 0;
    }
    if (out_at < out_size) {
        size = write(master, out + out_at, out_size - out_at);
        out_at += size > 0 ? (uint32_t)size : 0;
    }
    return hear_bench();
}

int main(int argc, char **argv) {
    int master = -1;
    int slave = -1; /* kept, so that the port lives on while nobody has it */
    if (argc < 2 || argc > 4) {
        return fail("usage: host STORE_FD [LINE_FD [KEPT_FD]]");
    }
    int store_fd = atoi(argv[1]);
    int line_fd = argc >= 3 ? atoi(argv[2]) : -1;
    kept_fd = argc == 4 ? atoi(argv[3]) : -1;
    if (kept_fd >= 0 && pread(kept_fd, memory, KEPT_SIZE, 0) < 0) {
        return fail("cannot read the floors");
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(store_fd, store, sizeof store) != (ssize_t)sizeof store || !fg_store_valid(store)) {
        return fail("expected 64 bytes of a provisioned block");
    }
    if (openpty(&master, &slave, NULL, NULL, NULL) != 0) {
        return fail("no pseudo-terminal to be had");
    }
    struct termios raw;
    (void)tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    (void)tcsetattr(slave, TCSANOW, &raw);
    (void)fcntl(master, F_SETFL, O_NONBLOCK);
    (void)fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    if (boot() != 0) {
        return 2;
    }
    (void)printf("%s\n", ttyname(slave));
    (void)fflush(stdout);
    struct pollfd waiting[2] = {{master, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    while (turn(master, line_fd) == 0) {
        waiting[1].fd = waiting[1].revents & (POLLHUP | POLLNVAL) ? -1 : waiting[1].fd;
        (void)poll(waiting, 2, TURN_MS);
    }
    return 2;
}
