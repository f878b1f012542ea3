"""Whether this host kept an emulator waiting for a processor while something had to be in time.

The kernel counts, for each thread, the time in which it could have run and did not: the second
number of `/proc/PID/task/TID/schedstat`, nanoseconds.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from firmware_bridge.checks.duties import LATE_MS

_EVERY_S = 0.05
_WINDOW = 4  # samples: 0.2 s, the life of a lease
Waits = dict[str, float]  # milliseconds so far, by thread


def waited(pids: Sequence[int]) -> Waits:
    """How long each thread of these processes has waited for a processor so far."""
    found: Waits = {}
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e6
    return found


def longest_ms(samples: Sequence[Waits], window: int = _WINDOW) -> float:
    """The most that one thread waited within `window` samples that follow each other."""
    pairs = ((samples[max(0, at - window)], samples[at]) for at in range(1, len(samples)))
    waits = (now[thread] - then[thread] for then, now in pairs for thread in now if thread in then)
    return max(waits, default=0.0)


class Busy:
    """Samples the waits of some processes between `begin` and `end`, in a thread of its own."""

    def __init__(self, read: Callable[[], Waits]) -> None:
        self._read = read
        self._samples: list[Waits] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._sample, daemon=True)
            self._thread.start()

    def end(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def late_ms(self) -> float:
        """The longest wait within the life of a lease; 0 if nothing was sampled."""
        return longest_ms(self._samples)

    @property
    def excuses(self) -> bool:
        """Whether a lease or its renewal may have been late for that alone."""
        return self.late_ms > LATE_MS

    def _sample(self) -> None:
        while True:
            self._samples.append(self._read())
            if self._ended.wait(_EVERY_S):
                return
