"""Serial devices that are no board of ours: each is named by what it speaks."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import select
import threading
import tty
from collections.abc import Callable, Iterator

from edge.commissioning.keys import KeyStore
from tests.cases.case import Case, Found, Outcome, Workshop

_NMEA = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"
_NOISE = random.Random(5).randbytes(1 << 16)
Say = Callable[[bytes], bytes]  # what it writes, told what it was just sent


@contextlib.contextmanager
def _device(say: Say) -> Iterator[str]:
    """The path of a device that says something fifty times a second."""
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    os.set_blocking(ours, False)
    over = threading.Event()

    def speak() -> None:
        while not over.is_set():
            came = b""
            with contextlib.suppress(OSError):
                if select.select([ours], [], [], 0.02)[0]:
                    came = os.read(ours, 4096)
                os.write(ours, say(came))

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield os.ttyname(theirs)
    finally:
        over.set()
        speaker.join()
        os.close(ours)
        os.close(theirs)


def _asked(say: Say) -> Callable[[Workshop], Found]:
    def run(shop: Workshop) -> Found:
        keys = KeyStore.init(shop.folder / "keys").directory
        with _device(say) as port:
            return shop.framegate("board", "status", "--port", port, "--keys", str(keys))

    return run


def _missing(shop: Workshop) -> Found:
    keys = KeyStore.init(shop.folder / "keys").directory
    return shop.framegate("board", "status", "--port", "/dev/ttyNONE9", "--keys", str(keys))


_SPEAKS = "not a board, it speaks "
_REFUSED = Outcome.REFUSED
CASES = (
    Case("a GNSS receiver", _asked(lambda _: _NMEA), _REFUSED, _SPEAKS + "NMEA"),
    Case("a modem", _asked(lambda _: b"AT+GCAP\r\n"), _REFUSED, _SPEAKS + "AT commands"),
    Case("zeros", _asked(lambda _: bytes(500)), _REFUSED, _SPEAKS + "zero bytes only"),
    Case("noise", _asked(lambda _: _NOISE[:200]), _REFUSED, _SPEAKS + "bytes that are no packets"),
    Case("a flood of noise", _asked(lambda _: _NOISE), _REFUSED, _SPEAKS + "bytes"),
    Case("an echo", _asked(lambda came: came), _REFUSED, _SPEAKS + "back what it is sent"),
    Case("silence", _asked(lambda _: b""), _REFUSED, "nothing answers"),
    Case("no such port", _missing, _REFUSED, "/dev/ttyNONE9"),
)
