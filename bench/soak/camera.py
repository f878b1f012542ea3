"""A network camera that can be pulled out, stalled and pointed elsewhere, for the soak.

It serves motion JPEG over HTTP on loopback, as cheap network cameras do, so the guard
opens, loses and reopens it like a real one. The picture is a room in use: the light
varies, a curtain moves, and the noise never repeats. "Pulled out" means that the port
is closed; the address stays the same.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import cv2
import numpy as np

from bench import scenery

RATE_HZ = 30.0
_GRAINS = 8
_QUALITY = 92
_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n"


def free_port() -> int:
    """A free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Room:
    """The camera's pictures: each call gives a later moment, and no two pictures are equal."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = np.random.default_rng(seed)
        self._home = scenery.view(*scenery.SIZES["VGA"])
        self._away = scenery.view(*scenery.SIZES["VGA"], seed=9)
        shape = (_GRAINS, *self._home.shape)
        self._grains = self._rng.normal(0.0, 2.0, shape).round().astype(np.int16)
        self._count = 0
        self.elsewhere = False  # the camera was turned to another place
        self.used = True  # light and curtain move; an empty view is enrolled while they do not

    def next_jpeg(self) -> bytes:
        """The next picture, encoded."""
        i = self._count
        self._count += 1
        phase = i if self.used else 0
        view = self._away if self.elsewhere else self._home
        now = cv2.convertScaleAbs(view, alpha=1.0 + 0.03 * np.sin(phase / 9.0))
        left = round(40 + 30 * np.sin(phase / 7.0))
        curtain = now[160:240, left : left + 40]
        curtain[:] = curtain // 2
        rows, cols = now.shape[:2]
        shift = (int(self._rng.integers(rows)), int(self._rng.integers(cols)))
        grain = np.roll(self._grains[i % _GRAINS], shift, (0, 1))
        picture = np.clip(now + grain, 0, 255).astype(np.uint8)
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        return data.tobytes()


class NetworkCamera(threading.Thread):
    """Serves one viewer at a time until closed."""

    def __init__(self, room: Room) -> None:
        super().__init__(daemon=True, name="camera")
        self.room = room
        self.sent = 0  # whole frames
        self.opened = 0  # viewers so far
        self._wanted = True  # plugged in
        self.rate_hz = RATE_HZ
        self._stalled = False
        self._over = False
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/room.mjpg"

    def unplug(self) -> None:
        self._wanted = False

    def plug_in(self) -> None:
        self._wanted = True

    def stall(self, stalled: bool) -> None:
        """Keep the connection but send nothing, or continue to send."""
        self._stalled = stalled

    def close(self) -> None:
        self._over = True
        self.join()

    def run(self) -> None:
        while not self._over:
            if not self._wanted:
                time.sleep(0.02)
                continue
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", self.port))
                listener.listen(1)
                listener.settimeout(0.2)
                while self._wanted and not self._over:
                    with contextlib.suppress(TimeoutError):
                        viewer, _ = listener.accept()
                        with viewer, contextlib.suppress(OSError):
                            self._serve(viewer)

    def _serve(self, viewer: socket.socket) -> None:
        viewer.settimeout(5.0)
        viewer.recv(4096)  # the request: there is one picture to ask for
        viewer.sendall(_HEAD)
        self.opened += 1
        due = time.monotonic()
        while self._wanted and not self._over:
            due = max(due + 1 / self.rate_hz, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
            if self._stalled:
                continue
            jpeg = self.room.next_jpeg()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            viewer.sendall(head.encode() + jpeg + b"\r\n")
            self.sent += 1
