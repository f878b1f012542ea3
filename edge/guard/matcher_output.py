"""What the matcher prints: relayed line by line, bounded, through a pipe.

Whoever holds a shared descriptor can truncate or fill its file, so the matcher gets
none of the guard's. Its output is cut into lines that are safe for a terminal and a
log. Beyond a fixed rate, lines are dropped and counted, and the guard prints the
count. The matcher never waits longer than the guard's own reader does.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable
from typing import IO

from edge.clock import BootClock, S
from edge.guard.processes import Child

RATE = 64 * 1024  # bytes a second, in the long run
BURST = 1024 * 1024  # bytes at once
LONGEST = 16 * 1024  # bytes of a line; the rest is cut off
MOST_ADVICE = 8
_CUT = " [cut]"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what moves a cursor or hides a line


class Lines:
    """Cuts what comes into lines, as many as the rate allows."""

    def __init__(self, prefix: str = "", advise: Callable[[str], str] = lambda line: "") -> None:
        """`prefix` begins each line; `advise` says what an operator should know of one, or ""."""
        self.left_out = 0  # lines, over all
        self.last = ""  # the newest line, without its prefix
        self._prefix = prefix
        self._advise = advise
        self._advice: set[str] = set()  # given already
        self._held = b""
        self._skipping = False  # the rest of a line that was cut
        self._room = float(BURST)
        self._untold = 0
        self._then_ns: int | None = None

    def take(self, data: bytes, now_ns: int) -> bytes:
        """What is to be written of what the matcher printed up to now."""
        *whole, self._held = (self._held + data.replace(b"\r", b"\n")).split(b"\n")
        written = [self._line(line, now_ns) for line in whole if line or not self._skipping]
        if len(self._held) > LONGEST:
            written.append(self._line(self._held, now_ns))
            self._skipping = True
            self._held = b""
        return "".join(written).encode()

    def end(self, now_ns: int) -> bytes:
        """What is left when nothing more comes."""
        rest = self._line(self._held, now_ns) if self._held else ""
        return (rest + self._omission()).encode()

    def _line(self, raw: bytes, now_ns: int) -> str:
        if self._skipping:  # it ends with this one
            self._skipping = False
            return ""
        text = _CONTROL.sub("?", raw[:LONGEST].decode(errors="replace"))
        text += _CUT if len(raw) > LONGEST else ""
        if not text:
            return ""
        self.last = text
        line = f"{self._prefix}{text}\n"
        if self._then_ns is not None:
            passed_s = max(0, now_ns - self._then_ns) / S
            self._room = min(float(BURST), self._room + passed_s * RATE)
        self._then_ns = now_ns
        if len(line) > self._room:
            self.left_out += 1
            self._untold += 1
            return ""
        self._room -= len(line)
        return self._omission() + line + self._advised(text)

    def _advised(self, text: str) -> str:
        """Advice on a line, each once, and not more than a few of them."""
        if len(self._advice) >= MOST_ADVICE:
            return ""
        advice = self._advise(text)
        if not advice or advice in self._advice:
            return ""
        self._advice.add(advice)
        return f"framegate: {advice}\n"

    def _omission(self) -> str:
        count, self._untold = self._untold, 0
        if not count:
            return ""
        return (
            f"framegate: the matcher printed more than {RATE // 1024} KiB a second; "
            f"lines left out: {count}\n"
        )


class OutputRelay(threading.Thread):
    """Carries one stream of one matcher to a descriptor of the guard's."""

    def __init__(
        self,
        source: IO[bytes],
        target: int,
        prefix: str = "",
        advise: Callable[[str], str] = lambda line: "",
    ) -> None:
        """`source`, unbuffered, is closed when it has ended; `target` stays open."""
        super().__init__(daemon=True, name="matcher-output")
        self.lines = Lines(prefix, advise)
        self._source = source
        self._target = target

    def run(self) -> None:
        """Until every process that held the other end has ended."""
        clock = BootClock()
        with self._source:
            while data := self._source.read(64 * 1024):
                self._write(self.lines.take(data, clock.now_ns()))
        self._write(self.lines.end(clock.now_ns()))

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the reader has gone; the matcher continues
            while data:
                data = data[os.write(self._target, data) :]


def relays_of(child: Child, advise: Callable[[str], str]) -> tuple[OutputRelay, OutputRelay]:
    """Begin to relay a matcher's standard output and standard error, in this order."""
    output, errors = child.process.stdout, child.process.stderr
    assert output is not None and errors is not None
    relays = OutputRelay(output, 1), OutputRelay(errors, 2, "matcher: ", advise)
    for relay in relays:
        relay.start()
    return relays
