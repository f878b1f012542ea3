"""Turns the messages of gate, board, parent and consent inbox into evidence for the decider."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from edge import ipc
from edge.audit.schema import EscapeAttempt
from edge.clock import MS, Clock
from edge.consent.state import ConsentState
from edge.decision.effects import Channels, Effects
from edge.decision.engine import Engine
from edge.decision.monitor import Monitor
from edge.decision.self_check import SelfCheck
from edge.decision.settings import DeciderSettings
from edge.evidence import board_link as board
from edge.evidence.readings import BoardSample, Reading, Source
from edge.frames import lifecycle
from edge.frames.lifecycle import Escape
from edge.frames.messages import (
    Compared,
    End,
    Ended,
    Noted,
    Offered,
    Returned,
    SourceEnd,
    decode,
    encode,
)
from edge.frames.pool import Pool
from edge.heartbeat import Beats, Role
from edge.masking.message import encode as encode_mask
from edge.reasons import Reason

SLOW_MODEL_NS = 250 * MS  # a look that takes longer is evidence of nothing


class Intake:
    """Reads the channels; nothing here waits."""

    def __init__(
        self,
        settings: DeciderSettings,
        channels: Channels,
        engine: Engine,
        effects: Effects,
        self_check: SelfCheck,
        consent_state: ConsentState,
        monitor: Monitor,
        beats: Beats,
        clock: Clock,
    ) -> None:
        """Take the frame pool over.

        Raises:
            GuardError: it is not what the settings say.
        """
        size, self._layout = settings.pool, settings.picture.layout
        fd = settings.pool_fd
        self._pool = Pool(fd, size.slots, size.slot_bytes, self._layout, writable=False)
        self._channels = channels
        self._engine = engine
        self._effects = effects
        self._self_check = self_check
        self._consent_state = consent_state
        self._monitor = monitor
        self._beats = beats
        self._clock = clock
        self._noted = 0  # frames heard of
        self._judged = 0  # by the gate's own count; not every frame's note need get here
        self.results = (0, 0)  # the matcher's, handed on and dropped

    @property
    def frames(self) -> int:
        """How many were captured, as far as is known."""
        return max(self._noted, self._judged)

    def parent(self) -> None:
        """Read messages of the parent.

        Raises:
            ipc.PeerGone: it is gone.
        """
        for data in ipc.drain(self._channels.parent):
            match lifecycle.decode(data):
                case Escape(tried):
                    self._self_check.escaped = True
                    if tried is not None:
                        self._effects.write(partial(EscapeAttempt, tried=tried), durable=False)

    def bridge(self) -> None:
        """Read messages of the board.

        Raises:
            ipc.PeerGone: the parent, which holds the bridge, is gone.
        """
        if self._channels.bridge is None:
            return
        for data in ipc.drain(self._channels.bridge):
            message = board.decode(data)
            if isinstance(message, board.BoardStatus):
                self._engine.judge.board_status(message)
            elif isinstance(message, board.Floors):
                self._self_check.board_floors(message)
            elif isinstance(message, BoardSample):
                self._monitor.readings(self._engine.board(message))

    def gate(self, between: Callable[[], None]) -> bool:
        """Read the gate; returns whether the stream is over and all released frames are counted.

        Args:
            between: called between two looks at a frame.

        Raises:
            ipc.PeerGone: it is gone.
        """
        drained = False
        for data in ipc.drain(self._channels.gate):
            match decode(data):
                case Noted() as note:
                    self._note(note)
                case Offered() as offer:
                    self._examine(offer, between)
                case Ended() as report:
                    self._ended(report)
                    drained = drained or report.drained
                case Compared(gallery, references):
                    people = tuple(reference.hex() for reference in references)
                    if gallery:
                        self._consent_state.gallery(people)
                    else:
                        self._consent_state.compared(people[0])
                case SourceEnd(End.LOST, _):
                    self._camera_failed(Reason.CAM_LOST)
                case SourceEnd(End.LAGGING, _):
                    self._camera_failed(Reason.LAG_UNBOUNDED)
        return drained

    def gate_reports(self) -> None:
        """Read only the gate's reports, when no more frames are expected.

        Raises:
            ipc.PeerGone: it is gone.
        """
        for message in map(decode, ipc.drain(self._channels.gate)):
            if isinstance(message, Ended):
                self._ended(message)

    def people(self, now_s: int) -> None:
        """Read new tokens, and give the judge the consent state of the people in the session.

        Args:
            now_s: UTC, as far as it is known.
        """
        for handed in self._consent_state.look(self._clock.now_ns()):
            print(f"consent inbox: {handed.message}", file=sys.stderr)
            self._effects.write(handed.entry, durable=False)
        self._engine.judge.people(self._consent_state.facts(now_s))

    def _ended(self, report: Ended) -> None:
        self._engine.judge.ended(report)
        self._judged = max(self._judged, report.judged)
        self.results = (report.results, report.refused)

    def _note(self, note: Noted) -> None:
        self._noted += 1
        self._monitor.readings(self._engine.saw(note.look, note.captured_ns))

    def _examine(self, offer: Offered, between: Callable[[], None]) -> None:
        lent = self._pool.frame(offer.slot, offer.height, offer.width)
        picture = self._layout.bgr(lent)
        began_ns = self._clock.now_ns()
        self._beats.begin_model(began_ns)
        found = self._engine.examine(picture, offer.captured_ns, final=offer.final, between=between)
        self._monitor.readings(found.readings)
        if found.failure:
            print(f"decider: {found.failure}", file=sys.stderr)
        if found.faces is not None:
            permitted = self._engine.judge.outlook.permitted
            self._consent_state.faces(found.faces, offer.captured_ns, permitted=permitted)
        if found.mask is not None:
            ipc.send(self._channels.gate, encode_mask(found.mask))
        self._beats.end_model()
        self._self_check.late |= self._clock.now_ns() - began_ns > SLOW_MODEL_NS
        ipc.send(self._channels.gate, encode(Returned(offer.slot, found.seen_blocks)))
        self._beats.beat(Role.DECIDER, self._clock.now_ns())

    def _camera_failed(self, reason: Reason) -> None:
        reading = Reading(Source.LIVENESS, self._clock.now_ns(), (reason,))
        self._monitor.readings(self._engine.observe([reading]))
