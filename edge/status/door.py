"""The status site's door: a full house sends the idlest visitor away, never the newest.

Waitress stops accepting at its limit. Visitors who send a byte now and then
keep their places for ever, and a health check waits outside. Here the visitor
who has been connected longest without a request in work makes room. A visitor
who asks at once is answered at once, however many others drip.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

CONNECTIONS = 100
THREADS = 2
IDLE_S = 10


class Door(TcpWSGIServer):
    """A server that makes room instead of closing."""

    def handle_accept(self) -> None:
        """Let a visitor in, after another has left if the house is full."""
        channels: dict[int, Any] = vars(self)["active_channels"]
        if len(channels) >= CONNECTIONS:
            idle = [c for c in channels.values() if not c.requests] or list(channels.values())
            min(idle, key=lambda channel: channel.creation_time).handle_close()
        super().handle_accept()


def serve(site: Callable[..., Any], listener: socket.socket) -> None:
    """Answer on `listener` until the process ends."""
    adjustments = Adjustments(
        sockets=[listener],
        threads=THREADS,
        connection_limit=2 * CONNECTIONS,  # never reached: there is always room
        channel_timeout=IDLE_S,
        cleanup_interval=2,
        max_request_header_size=8192,
        max_request_body_size=1,
        ident=None,
    )
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(THREADS)
    name = listener.getsockname()
    door = Door(
        site,
        {},
        True,
        listener,
        dispatcher=dispatcher,
        adj=adjustments,
        sockinfo=(listener.family, listener.type, listener.proto, name),
        bind_socket=False,
    )
    door.run()
