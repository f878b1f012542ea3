"""Cameras on the network: faults, silence with the connection open, pages that are no camera."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice

import cv2

from edge.cameras.live import open_camera
from edge.clock import BootClock
from edge.errors import CameraError
from tests.cases.case import FRAMES, Case, Found, Outcome, Workshop
from tests.support import render

_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"
Parts = Callable[[list[bytes]], Iterator[bytes]]


def _pictures() -> list[bytes]:
    frames = render.lived_in(render.room(), FRAMES)
    return [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames]


def _part(picture: bytes) -> bytes:
    head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture)
    return head + picture + b"\r\n"


def _seen(parts: Parts) -> Callable[[Workshop], Found]:
    """What becomes of a camera that answers with `parts`, at thirty a second, then falls silent."""

    def run(shop: Workshop) -> Found:
        listening = socket.create_server(("127.0.0.1", 0))
        over = threading.Event()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                try:
                    for part in parts(_pictures()):
                        connection.sendall(part)
                        time.sleep(1 / 30)
                except OSError:
                    return
                over.wait(60)

        threading.Thread(target=answer, daemon=True).start()
        began = time.monotonic()
        try:
            camera = open_camera(f"http://127.0.0.1:{listening.getsockname()[1]}/", BootClock())
            count = sum(1 for _ in islice(camera.shots(), 3 * FRAMES))
            camera.close()
        except CameraError as err:
            return Found(Outcome.REFUSED, str(err))
        finally:
            over.set()
            listening.close()
        late = " late" if time.monotonic() - began > 30 else ""
        return Found(Outcome.JUDGED, f"ended after {count} frames{late}")

    return run


def _good(pictures: list[bytes]) -> Iterator[bytes]:
    yield _HEAD
    yield from map(_part, pictures)


def _halved(pictures: list[bytes]) -> Iterator[bytes]:
    yield _HEAD
    for number, picture in enumerate(pictures):
        yield _part(picture[: len(picture) // 2] if number % 10 == 9 else picture)


def _resized(pictures: list[bytes]) -> Iterator[bytes]:
    small = cv2.imencode(".jpg", render.room()[::2, ::2])[1].tobytes()
    yield _HEAD
    yield from map(_part, pictures[:30])
    yield from (_part(small) for _ in range(30))


def _nothing(_: list[bytes]) -> Iterator[bytes]:
    yield _HEAD


def _login(_: list[bytes]) -> Iterator[bytes]:
    yield b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + b"<html>log in</html>" * 100


def _forbidden(_: list[bytes]) -> Iterator[bytes]:
    yield b'HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="c"\r\n\r\n'


_JUDGED, _REFUSED = Outcome.JUDGED, Outcome.REFUSED
CASES = (
    Case("Motion JPEG, then silence", _seen(_good), _JUDGED, r"after (5\d|60) frames$"),
    Case("damaged pictures", _seen(_halved), _JUDGED, r"after [45]\d frames$"),
    Case("another size", _seen(_resized), _JUDGED, r"after (2\d|30) frames$"),
    Case("no picture at all", _seen(_nothing), _REFUSED, "expected a stream"),
    Case("a login page", _seen(_login), _REFUSED, "expected a stream"),
    Case("401", _seen(_forbidden), _REFUSED, "expected a stream"),
)
