"""The channels between the guard's processes: whose they are, and what they carry."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from edge import ipc
from edge.errors import GuardError

STRANGER = """
import socket, sys
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b"take it"], [theirs.fileno()])
sys.stdin.read()
"""
CHILD = """
import sys
from edge import ipc
ipc.send(ipc.attach(int(sys.argv[1])), b"heard")
"""


def test_a_channel_that_another_process_made_is_not_taken() -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", STRANGER, str(theirs.fileno())]
    with (
        ours,
        theirs,
        subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.PIPE) as other,
    ):
        _, fds, _, _ = socket.recv_fds(ours, 64, 1)
        try:
            with pytest.raises(GuardError, match=f"PEER_UNKNOWN.* got one of pid {other.pid}"):
                ipc.attach(fds[0])
        finally:
            assert other.stdin is not None
            other.stdin.close()


def test_a_channel_of_ones_own_or_of_the_parent_carries_messages() -> None:
    ours, theirs = ipc.pair()
    with ours:
        command = [sys.executable, "-c", CHILD, str(theirs.fileno())]
        subprocess.run(command, pass_fds=[theirs.fileno()], check=True)
        ipc.send(ipc.attach(os.dup(theirs.fileno())), b"here")
        theirs.close()
        assert ipc.drain(ours) == [b"heard", b"here"]
