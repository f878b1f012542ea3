"""The status process as it ships, on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.daemon.service import bound
from edge.daemon.settings import Listen
from edge.status.server import StatusServer
from tests.support.daemons import free_port, until
from tests.support.status_pages import sample, status_code


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, StatusServer]]:
    """The real status process with a snapshot, on a port of its own."""
    port = free_port()
    listener = bound(Listen("127.0.0.1", port))
    assert listener is not None
    server = StatusServer(listener, tmp_path / "run" / "status.json", tmp_path / "audit")
    server.start()
    try:
        until(lambda: status_code(port, "/healthz") != 0, "an answer")
        server.tell(sample())
        until(lambda: status_code(port, "/healthz") == 200, "the snapshot")
        yield port, server
    finally:
        server.close()
        listener.close()
