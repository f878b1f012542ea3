"""The serial port to the board: exclusive, bounded, and it never waits.

`pyserial` opens and sets the port; bytes move by plain non-blocking reads and
writes. A write that finds the line busy keeps the unsent end of one packet and
refuses others until that is out, so no backlog of old leases can form.
"""

from __future__ import annotations

import os
import select
import termios
from pathlib import Path

import serial

from edge.errors import BridgeError
from firmware_bridge.settings import BAUD

MAX_READ = 4096  # bytes taken at a time


def expect_port(path: str) -> None:
    """See that there is something that may be a serial port; it is not touched.

    Raises:
        BridgeError: there is none.
    """
    if not Path(path).exists():
        raise BridgeError(f"no port {path}: check the cable and the name")
    if not Path(path).is_char_device():
        raise BridgeError(f"cannot use port {path}: it is not a serial port")


class Port:
    """A real serial port, USB serial device or pseudo-terminal."""

    def __init__(self, path: str, baud: int = BAUD) -> None:
        expect_port(path)
        try:
            self._serial = serial.Serial(path, baud, timeout=0, exclusive=True)
        except (serial.SerialException, termios.error, OSError, ValueError) as err:
            raise BridgeError(f"cannot use port {path}: {_why(err)}") from err
        self._path = path
        self._fd: int = self._serial.fileno()
        self._unsent = b""
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self.refused = 0  # packets not taken because the line was busy

    def fileno(self) -> int:
        return self._fd

    def read(self) -> bytes:
        """What has arrived.

        Raises:
            BridgeError: the port has gone away.
        """
        for _, event in self._poll.poll(0):
            if event & select.POLLIN:
                try:
                    data = os.read(self._fd, MAX_READ)
                except BlockingIOError:
                    return b""
                except OSError as err:
                    raise self._gone(str(err)) from err
                if data:
                    return data
            if event & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                raise self._gone("hung up")
        return b""

    def write(self, data: bytes) -> bool:
        """Send all of `data`, now or as the line frees; False refuses it.

        Raises:
            BridgeError: the port has gone away.
        """
        if self._unsent:
            self._unsent = self._unsent[self._push(self._unsent) :]
        if self._unsent:
            self.refused += 1
            return False
        self._unsent = data[self._push(data) :]
        return True

    def flush_input(self) -> None:
        try:
            termios.tcflush(self._fd, termios.TCIFLUSH)
        except termios.error as err:
            raise self._gone(str(err)) from err

    def close(self) -> None:
        self._serial.close()

    def _push(self, data: bytes) -> int:
        if not data:
            return 0
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as err:
            raise self._gone(str(err)) from err

    def _gone(self, why: str) -> BridgeError:
        return BridgeError(f"port {self._path} went away ({why}): check cable and power")


def _why(err: Exception) -> str:
    text = str(err)
    if "exclusively lock" in text:
        return "another program holds it; stop that one first"
    if "Permission denied" in text:
        return "permission denied; add this user to the group that owns it"
    if "ioctl" in text or "termios" in text or "attributes" in text:
        return "it is not a serial port"
    return text
