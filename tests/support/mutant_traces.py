"""The traces that judge a mutant: recorded runs of the Python board, common and rare."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from firmware_bridge import packets
from firmware_bridge.framing import MAX_CODED, frame
from firmware_bridge.packets import Kind
from firmware_bridge.virtual.sensors import Sensors
from tests.support import sequences
from tests.support.boards import BOOT_ID, MS, ROOT, STILL, Host
from tests.support.c_board import CBoard
from tests.support.sequences import Step

LIVES = 700
MakeBoard = Callable[[bytes, int, int], Any]


@dataclass(frozen=True, slots=True)
class Trace:
    """One run: the board's settings, and each step with its packets and its state."""

    start_us: int
    tx_sequence: int  # the board has sent this many packets before
    steps: tuple[tuple[Step, bytes, bool], ...]


class _Recorder:
    """Sits between a `Host` and a board and records every step."""

    def __init__(self, board: Any) -> None:
        self._board = board
        self.steps: list[tuple[Step, bytes, bool]] = []

    def _do(self, step: Step) -> None:
        if step.data is not None:
            self._board.receive(step.data, step.now_us)
        elif step.reading is not None:
            self._board.sense(step.reading, step.now_us)
        else:
            self._board.tick(step.now_us)
        self._sent = self._board.take()
        self.steps.append((step, self._sent, self._board.line))

    def tick(self, now_us: int) -> None:
        self._do(Step(now_us))

    def sense(self, reading: Sensors, now_us: int) -> None:
        self._do(Step(now_us, reading=reading))

    def receive(self, data: bytes, now_us: int) -> None:
        self._do(Step(now_us, data=data))

    def take(self) -> bytes:
        sent, self._sent = self._sent, b""
        return sent

    @property
    def line(self) -> bool:
        return bool(self._board.line)


def record(make: MakeBoard) -> list[Trace]:
    """Every trace on the given board; the rare ones first, because they are short."""
    traces = [_scripted(make, start_us, 0, script) for start_us, script in _SCRIPTS]
    traces.append(_scripted(make, 0, packets.MAX_SEQUENCE - 6, _last_words))
    for seed in range(LIVES):
        board = make(ROOT, BOOT_ID, 0)
        traces.append(Trace(0, 0, tuple(sequences.play(seed, board))))
    return traces


def differs(traces: list[Trace], make: MakeBoard) -> bool:
    """Whether the board's packets or state differ in any trace."""
    for trace in traces:
        board = _spoken(make(ROOT, BOOT_ID, trace.start_us), trace.tx_sequence)
        for step, sent, line in trace.steps:
            if sequences.apply(board, step) != (sent, line):
                return True
    return False


def vectors_differ(ffi: Any, lib: Any) -> bool:
    """Whether hashes of the published test vectors or of any short input differ."""
    state, digest, key = ffi.new("fg_sha256 *"), ffi.new("uint8_t[32]"), ffi.new("fg_key *")
    for size in (*range(130), 1000):
        text = bytes(i * 7 & 0xFF for i in range(size))
        lib.fg_sha256_init(state)
        lib.fg_sha256_add(state, text, size)
        lib.fg_sha256_end(state, digest)
        if bytes(digest) != hashlib.sha256(text).digest():
            return True
        lib.fg_key_init(key, text, size)
        lib.fg_hmac(key, b"text", 4, digest)
        if bytes(digest) != hmac.digest(text, b"text", "sha256"):
            return True
    return _overruns(ffi, lib) or _partial_take_differs(ffi, lib) or _deframing_differs(ffi, lib)


def _overruns(ffi: Any, lib: Any) -> bool:
    """Whether anything is written beyond the requested length."""
    room = ffi.new("uint8_t[]", b"\xee" * 128)
    for size in (0, 1, 2, 4, 8):
        lib.fg_put(room, 0, size)
        if room[size] != 0xEE:
            return True
    key, packet = ffi.new("fg_key *"), ffi.new("fg_packet *")
    payload = ffi.new("uint8_t[46]")
    for size in (0, 5, 46):
        room = ffi.new("uint8_t[]", b"\xee" * 128)
        packet.payload, packet.length = payload, size
        if room[lib.fg_seal(packet, key, 0, room)] != 0xEE:
            return True
    return False


def _partial_take_differs(ffi: Any, lib: Any) -> bool:
    """Whether the waiting bytes differ if they are read in pieces."""
    board = CBoard((ffi, lib), ROOT, BOOT_ID)
    expected = bytes(range(200))
    for room in (1, 7, 199, 200, 250):
        ffi.buffer(board.state.tx)[: len(expected)] = expected
        board.state.tx_count = len(expected)
        found, out = b"", ffi.new("uint8_t[]", b"\xee" * 300)
        for _ in range(300):
            size = lib.fg_take(board.state, out, room)
            if out[size] not in (0xEE, *found[size : size + 1]):
                return True
            found += bytes(ffi.buffer(out, size))
            out = ffi.new("uint8_t[]", b"\xee" * 300)
        if found != expected or board.state.tx_count:
            return True
    return False


def _deframing_differs(ffi: Any, lib: Any) -> bool:
    from firmware_bridge.framing import Deframer

    rng = random.Random(4)
    state, content = ffi.new("fg_deframer *"), ffi.new("uint8_t[82]")
    ours = Deframer()
    longest = frame(bytes(range(1, 79)))
    odd = [longest, longest[:-1] + b"\1\0", longest[:-1] + b"\1\1\1\0", b"\3\xff\xff\0", b"\1\0"]
    for number in range(400):
        size = rng.choice((1, 2, 3, 5, MAX_CODED - 1, MAX_CODED, MAX_CODED + 1))
        data = frame(rng.randbytes(rng.randrange(1, 78))) if rng.random() < 0.6 else b""
        if rng.random() < 0.5:
            body = bytearray(rng.choice((0, 1, 2, 9)) for _ in range(rng.randrange(1, 70)))
            data = frame(bytes(body)) + bytes([*(rng.randrange(1, 9) for _ in range(size)), 0])
        data = odd[number] if number < len(odd) else data
        found = []
        for byte in data:
            count = lib.fg_deframe(state, byte, content)
            if count:
                found.append(bytes(ffi.buffer(content, count)))
        if found != list(ours.feed(data)) or state.noise != ours.noise:
            return True
    return False


def _spoken(board: Any, times: int) -> Any:
    """`board` with so many of its sequence numbers used up."""
    if isinstance(board, CBoard):
        board.state.tx_sequence = times
    else:
        board._tx_sequence = times
    return board


def _scripted(
    make: MakeBoard, start_us: int, tx_sequence: int, script: Callable[[Host], None]
) -> Trace:
    recorder = _Recorder(_spoken(make(ROOT, BOOT_ID, start_us), tx_sequence))
    host = Host(recorder, now_us=start_us)
    recorder._sent = b""
    script(host)
    return Trace(start_us, tx_sequence, tuple(recorder.steps))


def _long_permit(host: Host) -> None:
    host.ready()
    host.lease(life_ms=500)
    for _ in range(60):
        host.pass_ms(50)
        host.lease(releasing=True)
    host.pass_ms(260)
    host.lease(decision=2, life_ms=501)
    host.pass_ms(600)


def _challenges(host: Host) -> None:
    host.ready()
    first = host.challenge
    host.pass_ms(1050)
    host.lease(challenge=first)
    host.pass_ms(1000)
    host.lease(challenge=first)
    host.lease(challenge=0)
    for gap_ms in (1999, 2000, 2001, 999, 1000, 1001):
        host.pass_ms(1100)
        before = host.challenge
        host.now_us += gap_ms * MS
        host.board.tick(host.now_us)
        host.sense(STILL)
        host.lease(challenge=before)
        host.revoke()


def _silence(host: Host) -> None:
    host.ready()
    host.lease(life_ms=500)
    host.pass_ms(99, sense=False)
    host.pass_ms(3, sense=False)
    host.pass_ms(200, sense=False)
    host.sense(STILL)
    host.lease(decision=2)
    host.now_us += (1 << 33) * MS
    host.pass_ms(100)


def _complaints(host: Host) -> None:
    host.ready()
    for gap_ms in (0, 1, 98, 99, 100, 101, 100, 50, 50):
        host.pass_ms(gap_ms)
        host.send(Kind.PING.value, b"", key=bytes(32))
        host.send(Kind.PING.value, b"", key_id=1)
        host.send(Kind.PING.value, b"", from_board=True)
        host.raw(frame(b"short"))
        host.send(Kind.PING.value, b"")


def _sizes(host: Host) -> None:
    host.ready()
    for kind in range(1, 6):
        for size in range(47):
            host.send(kind, bytes(size))
    host.hello(0, 0)
    host.hello(1, 1)
    host.hello(2, 3)
    for value in (0, 1, 255, 256, 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1, 5):
        host.send(Kind.LOG_FLOOR.value, value.to_bytes(8, "little"))
        host.send(Kind.POLICY_FLOOR.value, (value // 2).to_bytes(8, "little"))


def _limits(host: Host) -> None:
    host.ready()
    decision = 10
    for axis in range(3):
        for size in (749, 750, 751, 32767, -750, -751, -32768):
            for name in ("gyro", "accel"):
                vector = [0, 0, 0] if name == "gyro" else [0, 0, 4905]
                vector[axis] = size
                decision += 1
                host.sense(STILL)
                host.lease(decision=decision)
                host.sense(replace(STILL, **{name: tuple(vector)}))
        for size in (4154, 4155, 5655, 5656):
            vector = [0, 0, 0]
            vector[axis] = size
            decision += 1
            host.sense(STILL)
            host.lease(decision=decision)
            host.sense(replace(STILL, accel=tuple(vector)))
    for speed in (0, 199, 200, 201, 65535):
        decision += 1
        host.sense(STILL)
        host.lease(decision=decision)
        host.sense(replace(STILL, speed=speed, position=(-1, 1 << 30), lux=1 << 31))
        host.pass_ms(25)
    for field in ("docked", "dock_id", "tampered", "gyro", "accel"):
        decision += 1
        host.sense(STILL)
        host.lease(decision=decision)
        host.sense(replace(STILL, **{field: None}))
        host.pass_ms(25)


def _full(host: Host) -> None:
    """Nothing reads the board's output during one step with many packets."""
    host.ready()
    wire = b""
    for _ in range(40):
        host.sequence += 1
        wire += host.wire(Kind.PING.value, b"")
    host.raw(wire)
    host.pass_ms(100)
    host.sequence += 1
    lease = host.wire(Kind.LEASE.value, host.lease_payload())
    host.raw(lease[:10])
    host.raw(lease[10:])
    host.raw(b"\x05" * 200 + b"\0" + lease)
    host.raw(lease * 2)


def _brim(host: Host) -> None:
    """The output buffer fills to its last byte, and then gets one packet too many."""
    host.ready()
    for more in (0, 1):
        wire = b""
        for kind in [Kind.LOG_FLOOR.value, *[Kind.PING.value] * (3 + more), *[0x42] * 16]:
            host.sequence += 1
            wire += host.wire(kind, bytes(8) if kind == Kind.LOG_FLOOR.value else b"")
        host.raw(wire)
        host.pass_ms(3)


def _unsensed(host: Host) -> None:
    """No sensor has sent a reading yet."""
    host.hello()
    host.lease()
    host.pass_ms(30, sense=False)
    host.lease(decision=2)
    host.pass_ms(30)
    host.lease(decision=2)


def _in_the_last_moment(host: Host) -> None:
    """Bytes or a reading arrive in the turn in which the lease ends, before a tick."""
    host.ready()
    for decision, gap_us in ((1, 9999), (2, 10_000), (3, 10_001)):
        host.lease(decision=decision, life_ms=10)
        host.now_us += gap_us
        host.lease(decision=decision, releasing=True)
        host.revoke()
    host.lease(decision=7, life_ms=10)
    host.now_us += 10_000
    host.sense(replace(STILL, docked=False))
    host.pass_ms(5)


def _other_decision(host: Host) -> None:
    """The host claims to use a decision that is not in force."""
    host.ready()
    for _ in range(5):
        host.lease(decision=1)
        host.lease(decision=2, releasing=True)
        host.lease(decision=1, releasing=True)
        host.pass_ms(5)


def _last_words(host: Host) -> None:
    """Sequence numbers run out while the line is up."""
    host.ready()
    host.lease(life_ms=500)
    host.pass_ms(100)
    host.lease(decision=2, challenge=host.challenge)
    host.pass_ms(100)


def _sequences(host: Host) -> None:
    host.ready()
    host.sequence = 9
    host.lease()
    for sequence in (9, 10, 11, 12, packets.MAX_SEQUENCE - 1, packets.MAX_SEQUENCE):
        host.send(Kind.LEASE.value, host.lease_payload(), sequence=sequence)
    host.send(Kind.LEASE.value, host.lease_payload(), sequence=0)
    host.pass_ms(300)


_SCRIPTS: tuple[tuple[int, Callable[[Host], None]], ...] = (
    (0, _long_permit),
    (0, _challenges),
    (0, _silence),
    (0, _complaints),
    (0, _sizes),
    (0, _limits),
    (0, _full),
    (0, _brim),
    (0, _unsensed),
    (0, _in_the_last_moment),
    (0, _other_decision),
    (0, _sequences),
    (((1 << 32) - 700) * MS, _long_permit),
    (123_456_789, _complaints),
)
