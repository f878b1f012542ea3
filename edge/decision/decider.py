"""The decider process: reads evidence, judges, and tells gate, board and log.

    python -m edge.decision.decider < settings.json

It waits for nothing but the audit log's sync. The gate's leases end by
themselves when this process stops or stalls.
"""

from __future__ import annotations

import base64
import gc
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge import ipc, scheduling
from edge.audit.clerk import Clerk
from edge.audit.log import AuditLog
from edge.audit.schema import (
    Board,
    ClockJump,
    Enrolment,
    Entry,
    Floor,
    Kind,
    Release,
    Stamp,
    Start,
    Stop,
)
from edge.cameras.layout import Layout
from edge.clock import MS, BootClock, S, boot_id
from edge.commissioning.keys import KeyStore, Office
from edge.commissioning.records import Device, Session, parse_device, parse_session
from edge.consent.consent import Standing as People
from edge.consent.inbox import Desk
from edge.consent.state import Reception
from edge.decision.clock_jump import Drift
from edge.decision.judge import REPORT_NS, Action, Ask, Judge, Setup, Tell, Write
from edge.decision.model_failures import Consequence, Strikes
from edge.decision.monitor import Monitor
from edge.errors import AuditError, GuardError, ModelError, PolicyError
from edge.evidence import board_link as board
from edge.evidence.liveness import Liveness
from edge.evidence.people import FaceBoxes, PeopleRules
from edge.evidence.readings import BoardSample, Reading, Source
from edge.evidence.scene import SceneModel
from edge.evidence.vision import Eyes, check_rate, check_room
from edge.frames.gate import Limits
from edge.frames.messages import (
    ESCAPED,
    Anchor,
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
from edge.lease import Binding, Revocation
from edge.lease import encode as encode_lease
from edge.policy.bundle import Floors
from edge.policy.selection import choose
from edge.policy.term import of_the_day
from edge.reasons import Reason
from edge.version import VERSION
from edge.view.fingerprint import Enrolment as Standing
from edge.view.fingerprint import Fingerprint, SceneCheck
from edge.view.look import Look

TURN_MS = 10
SILENT_NS = 200 * MS  # a process that has not beaten for this long is stopped or dead
LAST_WORDS_NS = 1 * S  # how long the end of the guard waits for the gate's
GAP_NS = 250 * MS  # a pause of this process longer than this begins the dwell again


class Decider:
    """Carries messages between the sockets and the judge."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Load everything; raises GuardError where something is not what it should be."""
        self._clock = BootClock()
        self._beats = Beats.attach(settings["beats_fd"])
        self._gate = ipc.attach(settings["gate_fd"])
        self._parent = ipc.attach(settings["parent_fd"])
        bridge_fd = settings["bridge_fd"]
        self._bridge = ipc.attach(bridge_fd) if bridge_fd is not None else None
        layout = self._layout = Layout(settings["layout"])
        slots, slot_bytes = settings["slots"], settings["slot_bytes"]
        self._pool = Pool(settings["pool_fd"], slots, slot_bytes, layout, writable=False)
        device = parse_device(settings["device"].encode(), Path(settings["device_path"]))
        session = parse_session(settings["session"].encode(), Path(settings["session_path"]))
        view = base64.b64decode(settings["view"])
        fingerprint = Fingerprint.from_bytes(view) if view else None
        installed = settings["policy_store"]
        store = KeyStore.open(Path(settings["keys"]))
        log = AuditLog.create_or_open(Path(settings["audit"]), store.log_key())
        self._clerk = Clerk(log)
        chosen = choose(
            settings["pack"],
            Path(installed) if installed is not None else None,
            [Floors(version=log.policy_floor, time_s=log.time_floor_ns // S)],
        )
        policy = self._policy = chosen.policy
        device = replace(device, dwell_s=chosen.dwell_s(device.dwell_s))
        self._min_view_score = chosen.min_view_score
        self._policy_version = chosen.version
        self._tenure = chosen.tenure
        self._term: tuple[Reason, ...] = ()  # what is wrong with the policy's term
        self._term_ns = 0  # when that was last asked
        self._drift = Drift()
        if policy.digest.hex() != settings["policy"]:
            raise PolicyError("the policy changed while the guard started; start it again")
        faces = FaceBoxes(Path(settings["face_model"]))
        blank = np.zeros((settings["height"], settings["width"], 3), np.uint8)
        looks = [_time(self._clock, lambda: faces.detect(blank)) for _ in range(4)]
        if settings["release"] == Release.BRACKETED.value:
            spent_ns = min(looks)  # the first one warmed up
            check_rate(spent_ns, Limits().max_age_ns)
            check_room(
                spent_ns,
                layout.bytes(settings["height"], settings["width"]),
                settings["rate_hz"],
                Limits().max_bytes,
            )
        camera = bytes.fromhex(settings["camera"])
        self._binding = Binding(camera, boot_id(), policy.digest, session.operation)
        self._identifying = session.operation.identifying
        release = Release(settings["release"])
        interlocked = self._bridge is not None and self._identifying
        setup = Setup(
            device,
            session,
            self._binding,
            release,
            interlocked,
            settings["camera_known"],
            chosen.min_view_score,
            chosen.max_age_ns,
        )
        self._open_eyes = partial(_eyes, fingerprint, Path(settings["face_model"]), device.people)
        self._eyes = Eyes(
            fingerprint, faces, device.people, SceneModel.load(), fresh=_just_enrolled(fingerprint)
        )
        self._strikes = Strikes()
        self._late = False  # a model took too long since this was last told
        self._liveness = Liveness()
        self._reception = _reception(settings["desk"], store, device, session)
        self._known_s = 0  # the latest time known, UTC
        now_ns = self._clock.now_ns()
        start = Start(
            self._stamp(now_ns),
            VERSION,
            settings["pack"],
            session.operation,
            device.dwell_s,
            release,
            settings["virtual"],
            _enrolment(fingerprint),
            Board(settings["board"]),
        )
        self._clerk.write(start, durable=True)
        if self._tenure is not None:
            known_ns = self._tenure.floors.time_s * S
            floor = Floor(self._stamp(now_ns), self._policy_version, known_ns)
            self._clerk.write(floor, durable=True)
        self._judge = Judge(setup, policy, now_ns)
        self._mirror_floor()
        self._monitor = Monitor(self._parent)
        self._roles = (Role.CAPTURE, Role.GATE, Role.PARENT) + (
            (Role.BRIDGE,) if interlocked else ()
        )
        self._still = False
        self._frames = 0  # heard of
        self._judged = 0  # by the gate's own count; not every frame's note need get here
        self._superseded = False  # the board remembers a newer policy; stays so
        self._rolled_back = False  # the board remembers a longer log; stays so
        self._escaped = False  # the matcher tried to get out of its sandbox; stays so
        self._over = False  # the stream ended and every released frame is accounted for

    def run(self) -> None:
        """Turn until the parent or the gate is gone; then end the log in good order.

        Raises:
            MemoryError: there is none left; everything is revoked.
        """
        last_ns = self._clock.now_ns()
        try:
            while True:
                ipc_wait(self._gate, self._bridge, self._parent)
                now_ns = self._clock.now_ns()
                self._beats.beat(Role.DECIDER, now_ns)
                gap = now_ns - last_ns > GAP_NS
                last_ns = now_ns
                self._escaped |= ESCAPED in ipc.drain(self._parent)
                self._hear_gate()
                self._hear_bridge()  # after the gate: reading a frame takes its time
                self._attend()
                self._judge.silent(self._silent(gap))
                if not self._over:
                    self._act()
        except ipc.PeerGone:
            self._stop()
        except MemoryError:
            self._judge.silent((Reason.RESOURCE,))
            self._act()  # the gate first, then the board; the log says why
            self._stop()
            raise

    def _hear_bridge(self) -> None:
        if self._bridge is None:
            return
        for data in ipc.drain(self._bridge):
            message = board.decode(data)
            if isinstance(message, board.BoardStatus):
                self._judge.board_status(message)
            elif isinstance(message, board.Floors):
                self._rolled_back = self._rolled_back or message.log_size > self._clerk.size
                self._superseded |= message.policy_version > self._policy_version
            elif isinstance(message, BoardSample):
                readings = self._judge.board(message)
                for reading in readings:
                    if reading.source is Source.STILLNESS:
                        self._still = reading.good
                self._monitor.readings(readings)

    def _hear_gate(self) -> None:
        for data in ipc.drain(self._gate):
            match decode(data):
                case Noted() as note:
                    self._note(note)
                case Offered() as offer:
                    self._examine(offer)
                case Ended() as report:
                    self._ended(report)
                    if report.drained:
                        self._end_well()
                case Compared(gallery, references):
                    people = tuple(reference.hex() for reference in references)
                    if gallery:
                        self._reception.gallery(people)
                    else:
                        self._reception.compared(people[0])
                case SourceEnd(End.LOST, _):
                    self._observe([self._lost()])

    def _ended(self, report: Ended) -> None:
        self._judge.ended(report)
        self._judged = max(self._judged, report.judged)

    def _attend(self) -> None:
        """Hear what was handed in, and tell the judge how the people in the session stand."""
        now_ns = self._clock.now_ns()
        for handed in self._reception.look(now_ns):
            print(f"desk: {handed.said}", file=sys.stderr)
            self._write(handed.entry, durable=False)
        self._known_s = max(self._known_s, int(time.time()))
        self._judge.people(self._reception.facts(self._known_s))

    def _note(self, note: Noted) -> None:
        self._frames += 1
        look = Look(
            note.view_score,
            note.mean,
            note.std,
            note.sharpness,
            note.difference,
            note.digest,
            note.malformed,
        )
        reasons = self._liveness.see(look, note.captured_ns)
        readings = [Reading(Source.LIVENESS, note.captured_ns, reasons)]
        if self._identifying:
            foreign = note.view_score < self._min_view_score
            score = (Reason.VIEW_FOREIGN,) if foreign else ()
            readings.append(Reading(Source.SIGN_MAP, note.captured_ns, score))
        self._observe(readings)

    def _examine(self, offer: Offered) -> None:
        lent = self._pool.frame(offer.slot, offer.height, offer.width)
        picture = self._layout.bgr(lent)
        began_ns = self._clock.now_ns()
        self._beats.begin_model(began_ns)
        try:
            sight = self._eyes.examine(
                picture,
                offer.captured_ns,
                opening=self._judge.opening,
                still=self._still,
                final=offer.final,
            )
        except ModelError as err:
            self._observe([Reading(Source.PEOPLE, offer.captured_ns, (Reason.MODEL_OUTPUT,))])
            self._model_failed(err)
        else:
            self._strikes.good()
            unsettled_ns = offer.captured_ns if sight.unsettled else None
            self._observe(sight.readings, sight.seen_blocks, unsettled_ns)
            if any(reading.source is Source.PEOPLE for reading in sight.readings):
                permitted = self._judge.outlook.permitted
                self._reception.faces(self._eyes.faces, offer.captured_ns, permitted=permitted)
            ipc.send(self._gate, encode(Anchor(sight.seen_blocks)))
        self._beats.end_model()
        self._late = self._late or self._clock.now_ns() - began_ns > GAP_NS
        ipc.send(self._gate, encode(Returned(offer.slot)))
        self._beats.beat(Role.DECIDER, self._clock.now_ns())

    def _model_failed(self, how: ModelError) -> None:
        """Load the models afresh if it is time; if that fails too, permit nothing any more."""
        if self._strikes.out:
            return
        print(f"decider: {how}", file=sys.stderr)
        if self._strikes.bad() is Consequence.REBUILD:
            try:
                self._eyes = self._open_eyes()
            except ModelError as err:
                print(f"decider: {err}", file=sys.stderr)
                self._strikes.give_up()

    def _observe(
        self,
        readings: Iterable[Reading],
        seen_blocks: int | None = None,
        unsettled_ns: int | None = None,
    ) -> None:
        readings = tuple(readings)
        self._judge.observe(readings, seen_blocks, unsettled_ns=unsettled_ns)
        self._monitor.readings(readings)

    def _act(self) -> None:
        """Let the judge act until it has nothing more to do."""
        while actions := self._judge.step(self._clock.now_ns()):
            for action in actions:
                self._do(action)
        self._monitor.outlook(self._judge.outlook, self._clock.now_ns())
        self._monitor.checkpoint(self._clerk.checkpoint)

    def _do(self, action: Action) -> None:
        match action:
            case Tell(message):
                ipc.send(self._gate, encode_lease(message))
                if isinstance(message, Revocation):
                    self._monitor.revoked(message, self._judge.outlook)
            case Ask(claim):
                if self._bridge is not None:
                    ipc.send(self._bridge, board.encode(claim))
            case Write(entry, durable):
                self._write(entry, durable)

    def _write(self, entry: Callable[[Stamp], Entry], durable: bool) -> None:
        now_ns = self._clock.now_ns()
        before = self._clerk.size
        made = entry(self._stamp(now_ns))
        try:
            index = self._clerk.write(made, durable)
        except AuditError as err:
            print(f"decider: {err}", file=sys.stderr)
            return
        # a change that came too soon after another is only counted
        if index >= before and made.kind in (Kind.PERMIT, Kind.END, Kind.DENY):
            self._monitor.wrote(index, permitted=made.kind is Kind.PERMIT)
        if durable:
            self._mirror_floor()
            self._judge.recorded(index, self._clock.now_ns())

    def _term_now(self, now_ns: int) -> tuple[Reason, ...]:
        """What is wrong with the policy's dates, asked once a second.

        A jump of the wall clock is only written down. A new day's rules are taken here
        too, so none begins or ends with a restart.
        """
        if now_ns - self._term_ns < S:
            return self._term
        self._term_ns = now_ns
        wall_s = time.time()
        if jump_s := self._drift.jump_s(wall_s, now_ns):
            self._write(lambda stamp: ClockJump(stamp, jump_s), durable=False)
        known_s = max(self._known_s, int(wall_s))
        if self._tenure is not None:
            self._term = self._tenure.check(known_s)
            known_s = self._tenure.floors.time_s
        self._known_s = known_s
        policy = of_the_day(self._policy, known_s)
        if policy is not self._policy:
            self._policy = policy
            self._judge.rule_by(policy)
        return self._term

    def _mirror_floor(self) -> None:
        """Let the board remember how long the log is; it answers with what it knows."""
        if self._bridge is not None:
            floors = board.Floors(self._clerk.floor, self._policy_version)
            ipc.send(self._bridge, board.encode(floors))

    def _silent(self, gap: bool) -> tuple[Reason, ...]:
        """What is wrong with the guard itself."""
        reasons = [Reason.LOG_ROLLBACK] if self._rolled_back else []
        if self._rolled_back and self._superseded:  # not one file: an old image of the whole disk
            reasons.append(Reason.STATE_ROLLBACK)
        if self._escaped:
            reasons.append(Reason.MATCHER_ESCAPE_ATTEMPT)
        reasons.extend(self._term_now(self._clock.now_ns()))
        if self._superseded:
            reasons.append(Reason.POLICY_ROLLBACK)
        reasons.extend(self._reception.reasons(self._clock.now_ns()))
        if gap:
            reasons.append(Reason.TIME_GAP)
        if self._late:
            reasons.append(Reason.MODEL_TIMEOUT)
            self._late = False
        if self._strikes.out:
            reasons.append(Reason.MODEL_OUTPUT)
        if not self._clerk.tend(self._clock.now_ns()):
            reasons.append(Reason.AUDIT_UNAVAILABLE)
        if self._beats.silent(self._clock.now_ns(), SILENT_NS, self._roles):
            reasons.append(Reason.PROCESS_SILENT)
        return tuple(reasons)

    def _lost(self) -> Reading:
        return Reading(Source.LIVENESS, self._clock.now_ns(), (Reason.CAM_LOST,))

    def _end_well(self) -> None:
        """The stream is over: the permit ends, but what was released may still be read."""
        self._over = True
        while actions := self._judge.stop(self._clock.now_ns()):
            for action in actions:
                if not isinstance(action, Tell):
                    self._do(action)

    def _stop(self) -> None:
        """End the permit, hear the gate to its end, and close the log with its counts."""
        gone = False
        until_ns = self._clock.now_ns() + LAST_WORDS_NS
        while True:
            now_ns = self._clock.now_ns()
            late_ns = REPORT_NS if gone else 0  # nobody is left to wait for
            for action in self._judge.stop(now_ns + late_ns):
                self._do(action)
            if not self._judge.ending and (gone or now_ns > until_ns):
                break
            try:
                ipc_wait(self._gate)
                for message in map(decode, ipc.drain(self._gate)):
                    if isinstance(message, Ended):
                        self._ended(message)
            except ipc.PeerGone:
                gone = True
        frames = max(self._frames, self._judged)
        stop = Stop(self._stamp(self._clock.now_ns()), self._judge.released, frames)
        try:
            self._clerk.close(stop)
        except AuditError as err:
            print(f"decider: {err}", file=sys.stderr)
        self._monitor.checkpoint(self._clerk.checkpoint)

    def _stamp(self, now_ns: int) -> Stamp:
        binding = self._binding
        digest = self._policy.digest  # of today's rules; the binding names the guard's first day
        return Stamp(binding.boot, now_ns, time.time_ns(), binding.camera, digest)


def _time(clock: BootClock, work: Callable[[], object]) -> int:
    """How long `work` takes, in nanoseconds."""
    began_ns = clock.now_ns()
    work()
    return clock.now_ns() - began_ns


def _eyes(fingerprint: Fingerprint | None, face_model: Path, rules: PeopleRules) -> Eyes:
    """Load and check the models afresh."""
    fresh = _just_enrolled(fingerprint)
    return Eyes(fingerprint, FaceBoxes(face_model), rules, SceneModel.load(), fresh=fresh)


def _just_enrolled(fingerprint: Fingerprint | None) -> bool:
    """Whether enrolment counts as a sighting of the whole view: only a trial begins with one."""
    return fingerprint is None or fingerprint.enrolment is Standing.UNENFORCED


def _reception(folder: str | None, store: KeyStore, device: Device, session: Session) -> Reception:
    """What hears the people of this session; consent is the record's word where no desk is."""
    lane = session.operation
    standing = People(lane, device.site)
    desk = None
    if folder is not None:
        desks, authorities = store.trusted(Office.DESK), store.trusted(Office.AUTHORITY)
        desk = Desk(Path(folder), standing, desks=desks, authorities=authorities)
    return Reception(lane, standing, desk, counted=device.matcher_counted)


def _enrolment(fingerprint: Fingerprint | None) -> Enrolment:
    """How the view in force was enrolled, in the log's words."""
    if fingerprint is None:
        return Enrolment.NONE
    if fingerprint.scene is SceneCheck.OVERRIDDEN:
        return Enrolment.OVERRIDDEN
    return Enrolment(fingerprint.enrolment.value)


def ipc_wait(*channels: Any) -> None:
    """Sleep until a message comes, at most one turn."""
    import select

    fds = [channel.fileno() for channel in channels if channel is not None]
    select.select(fds, [], [], TURN_MS / 1000)


def main() -> int:
    """Run until the guard ends."""
    ipc.die_with_parent()
    scheduling.prefer()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = ipc.await_order()
    cv2.setNumThreads(1)
    parent = ipc.attach(settings["parent_fd"])
    try:
        decider = Decider(settings)
    except GuardError as err:
        ipc.send(parent, json.dumps({"error": str(err)}).encode())
        return 2
    gc.collect()
    gc.freeze()
    ipc.send(parent, json.dumps({"ready": True}).encode())
    try:
        decider.run()
    except MemoryError as err:
        print(f"decider: {Reason.RESOURCE.value}: {err or 'out of memory'}", file=sys.stderr)
        return ipc.EXHAUSTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
