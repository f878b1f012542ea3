"""A virtual board in its own process, on a pseudo-terminal.

    python -m firmware_bridge.virtual.process --key-fd N
        [--telemetry CSV ... | --dock-id D-0017 --still | --walking] [--line-fd M]

Prints the path of the serial port to use as its only line. A recording is
played in real time from the first hello on. Each change of the interlock line
goes to the line descriptor as one JSON line. Ends with its parent.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import random
import secrets
import select
import sys
import tty
from collections.abc import Sequence
from pathlib import Path

from edge import ipc, scheduling
from edge.clock import BootClock
from edge.errors import GuardError
from edge.evidence import telemetry
from firmware_bridge.store import read_key
from firmware_bridge.virtual import motions
from firmware_bridge.virtual.board import VirtualBoard
from firmware_bridge.virtual.sensors import quantise

TURN_MS = 2
SENSE_US = 10_000
_READ = 4096


class Player:
    """Runs one `VirtualBoard` in real time."""

    def __init__(self, board: VirtualBoard, motion: motions.Motion, master: int, line_fd: int):
        self._board = board
        self._motion = motion
        self._master = master
        self._line_fd = line_fd
        self._line = False
        self._sense_after_us = 0
        self._began_us: int | None = None
        self._unsent = b""

    def turn(self, now_ns: int) -> None:
        """Read bytes, read the sensors, advance the time, write bytes."""
        now_us = now_ns // 1000
        with contextlib.suppress(BlockingIOError):
            self._board.receive(os.read(self._master, _READ), now_us)
        if self._began_us is None and self._board.streaming:
            self._began_us = now_us
        if now_us >= self._sense_after_us:
            self._sense_after_us = now_us + SENSE_US
            t_us = 0 if self._began_us is None else now_us - self._began_us
            self._board.sense(quantise(self._motion(t_us / 1e6)), now_us)
        self._board.tick(now_us)
        self._show_line(now_ns)
        self._unsent = (self._unsent + self._board.take())[-_READ:]
        if self._unsent:
            with contextlib.suppress(BlockingIOError):
                self._unsent = self._unsent[os.write(self._master, self._unsent) :]

    def _show_line(self, now_ns: int) -> None:
        if self._board.line is self._line:
            return
        self._line = self._board.line
        if self._line_fd >= 0:
            text = json.dumps({"t_ns": now_ns, "permit": self._line})
            with contextlib.suppress(BrokenPipeError, BlockingIOError):
                os.write(self._line_fd, text.encode() + b"\n")


def _motion(args: argparse.Namespace) -> motions.Motion:
    rng = random.Random(args.seed)
    if args.telemetry:
        return motions.recorded(telemetry.load([Path(name) for name in args.telemetry]))
    if args.walking:
        return motions.walking(rng)
    return motions.still(args.dock_id, rng)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until killed; 2 if the key or the recording cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m firmware_bridge.virtual.process")
    parser.add_argument("--key-fd", type=int, required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--telemetry", nargs="+", metavar="CSV")
    source.add_argument("--still", action="store_true", help="docked, sensor noise only")
    source.add_argument("--walking", action="store_true", help="worn on a walking body")
    parser.add_argument("--dock-id", default="D-0017")
    parser.add_argument("--line-fd", type=int, default=-1)
    parser.add_argument("--seed", type=int, default=1, help="of the sensor noise")
    args = parser.parse_args(argv)
    ipc.die_with_parent()
    scheduling.real_time(1)  # a real board shares no processor with the guard
    clock = BootClock()
    try:
        board = VirtualBoard(read_key(args.key_fd), secrets.randbits(64), clock.now_ns() // 1000)
        motion = _motion(args)
        quantise(motion(0.0))
    except GuardError as err:
        print(f"board: {err}", file=sys.stderr)
        return 2
    master, slave = os.openpty()
    tty.setraw(slave)  # kept open, so that the port exists while no process uses it
    os.set_blocking(master, False)
    if args.line_fd >= 0:
        os.set_blocking(args.line_fd, False)
    print(os.ttyname(slave), flush=True)
    player = Player(board, motion, master, args.line_fd)
    gc.collect()
    gc.freeze()
    while True:
        player.turn(clock.now_ns())
        select.select([master], [], [], TURN_MS / 1000)


if __name__ == "__main__":
    sys.exit(main())
