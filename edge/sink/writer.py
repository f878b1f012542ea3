"""The sandboxed end of a sink: takes released frames and writes them where it may write.

    python -m edge.sink.writer mjpeg|mp4|stills FOLDER

`mjpeg` keeps the newest frame as `latest.jpg`, `mp4` writes `masked.mp4`, `stills` a PNG of
every fiftieth frame. At the end all write `received.json`, as the counter does.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edge.clock import S
from framegate_client.connection import connect
from framegate_client.errors import GuardError

QUALITY = 80  # of a JPEG, percent
STILL_EVERY = 50  # frames
MOST_STILLS = 8
_FIRST = 10  # frames whose distance tells a film's rate
_USUAL_HZ = 25.0

Take = Callable[[np.ndarray, int], None]


class Latest:
    """Keeps the newest frame as one JPEG file, which is always whole."""

    def __init__(self, folder: Path) -> None:
        self._path, self._beside = folder / "latest.jpg", folder / "latest.new"

    def take(self, frame: np.ndarray, captured_ns: int) -> None:
        done, data = cv2.imencode(".jpg", frame, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
        if done:
            self._beside.write_bytes(data.tobytes())
            os.replace(self._beside, self._path)

    def close(self) -> None:
        """Nothing is held."""


class Film:
    """Writes an MP4 file at the rate of its first frames."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "masked.mp4")
        self._first: list[tuple[np.ndarray, int]] = []
        self._film: cv2.VideoWriter | None = None

    def take(self, frame: np.ndarray, captured_ns: int) -> None:
        if self._film is not None:
            self._film.write(_coloured(frame))
            return
        self._first.append((_coloured(frame).copy(), captured_ns))
        if len(self._first) >= _FIRST:
            self._begin()

    def close(self) -> None:
        """Finish the file."""
        if self._film is None and self._first:
            self._begin()
        if self._film is not None:
            self._film.release()

    def _begin(self) -> None:
        times = [at_ns for _, at_ns in self._first]
        steps = [later - earlier for earlier, later in itertools.pairwise(times)]
        rate_hz = S / statistics.median(steps) if steps else _USUAL_HZ
        height, width = self._first[0][0].shape[:2]
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._film = cv2.VideoWriter(self._path, code, rate_hz, (width, height))
        for frame, _ in self._first:
            self._film.write(frame)
        self._first.clear()


class Stills:
    """Writes a few frames as PNG files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def take(self, frame: np.ndarray, captured_ns: int) -> None:
        number, rest = divmod(self._count, STILL_EVERY)
        if rest == 0 and number < MOST_STILLS:
            cv2.imwrite(str(self._folder / f"still-{number}.png"), frame)
        self._count += 1

    def close(self) -> None:
        """Nothing is held."""


KINDS: dict[str, type[Latest] | type[Film] | type[Stills]] = {
    "mjpeg": Latest,
    "mp4": Film,
    "stills": Stills,
}


def _coloured(frame: np.ndarray) -> np.ndarray:
    """BGR, also of a grey frame."""
    view = frame.view(np.ndarray)
    return cv2.cvtColor(view, cv2.COLOR_GRAY2BGR) if view.ndim == 2 else view


def main() -> int:
    """Write until the stream ends."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    cv2.setNumThreads(1)
    sink = KINDS[kind](folder)
    captured: list[int] = []
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    try:
        connection = connect(lane="view_masked")  # and no other: what is written are no faces
        while not stopped:
            frame = connection.read(timeout_s=0.2)
            if frame is not None:
                captured.append(frame.captured_ns)
                sink.take(frame.view(np.ndarray), frame.captured_ns)
            elif connection.ended:
                break
    except GuardError as err:
        print(f"sink: {err}", file=sys.stderr)
        return 2
    sink.close()
    counts = json.dumps({"received": len(captured), "captured_ns": captured})
    (folder / "received.json").write_text(counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
