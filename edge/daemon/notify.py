"""The systemd service protocol: READY, WATCHDOG, listening sockets.

The protocol is one datagram to the socket in NOTIFY_SOCKET, see sd_notify(3).
Without a service manager everything here is silent.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

FIRST_FD = 3  # SD_LISTEN_FDS_START


class Notifier:
    """Tells the service manager; a manager that does not listen is no error."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watched = "WATCHDOG_USEC" in environment

    def tell(self, *words: str) -> None:
        """Send `words`, such as READY=1."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            with contextlib.suppress(OSError):
                channel.sendto("\n".join(words).encode(), self._address)


def handed_listener(environment: Mapping[str, str]) -> socket.socket | None:
    """The listening socket that a socket unit handed to this process, if it did."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    if environment.get("LISTEN_FDS") != "1":
        return None
    os.set_inheritable(FIRST_FD, False)
    return socket.socket(fileno=FIRST_FD)
