"""Turns the messages of gate, board, parent and consent inbox into evidence for the decider."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial

from edge import ipc
from edge.audit.schema import EscapeAttempt
from edge.clock import MS, Clock
from edge.consent.state import ConsentState
from edge.decision.effects import Channels, Effects
from edge.decision.engine import Engine
from edge.decision.monitor import Monitor
from edge.decision.self_check import SelfCheck
from edge.evidence import board_link as board
from edge.evidence.readings import BoardSample, Reading, Source
from edge.evidence.vision import Run
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


@dataclass(slots=True)
class Intake:
    """Reads the channels; nothing here waits but for a look at a frame."""

    pool: Pool  # of the frames that the gate lends
    channels: Channels
    engine: Engine
    effects: Effects
    self_check: SelfCheck
    consent_state: ConsentState
    monitor: Monitor
    beats: Beats
    clock: Clock
    noted: int = 0  # frames heard of
    judged: int = 0  # by the gate's own count; not every frame's note need get here
    results: tuple[int, int] = (0, 0)  # the matcher's, handed on and dropped

    @property
    def frames(self) -> int:
        """How many were captured, as far as is known."""
        return max(self.noted, self.judged)

    def parent(self) -> None:
        """Read messages of the parent.

        Raises:
            ipc.PeerGone: it is gone.
        """
        for data in ipc.drain(self.channels.parent):
            match lifecycle.decode(data):
                case Escape(tried):
                    self.self_check.escaped = True
                    if tried is not None:
                        self.effects.write(partial(EscapeAttempt, tried=tried), durable=False)

    def bridge(self) -> None:
        """Read messages of the board.

        Raises:
            ipc.PeerGone: the parent, which holds the bridge, is gone.
        """
        if self.channels.bridge is None:
            return
        for data in ipc.drain(self.channels.bridge):
            message = board.decode(data)
            if isinstance(message, board.BoardStatus):
                self.engine.judge.board_status = message
            elif isinstance(message, board.Floors):
                self.self_check.board_floors(message)
            elif isinstance(message, BoardSample):
                self.monitor.readings(self.engine.board(message))

    def gate(self, run: Run) -> bool:
        """Read the gate; returns whether the stream is over and all released frames are counted.

        Args:
            run: makes the dear looks at a frame.

        Raises:
            ipc.PeerGone: it is gone.
        """
        drained = False
        for data in ipc.drain(self.channels.gate):
            match decode(data):
                case Noted() as note:
                    self._note(note)
                case Offered() as offer:
                    self._examine(offer, run)
                case Ended() as report:
                    self._ended(report)
                    drained = drained or report.drained
                case Compared(gallery, references):
                    people = tuple(reference.hex() for reference in references)
                    if gallery:
                        self.consent_state.gallery(people)
                    else:
                        self.consent_state.compared(people[0])
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
        for message in map(decode, ipc.drain(self.channels.gate)):
            if isinstance(message, Ended):
                self._ended(message)

    def people(self, now_s: int) -> None:
        """Read new tokens, and give the judge the consent state of the people in the session.

        Args:
            now_s: UTC, as far as it is known.
        """
        for handed in self.consent_state.look(self.clock.now_ns()):
            print(f"consent inbox: {handed.message}", file=sys.stderr)
            self.effects.write(handed.entry, durable=False)
        self.engine.judge.ruling.people(self.consent_state.facts(now_s))

    def _ended(self, report: Ended) -> None:
        self.engine.judge.ended(report)
        self.judged = max(self.judged, report.judged)
        self.results = (report.results, report.refused)

    def _note(self, note: Noted) -> None:
        self.noted += 1
        self.monitor.readings(self.engine.saw(note.look, note.captured_ns))

    def _examine(self, offer: Offered, run: Run) -> None:
        lent = self.pool.frame(offer.slot, offer.height, offer.width)
        picture = self.pool.layout.bgr(lent)
        began_ns = self.clock.now_ns()
        self.beats.begin_model(began_ns)
        found = self.engine.examine(picture, offer.captured_ns, final=offer.final, run=run)
        self.monitor.readings(found.readings)
        if found.failure:
            print(f"decider: {found.failure}", file=sys.stderr)
        if found.faces is not None:
            permitted = self.engine.judge.outlook.permitted
            self.consent_state.faces(found.faces, offer.captured_ns, permitted=permitted)
        if found.mask is not None:
            ipc.send(self.channels.gate, encode_mask(found.mask))
        self.beats.end_model()
        self.self_check.late |= self.clock.now_ns() - began_ns > SLOW_MODEL_NS
        ipc.send(self.channels.gate, encode(Returned(offer.slot, found.seen_blocks)))
        self.beats.beat(Role.DECIDER, self.clock.now_ns())

    def too_long(self, now_ns: int) -> bool:
        """Whether a frame has been read for longer than counts, and still is."""
        began_ns = self.beats.model_began_ns
        return began_ns != 0 and now_ns - began_ns > SLOW_MODEL_NS

    def _camera_failed(self, reason: Reason) -> None:
        reading = Reading(Source.LIVENESS, self.clock.now_ns(), (reason,))
        self.monitor.readings(self.engine.observe([reading]))
