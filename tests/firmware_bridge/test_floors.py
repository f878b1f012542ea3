"""Floors kept by a board outlive resets and torn writes, and never fall."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from firmware_bridge.framing import crc16

RECORD = 32
SIZE = 8 * RECORD


class Kept:
    """A memory with the firmware's own rule on it; power may fail inside any write or erase."""

    def __init__(self, library: Any, content: bytes = b"\xff" * SIZE) -> None:
        self._ffi, self._lib = library
        self.memory = bytearray(content)

    def read(self) -> Any:
        floors = self._ffi.new("fg_floors *")
        self._lib.fg_floors_read(bytes(self.memory), len(self.memory), floors)
        return floors

    def values(self) -> tuple[int, int]:
        floors = self.read()
        return floors.log, floors.policy

    def keep(self, log: int, policy: int, cut: random.Random | None = None) -> bool:
        """Append as `main_loop.c` does; with `cut` the power fails at some point of it."""
        floors = self.read()
        fails_at = cut.choice(("erase", "write")) if cut else ""
        if floors.free == len(self.memory):
            half = slice(floors.stale, floors.stale + len(self.memory) // 2)
            self.memory[half] = b"\xff" * (len(self.memory) // 2)
            if cut and fails_at == "erase":
                self.memory[half] = cut.randbytes(len(self.memory) // 2)
                return False
            floors = self.read()
        record = self._ffi.new("uint8_t[]", RECORD)
        self._lib.fg_floors_record(log, policy, record)
        written = RECORD if cut is None else cut.randrange(RECORD)
        self.memory[floors.free : floors.free + written] = bytes(record)[:written]
        return cut is None

    def board(self, make_c: Any) -> Any:
        board = make_c()
        self._lib.fg_restore(board.state, self.read())
        return board


def record(log: int, policy: int) -> bytes:
    """As the layout in `rollback_counters.h` says."""
    content = b"FGFL" + struct.pack("<QQ", log, policy)
    return (content + crc16(content).to_bytes(2, "little")).ljust(RECORD, b"\xff")


def read(memory: bytes) -> tuple[int, int, int, int]:
    """What the firmware must find: log, policy, free place, half that may be erased."""
    log = policy = stale = 0
    free = len(memory)
    for at in range(0, len(memory), RECORD):
        found = memory[at : at + RECORD]
        reported = struct.unpack_from("<QQ", found, 4)
        if found == b"\xff" * RECORD:
            free = min(free, at)
        elif found == record(*reported):
            if reported[0] >= log and reported[1] >= policy:
                stale = len(memory) // 2 if at < len(memory) // 2 else 0
            log, policy = max(log, reported[0]), max(policy, reported[1])
    return log, policy, free, stale


def memories(seed: int) -> Iterator[bytes]:
    """Random memories: whole records in any order, torn ones, empty places, garbage."""
    rng = random.Random(seed)
    for _ in range(200):
        places = []
        for _ in range(SIZE // RECORD):
            whole = record(rng.randrange(4), rng.randrange(4))
            cut = rng.randrange(RECORD)
            torn = whole[:cut] + b"\xff" * (RECORD - cut)
            flipped = bytearray(whole)
            flipped[rng.randrange(RECORD)] ^= 1 << rng.randrange(8)
            empty = b"\xff" * RECORD
            almost = b"\xff" * (RECORD - 1) + b"\xfe"
            places.append(rng.choice((whole, whole, whole, torn, bytes(flipped), empty, almost)))
        yield b"".join(places)


def differs(ffi: Any, lib: Any) -> bool:
    """Whether the C keeps floors in any other way than `read` and `record` say."""
    out = ffi.new("uint8_t[]", RECORD)
    for log, policy in ((0, 0), (42, 7), (1 << 63, (1 << 64) - 1)):
        lib.fg_floors_record(log, policy, out)
        if bytes(out) != record(log, policy):
            return True
    for memory in memories(1):
        floors = ffi.new("fg_floors *")
        ffi.buffer(floors)[:] = b"\xa5" * ffi.sizeof("fg_floors")
        board = ffi.new("fg_board *")
        lib.fg_floors_read(memory + record(9, 9), SIZE, floors)  # what lies behind does not count
        lib.fg_restore(board, floors)
        found = (floors.log, floors.policy, floors.free, floors.stale)
        if found != read(memory) or (board.log_floor, board.policy_floor) != found[:2]:
            return True
    return False


@pytest.fixture
def kept(library) -> Kept:
    return Kept(library)


def test_the_c_reads_and_writes_as_its_layout_says(library):
    assert not differs(*library)


def test_a_fresh_memory_keeps_nothing_and_has_room(kept):
    floors = kept.read()

    assert (floors.log, floors.policy, floors.free) == (0, 0, 0)


def test_what_was_kept_is_there_after_a_reset(kept, make_c):
    kept.keep(42, 7)

    assert kept.board(make_c).floors == (42, 7)
    assert Kept((kept._ffi, kept._lib)).board(make_c).floors == (0, 0)


def test_a_record_with_any_bit_flipped_does_not_count(kept):
    kept.keep(41, 7)
    kept.keep(42, 7)
    whole = bytes(kept.memory)
    for bit in range(RECORD * 8):
        kept.memory[:] = whole
        kept.memory[RECORD + bit // 8] ^= 1 << bit % 8
        assert kept.values() == (41, 7), bit


def test_a_full_memory_gives_up_the_half_without_the_newest(kept):
    for log in range(1, 100):
        kept.keep(log, 1)
        assert kept.values() == (log, 1)


def test_memory_that_holds_anything_is_taken_over(library):
    for content in (bytes(SIZE), b"\xa5" * SIZE, random.Random(1).randbytes(SIZE)):
        kept = Kept(library, content)
        assert kept.values() == (0, 0)
        for log in range(1, 20):
            kept.keep(log, 3)
            assert kept.values() == (log, 3)


def test_each_floor_is_the_highest_of_any_record(kept):
    kept.keep(5, 9)
    kept.keep(42, 7)

    assert kept.values() == (42, 9)


@pytest.mark.parametrize("seed", range(20))
def test_power_that_fails_anywhere_never_lowers_a_floor(library, seed):
    rng = random.Random(seed)
    kept = Kept(library)
    safe = asked = (0, 0)
    for _ in range(300):
        asked = (asked[0] + rng.randrange(1 << rng.choice((4, 40))), asked[1] + rng.randrange(2))
        if kept.keep(*asked, rng if rng.random() < 0.3 else None):
            safe = asked
        found = kept.values()
        assert safe[0] <= found[0] <= asked[0]
        assert safe[1] <= found[1] <= asked[1]
        safe = asked = found  # the board starts again from what it finds
