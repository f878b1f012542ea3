"""The firmware's rule as a host library: the C itself, driven from Python.

Has the methods of `VirtualBoard`, so that every test of the rule runs against
both. Built with the undefined-behaviour sanitizer; needs the `test` extra.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cffi

from edge.evidence.board_link import Fault
from firmware_bridge.images.build import FIRMWARE
from firmware_bridge.virtual.board import FIRMWARE as FIRMWARE_HASH
from firmware_bridge.virtual.board import TX_ROOM, VIRTUAL
from firmware_bridge.virtual.sensors import LAYOUT, Sensors


def load(library: Path) -> tuple[cffi.FFI, Any]:
    """The library and its declarations, which are read from the headers themselves."""
    ffi = cffi.FFI()
    for name in ("protocol.h", "interlock.h", "rollback_counters.h"):
        lines = (FIRMWARE / name).read_text().splitlines()
        ffi.cdef("\n".join(line for line in lines if not line.startswith("#")))
    return ffi, ffi.dlopen(str(library))


class CBoard:
    """One boot of the board, by the C rule."""

    def __init__(
        self,
        library: tuple[cffi.FFI, Any],
        root: bytes,
        boot_id: int,
        now_us: int = 0,
        *,
        board: int = VIRTUAL,
        firmware: bytes = FIRMWARE_HASH,
    ) -> None:
        self._ffi, self._lib = library
        self.state = self._ffi.new("fg_board *")
        size = self._ffi.sizeof("fg_board")
        self._ffi.buffer(self.state)[:] = b"\xa5" * size  # memory after a reset holds anything
        self._lib.fg_init(self.state, now_us, root, boot_id, board, firmware)
        self._out = self._ffi.new("uint8_t[]", TX_ROOM)

    @property
    def line(self) -> bool:
        return bool(self._lib.fg_line(self.state))

    @property
    def streaming(self) -> bool:
        return bool(self.state.streaming)

    @property
    def fault(self) -> Fault:
        return Fault(self.state.fault)

    @property
    def floors(self) -> tuple[int, int]:
        return self.state.log_floor, self.state.policy_floor

    def take(self) -> bytes:
        size = self._lib.fg_take(self.state, self._out, TX_ROOM)
        return bytes(self._ffi.buffer(self._out, size))

    def tick(self, now_us: int) -> None:
        self._lib.fg_tick(self.state, now_us)

    def receive(self, data: bytes, now_us: int) -> None:
        self._lib.fg_receive(self.state, now_us, data, len(data))

    def sense(self, reading: Sensors, now_us: int) -> None:
        values = LAYOUT.unpack(reading.pack(0))
        c = self._ffi.new("fg_sensors *")
        c.has = values[0]
        c.gyro = list(values[2:5])
        c.accel = list(values[5:8])
        c.lat, c.lon, c.speed, c.lux = values[8:12]
        c.dock_id = values[12]
        self._lib.fg_sense(self.state, now_us, c)
