"""The status site's HTTP server: at its limit it closes the idlest connection, never the newest.

Waitress stops accepting at its limit. Clients that send one byte now and then
would keep their connections for ever, and a health check could not connect. Here the
oldest connection without a request in progress is closed instead, so a client that
sends its request at once gets an answer, however many slow ones there are.
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


class StatusServer(TcpWSGIServer):
    """Accepts always; closes the oldest idle connection at its limit."""

    def handle_accept(self) -> None:
        """Accept a connection, after closing another one at the limit."""
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
    server = StatusServer(
        site,
        {},
        True,
        listener,
        dispatcher=dispatcher,
        adj=adjustments,
        sockinfo=(listener.family, listener.type, listener.proto, name),
        bind_socket=False,
    )
    server.run()
