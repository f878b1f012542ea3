"""A guard's end of the socket to the matcher, without the guard: it plays frames to a client.

It is the product's own endpoint and ring in a thread of the test, so that a client
library can be tried without cameras, records or processes.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.cameras.layout import Layout
from edge.frames.matcher_endpoint import MatcherEndpoint
from edge.frames.output_format import OutputFormat
from edge.frames.ring import Ring
from edge.frames.shaper import Shaper
from edge.lease import Lane
from edge.masking.mask import nothing
from framegate_client import VideoCapture

TOKEN = "secret"
STEP_NS = 40_000_000  # 25 frames a second
_SLOTS = 128


class _SharedEndpoint(MatcherEndpoint):
    """An endpoint that two threads use in turns: the player's and the test's."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.turn = threading.RLock()
        super().__init__(*arguments, **options)

    def serve(self, now_ns: int) -> None:
        with self.turn:
            super().serve(now_ns)

    def tell(self, state: dict[str, Any]) -> None:
        with self.turn:
            super().tell(state)

    def show_out(self) -> None:
        with self.turn:
            super().show_out()

    def finish(self, why: str) -> None:
        with self.turn:
            super().finish(why)


class Player:
    """Plays `frames` to one matcher; use as a context manager."""

    def __init__(
        self,
        folder: Path,
        frames: Sequence[np.ndarray],
        *,
        lane: Lane = Lane.VERIFY,
        again: bool = False,
        end: bool = True,
        rate_hz: float = 25.0,
    ) -> None:
        """`again`: from the start without end, as a camera does; `end`: say so after the last."""
        self.path = folder / "guard.sock"
        self._frames, self._again, self._end = list(frames), again, end
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(self.path))
        listener.listen(4)
        height, width = frames[0].shape[:2]
        shaper = Shaper(OutputFormat(), Layout.BGR, height, width)
        self.ring = Ring.create(shaper.bytes, _SLOTS)
        self.ring.seal()
        self.endpoint = _SharedEndpoint(
            listener,
            self.ring,
            token=TOKEN,
            lane=lane,
            uid=os.getuid(),
            shaper=shaper,
            rate_hz=rate_hz,
        )
        self.environment = {
            "FRAMEGATE_SOCKET": str(self.path),
            "FRAMEGATE_TOKEN": TOKEN,
            "FRAMEGATE_LANE": lane.value,
        }
        self.begin = threading.Event()  # a client reads what is released after it connected
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)

    def __enter__(self) -> Player:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _play(self) -> None:
        played = 0
        while not self._stop.is_set():
            self.endpoint.serve(0)
            if not self.endpoint.listening or not self.begin.is_set():
                self._stop.wait(0.001)
            elif played < len(self._frames):
                self.show(self._frames[played], 1_000_000_000 + played * STEP_NS)
                played += 1
                if self._again:
                    played %= len(self._frames)
                    self._stop.wait(0.002)
                elif played == len(self._frames) and self._end:
                    self.endpoint.finish("end of stream")
            else:
                self._stop.wait(0.001)

    def capture(self, *arguments: Any, **options: Any) -> VideoCapture:
        """A capture of the environment's camera; the frames begin once it is connected."""
        made = VideoCapture(*arguments, **options)
        self.begin.set()
        return made

    def begin_when_mapped(self, pid: int) -> None:
        """Begin as soon as that process reads released frames."""
        while Path(f"/proc/{pid}").exists():
            try:
                mapped = "framegate-ring" in Path(f"/proc/{pid}/maps").read_text()
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                break
            if (mapped and state == "S") or state == "Z":
                break
            time.sleep(0.001)
        self.begin.set()

    def show(self, frame: np.ndarray, captured_ns: int) -> None:
        with self.endpoint.turn:
            if self.endpoint.listening:
                slot = self.endpoint.stage(frame, nothing(*frame.shape[:2]))
                self.endpoint.publish(slot, frame, captured_ns, 1)
