"""The masked view in a browser: one page and one MJPEG stream, on loopback, read only.

A WSGI application. It reads one file, which the sandboxed writer keeps, and shows
nothing but a JPEG; a picture that is no longer fresh is not shown as if it were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.files import read_plain
from edge.status.web import loopback

FRESH_S = 2.0  # a picture older than this is not shown
MOST_BYTES = 8 * 1024 * 1024  # of a picture
TURN_S = 0.04
_MAGIC = b"\xff\xd8\xff"
_BOUNDARY = "frame"
_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>framegate</title>
<style>body{margin:0;background:#111;color:#eee;font:16px sans-serif}img{max-width:100%}</style>
<img src="/stream" alt="The camera's picture, people masked"><p>People found are masked. What a
detector misses is shown as it is.</p></html>"""
_HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"),
    ("X-Content-Type-Options", "nosniff"),
]
_NOTHING: bytes = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()

Start = Callable[[str, list[tuple[str, str]]], object]


class Site:
    """The application."""

    def __init__(self, picture: Path, sleep: Callable[[float], None] = time.sleep) -> None:
        self._picture = picture
        self._sleep = sleep

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        status, kind, body = (
            "404 Not Found",
            "text/plain; charset=utf-8",
            b"expected / or /stream\n",
        )
        if environ["REQUEST_METHOD"] != "GET":
            status, body = "405 Method Not Allowed", b"this site is only read\n"
        elif not loopback(environ.get("HTTP_HOST", "")):
            status, body = "421 Misdirected Request", b"expected a loopback name as Host\n"
        elif environ.get("PATH_INFO", "") == "/":
            status, kind, body = "200 OK", "text/html; charset=utf-8", _PAGE
        elif environ.get("PATH_INFO", "") == "/stream":
            kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
            start("200 OK", [*_HEADERS, ("Content-Type", kind)])
            return self._stream()
        start(status, [*_HEADERS, ("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _stream(self) -> Iterator[bytes]:
        """The pictures as they come; a black one where there is none that is fresh."""
        last = b""
        while True:
            picture = self.newest()
            if picture != last:
                last = picture
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                yield f"{head}Content-Length: {len(picture)}\r\n\r\n".encode() + picture + b"\r\n"
            self._sleep(TURN_S)

    def newest(self) -> bytes:
        """The newest picture, or a black one."""
        try:
            age_s = time.time() - self._picture.lstat().st_mtime
            data = read_plain(self._picture, MOST_BYTES + 1)
        except OSError:
            return _NOTHING
        fit = data.startswith(_MAGIC) and len(data) <= MOST_BYTES
        return data if fit and abs(age_s) <= FRESH_S else _NOTHING
