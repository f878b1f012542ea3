/* Frames that the framegate guard releases, for a matcher in C or C++. One header, POSIX only.
 *
 *     struct fg_matcher m;
 *     struct fg_frame frame;
 *     if (fg_connect(&m) != 0) { fprintf(stderr, "%s\n", m.error); return 1; }
 *     unsigned char *pixels = malloc(m.frame_bytes);
 *     while (fg_next(&m, &frame, pixels, -1) == 1)
 *         match(pixels, frame.height, frame.width, m.channels);
 *     fg_close(&m);
 *
 * Token, lane and socket come in the environment that the guard sets. Pixels are uint8, row by
 * row, BGR (3 channels) or grey (1). `framegate_client/ring.py` has the same layout in Python.
 */
#ifndef FRAMEGATE_H
#define FRAMEGATE_H

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fg_frame {
    uint64_t sequence;   /* rises by one per released frame; a gap: this side was too slow */
    int64_t captured_ns; /* CLOCK_BOOTTIME */
    uint64_t epoch;      /* of the permit it was released under */
    unsigned height, width;
    uint32_t bytes;
};

struct fg_matcher {
    int channel, wake, over;
    const unsigned char *ring;
    size_t ring_bytes, stride;
    uint32_t slots, frame_bytes;
    uint64_t next; /* the sequence number to read next */
    unsigned channels;
    char error[160];
};

static uint64_t fg__u64(const unsigned char *at) {
    return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

static int fg__fail(struct fg_matcher *m, const char *what) {
    snprintf(m->error, sizeof m->error, "framegate: %s%s%s", what, errno ? ": " : "",
             errno ? strerror(errno) : "");
    if (m->channel >= 0) close(m->channel);
    m->channel = -1;
    return -1;
}

static int fg__channel(void) {
    const char *number = getenv("FRAMEGATE_FD"), *path = getenv("FRAMEGATE_SOCKET");
    struct sockaddr_un to;
    int fd;
    if (number != NULL) return atoi(number);
    if (path == NULL || strlen(path) >= sizeof to.sun_path) return -1;
    memset(&to, 0, sizeof to);
    to.sun_family = AF_UNIX;
    memcpy(to.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int fg__map(struct fg_matcher *m, int ring_fd) {
    struct stat found;
    const unsigned char *ring;
    if (fstat(ring_fd, &found) != 0 || found.st_size < 64) return -1;
    m->ring_bytes = (size_t)found.st_size;
    ring = (const unsigned char *)mmap(NULL, m->ring_bytes, PROT_READ, MAP_SHARED, ring_fd, 0);
    if (ring == MAP_FAILED) return -1;
    m->ring = ring;
    memcpy(&m->slots, ring + 8, 4);
    memcpy(&m->frame_bytes, ring + 12, 4);
    m->stride = 64 + (((size_t)m->frame_bytes + 63) / 64) * 64;
    if (memcmp(ring, "FGRING1", 8) != 0 || m->slots == 0) return -1;
    return 64 + m->slots * m->stride <= m->ring_bytes ? 0 : -1;
}

/* 0: admitted; only frames released from now on are read. -1: not, and `error` says why. */
static int fg_connect(struct fg_matcher *m) {
    const char *token = getenv("FRAMEGATE_TOKEN"), *lane = getenv("FRAMEGATE_LANE");
    char text[512], rights[CMSG_SPACE(2 * sizeof(int))];
    struct iovec part;
    struct msghdr answer;
    struct cmsghdr *head;
    int fds[2], rc;
    ssize_t got;

    memset(m, 0, sizeof *m);
    m->channel = -1;
    errno = 0;
    if (token == NULL || lane == NULL)
        return fg__fail(m, "no token or lane: start the matcher through the guard");
    m->channel = fg__channel();
    if (m->channel < 0) return fg__fail(m, "expected a guard at FRAMEGATE_FD or FRAMEGATE_SOCKET");
    rc = snprintf(text, sizeof text, "{\"v\": 1, \"token\": \"%s\", \"lane\": \"%s\"}", token, lane);
    if (rc < 0 || (size_t)rc >= sizeof text) return fg__fail(m, "token or lane is too long");
    if (send(m->channel, text, (size_t)rc, MSG_NOSIGNAL) != rc)
        return fg__fail(m, "the guard is gone");
    part.iov_base = text;
    part.iov_len = sizeof text - 1;
    memset(&answer, 0, sizeof answer);
    answer.msg_iov = &part;
    answer.msg_iovlen = 1;
    answer.msg_control = rights;
    answer.msg_controllen = sizeof rights;
    got = recvmsg(m->channel, &answer, MSG_CMSG_CLOEXEC);
    if (got <= 0) return fg__fail(m, "the guard did not answer");
    text[got] = 0;
    head = CMSG_FIRSTHDR(&answer);
    if (strstr(text, "\"ok\": true") == NULL || head == NULL ||
        head->cmsg_len != CMSG_LEN(2 * sizeof(int))) {
        errno = 0;
        snprintf(m->error, sizeof m->error, "framegate: the guard refused: %.100s", text);
        close(m->channel);
        m->channel = -1;
        return -1;
    }
    memcpy(fds, CMSG_DATA(head), sizeof fds);
    m->wake = fds[1];
    m->channels = strstr(text, "\"channels\": 1") != NULL ? 1 : 3;
    rc = fg__map(m, fds[0]);
    close(fds[0]);
    if (rc != 0) {
        close(m->wake);
        return fg__fail(m, "expected a release ring");
    }
    m->next = fg__u64(m->ring + 16) + 1;
    return 0;
}

/* Copy the oldest frame not read yet to `pixels` (frame_bytes long): 1, or 0 if there is none. */
static int fg__take(struct fg_matcher *m, struct fg_frame *frame, unsigned char *pixels) {
    uint64_t newest = fg__u64(m->ring + 16);
    while (m->next <= newest) {
        const unsigned char *slot;
        uint16_t height, width;
        if (newest - m->next >= m->slots) m->next = newest - m->slots + 1;
        slot = m->ring + 64 + (size_t)((m->next - 1) % m->slots) * m->stride;
        frame->sequence = fg__u64(slot);
        memcpy(&frame->captured_ns, slot + 8, 8);
        memcpy(&frame->epoch, slot + 16, 8);
        memcpy(&height, slot + 24, 2);
        memcpy(&width, slot + 26, 2);
        memcpy(&frame->bytes, slot + 28, 4);
        frame->height = height;
        frame->width = width;
        if (frame->sequence == m->next++ && frame->bytes <= m->frame_bytes) {
            memcpy(pixels, slot + 64, frame->bytes);
            __atomic_thread_fence(__ATOMIC_ACQUIRE);
            if (fg__u64(slot) == frame->sequence) return 1; /* not overwritten meanwhile */
        }
    }
    return 0;
}

/* 1: a frame; 0: none within `timeout_ms` (-1: wait for as long as it takes); -1: the end. */
static int fg_next(struct fg_matcher *m, struct fg_frame *frame, unsigned char *pixels,
                   int timeout_ms) {
    for (;;) {
        struct pollfd ready[2];
        uint64_t count;
        int found;
        if (fg__take(m, frame, pixels)) return 1;
        if (m->over) return -1;
        ready[0].fd = m->wake;
        ready[1].fd = m->channel;
        ready[0].events = ready[1].events = POLLIN;
        found = poll(ready, 2, timeout_ms);
        if (found == 0) return 0;
        if (found < 0 && errno != EINTR) return -1;
        if (found < 0) continue;
        if (ready[1].revents) m->over = 1; /* whatever the guard says is the end */
        if (ready[0].revents && read(m->wake, &count, sizeof count) < 0 && errno != EAGAIN)
            return -1;
    }
}

static void fg_close(struct fg_matcher *m) {
    if (m->channel < 0) return;
    close(m->channel);
    close(m->wake);
    munmap((void *)(uintptr_t)m->ring, m->ring_bytes);
    m->channel = -1;
}

#ifdef __cplusplus
}
#endif
#endif
