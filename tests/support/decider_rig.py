"""The running decider under virtual time, with the surface of the engine that replay drives.

Everything is the decider as it ships: its sockets, its messages, its log, its
board. Only the clock is virtual, and this module stands at the other ends.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge import ipc
from edge.audit.schema import Board, Release
from edge.cameras.layout import Layout
from edge.clock import VirtualClock
from edge.decision.decider import Decider
from edge.decision.engine import Examined
from edge.decision.judge import Action, Outlook, Tell
from edge.decision.monitor import Readings, Seen, parse
from edge.decision.settings import DeciderSettings
from edge.evidence import board_link
from edge.evidence.readings import BoardSample, Reading
from edge.frames.messages import Ended, Noted, Offered, Returned, encode
from edge.frames.messages import decode as decode_gate
from edge.frames.pool import Pool
from edge.frames.settings import Picture
from edge.heartbeat import LEASED, Beats, Role
from edge.lease import Lease
from edge.lease import decode as decode_lease
from edge.policy.engine import Policy
from edge.view.look import Look
from tests.support.guards import Site

_LEASES = b"FG"  # leases and revocations begin so


class DeciderRig:
    """A whole decider; each call goes through its channels and lets it turn."""

    def __init__(
        self,
        site: Site,
        face_model: Path,
        camera: bytes,
        size: tuple[int, int],
        clock: VirtualClock,
        audit: Path,
    ) -> None:
        self.judge = self  # whoever drives it asks the judge of its engine
        self._clock = clock
        self._beats = Beats.create()
        self._gate, gate = ipc.pair()
        self._parent, parent = ipc.pair()
        self._bridge, bridge = ipc.pair()
        height, width = size
        self._pool = Pool.create(Layout.BGR.bytes(height, width))
        self._size = size
        self._sequence = 0
        self.mute: Role | None = None  # a process that does not beat
        self._claim = board_link.Claim(0, releasing=False)
        self._actions: list[Action] = []
        self._anchor: int | None = None
        settings = DeciderSettings(
            picture=Picture(height, width, 30.0, Layout.BGR),
            pool=self._pool.size,
            camera=camera,
            camera_known=True,
            virtual=True,
            view=(site.folder / "site.view").read_bytes(),
            policy=Policy.load("strict").digest,
            device=site.device.read_text(),
            session=site.session.read_text(),
            device_path=site.device,
            session_path=site.session,
            keys=site.store.directory,
            face_model=face_model,
            audit=audit,
            pack="strict",
            policy_store=None,
            inbox=None,
            release=Release.BRACKETED,
            board=Board.VIRTUAL,
            lag_ns=0,
            beats_fd=self._beats.fd,
            pool_fd=os.dup(self._pool.fd),
            gate_fd=gate.detach(),
            parent_fd=parent.detach(),
            bridge_fd=bridge.detach(),
        )
        self._decider = Decider(settings, clock)
        self.outlook: Outlook  # as the parent hears it
        self._turn()

    def saw(self, look: Look, captured_ns: int) -> tuple[Reading, ...]:
        note = Noted(self._sequence, captured_ns, look)
        self._sequence += 1
        return self._send(encode(note))

    def examine(self, picture: np.ndarray, captured_ns: int, *, final: bool = False) -> Examined:
        self._pool.frame(0, *self._size)[:] = picture
        self._anchor = None
        readings = self._send(encode(Offered(0, 0, captured_ns, *self._size, final)))
        return Examined(readings, self._anchor)

    def board(self, sample: BoardSample) -> tuple[Reading, ...]:
        ipc.send(self._bridge, board_link.encode(sample))
        return self._turn()

    def ended(self, report: Ended) -> None:
        self._send(encode(report))

    def recorded(self, index: int, now_ns: int) -> None:
        raise AssertionError("the decider keeps its own log")

    def step(self, now_ns: int) -> list[Action]:
        assert now_ns == self._clock.now_ns()
        for _ in range(3):  # asked, acknowledged, granted
            self._turn()
        actions, self._actions = self._actions, []
        return actions

    def close(self) -> None:
        for end in (self._gate, self._parent, self._bridge):
            end.close()

    def _send(self, message: bytes) -> tuple[Reading, ...]:
        ipc.send(self._gate, message)
        return self._turn()

    def _turn(self) -> tuple[Reading, ...]:
        now_ns = self._clock.now_ns()
        for role in (*LEASED, Role.BRIDGE):
            if role is not self.mute:
                self._beats.beat(role, now_ns)
        claim = self._claim
        status = board_link.BoardStatus(
            now_ns,
            board_link.Link.UP,
            claim.releasing,
            claim.decision if claim.releasing else 0,
            board_link.Fault.NONE,
        )
        ipc.send(self._bridge, board_link.encode(status))
        self._decider.turn()
        for data in ipc.drain(self._bridge):
            message = board_link.decode(data)
            if isinstance(message, board_link.Claim):
                self._claim = message
        for data in ipc.drain(self._gate):
            self._receive(data)
        heard = [parse(data) for data in ipc.drain(self._parent)]
        for message in heard:
            if isinstance(message, Seen):
                self.outlook = message.outlook
        return tuple(
            r for message in heard if isinstance(message, Readings) for r in message.readings
        )

    def _receive(self, data: bytes) -> None:
        if data.startswith(_LEASES):
            lease = decode_lease(data)
            if isinstance(lease, Lease):
                lease = replace(lease, boot=bytes(16))  # a replay has no boot of its own
            self._actions.append(Tell(lease))
            return
        message = decode_gate(data)
        if isinstance(message, Returned):
            self._anchor = message.seen_blocks
