"""The decider process: reads evidence, judges, and tells gate, board and log.

    python -m edge.decision.decider < settings.json

It waits for nothing but the audit log's sync. The gate's leases end by
themselves when this process stops or stalls.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable
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
    ClockJump,
    ClockReset,
    Enrolment,
    Entry,
    EscapeAttempt,
    Floor,
    Kind,
    Release,
    Stamp,
    Start,
    Stop,
)
from edge.clock import MS, BootClock, Clock, S, boot_id
from edge.commissioning.keys import KeyStore, Office
from edge.commissioning.records import Device, Session, parse_device, parse_session
from edge.consent.consent import Consent as People
from edge.consent.inbox import ConsentInbox
from edge.consent.state import ConsentState
from edge.decision.engine import Engine, Models
from edge.decision.fork_alarm import ForkAlarm
from edge.decision.judge import REPORT_NS, Action, Ask, Tell, Write
from edge.decision.monitor import Monitor
from edge.decision.policy_day import PolicyDay
from edge.decision.session_facts import Setup
from edge.decision.settings import DeciderSettings
from edge.errors import AuditError, GuardError, ModelError, PolicyError
from edge.evidence import board_link as board
from edge.evidence.faces import FaceBoxes, face_finder
from edge.evidence.readings import BoardSample, Reading, Source
from edge.evidence.scene import SceneModel
from edge.evidence.vision import check_rate, check_room
from edge.frames import lifecycle
from edge.frames.gate import Limits
from edge.frames.lifecycle import Escape, Failed, Ready
from edge.frames.messages import (
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
from edge.heartbeat import NEVER_NS, Beats, Role
from edge.lease import Binding, Revocation
from edge.lease import encode as encode_lease
from edge.masking.message import encode as encode_mask
from edge.models import SCENE
from edge.policy.selection import Chosen, choose
from edge.policy.signed.bundle import Floors
from edge.policy.signed.trust import BundleError
from edge.reasons import Reason
from edge.version import VERSION
from edge.view.bodies import Bodies
from edge.view.fingerprint import Fingerprint
from edge.view.look import Look
from edge.view.view_file import SceneCheck

TURN_MS = 40  # between two turns at most...
PAUSE_S = 0.015  # ...and at least: what comes within it is heard together
REST_S = 0.040  # the same while the picture is rested
SILENT_NS = 200 * MS  # a process that has not beaten for this long is stopped or dead
LAST_WORDS_NS = 1 * S  # how long the end of the guard waits for the gate's
KEEP_FLOOR_S = 3600  # how far the log's floor may lie behind the proven time
GAP_NS = 250 * MS  # a pause of this process longer than this begins the dwell again


class Decider:
    """Carries messages between the sockets and the judge."""

    def __init__(self, settings: DeciderSettings, clock: Clock | None = None) -> None:
        """Load everything; raises GuardError where something is not what it should be."""
        self._clock = clock or BootClock()
        self._beats = Beats.attach(settings.beats_fd)
        self._gate = ipc.attach(settings.gate_fd)
        self._parent = ipc.attach(settings.parent_fd)
        bridge_fd = settings.bridge_fd
        self._bridge = ipc.attach(bridge_fd) if bridge_fd is not None else None
        picture, size = settings.picture, settings.pool
        layout = self._layout = picture.layout
        self._pool = Pool(settings.pool_fd, size.slots, size.slot_bytes, layout, writable=False)
        device = parse_device(settings.device.encode(), settings.device_path)
        session = parse_session(settings.session.encode(), settings.session_path)
        fingerprint = Fingerprint.from_bytes(settings.view) if settings.view else None
        store = KeyStore.open(settings.keys)
        log = AuditLog.create_or_open(settings.audit, store.log_key())
        self._clerk = Clerk(log)
        chosen = choose(
            settings.pack,
            settings.policy_store,
            [Floors(version=log.policy_floor, time_s=log.time_floor_ns // S)],
            not_yet_s=device.clock_not_yet_s,
            at_least_s=device.clock_at_least_s,
        )
        policy = chosen.policy
        device = replace(device, dwell_s=chosen.dwell_s(device.dwell_s))
        self._policy_version = chosen.version
        self._kept_floor_s = chosen.floor_s  # as the log has it
        if policy.digest != settings.policy:
            raise PolicyError("the policy changed while the guard started; start it again")
        masking = session.operation.masked
        faces = face_finder(settings.face_model, masking=masking)
        blank = np.zeros((picture.height, picture.width, 3), np.uint8)
        looks = [_time(self._clock, lambda: faces.detect(blank)) for _ in range(4)]
        if settings.release is Release.BRACKETED:
            spent_ns = min(looks)  # the first one warmed up
            check_rate(spent_ns, Limits().max_age_ns)
            check_room(
                spent_ns,
                layout.bytes(picture.height, picture.width),
                picture.rate_hz,
                Limits().max_bytes,
            )
        camera = settings.camera
        self._binding = Binding(camera, boot_id(), policy.digest, session.operation)
        release = settings.release
        interlocked = self._bridge is not None and session.operation.identifying
        setup = Setup(
            device,
            session,
            self._binding,
            release,
            interlocked,
            settings.camera_known,
            chosen.min_view_score,
            chosen.max_age_ns,
            settings.lag_ns,
        )
        models = _models(settings.face_model, chosen, faces, masking=masking)
        self._late = False  # a model took too long since the last report
        self._fork_alarm = ForkAlarm(device.fork_alarm)
        self._consent_state = _consent_state(settings.inbox, store, device, session)
        now_ns = self._clock.now_ns()
        self._day = PolicyDay(
            chosen, now_ns, accepts_unproven=device.clock_unproven or settings.virtual
        )
        start = Start(
            self._stamp(now_ns),
            VERSION,
            policy.pack.name,
            session.operation,
            device.dwell_s,
            release,
            settings.virtual,
            _enrolment(fingerprint),
            settings.board,
        )
        self._clerk.write(start, durable=True)
        not_yet_s = device.clock_not_yet_s
        if not_yet_s is not None and log.time_floor_ns >= not_yet_s * S:
            reset = ClockReset(self._stamp(now_ns), not_yet_s * S, chosen.floor_s * S)
            self._clerk.write(reset, durable=True)
        if self._day.has_term:
            self._keep_floor(now_ns)
        self._engine = Engine(
            setup,
            policy,
            fingerprint,
            models,
            now_ns,
            reload=lambda: _models(settings.face_model, chosen, masking=masking),
        )
        self._mirror_floor()
        self._monitor = Monitor(self._parent)
        self._roles = (Role.CAPTURE, Role.GATE, Role.PARENT) + (
            (Role.BRIDGE,) if interlocked else ()
        )
        self._frames = 0  # heard of
        self._judged = 0  # by the gate's own count; not every frame's note need get here
        self._superseded = False  # the board remembers a newer policy; stays so
        self._rolled_back = False  # the board remembers a longer log; stays so
        self._escaped = False  # the matcher tried to get out of its sandbox; stays so
        self._turn_ns = now_ns  # when the last turn began
        self._named_silent: set[Role] = set()
        self._over = False  # the stream ended and every released frame is accounted for
        self._results = (0, 0)  # the matcher's, handed on and dropped

    def run(self) -> None:
        """Turn until the parent or the gate is gone; then end the log in good order.

        Raises:
            MemoryError: there is none left; everything is revoked.
        """
        self._turn_ns = self._clock.now_ns()
        try:
            while True:
                time.sleep(REST_S if self._engine.resting else PAUSE_S)
                ipc_wait(self._gate, self._bridge, self._parent)
                self.turn()
        except ipc.PeerGone:
            self._stop()
        except MemoryError:
            self._engine.silent((Reason.RESOURCE,))
            self._act()  # the gate first, then the board; the log says why
            self._stop()
            raise

    def turn(self) -> None:
        """Hear everybody once, then let the engine act.

        Raises:
            ipc.PeerGone: the parent or the gate is gone.
        """
        now_ns = self._clock.now_ns()
        self._beats.beat(Role.DECIDER, now_ns)
        gap = now_ns - self._turn_ns > GAP_NS
        self._turn_ns = now_ns
        self._hear_parent()
        self._hear_gate()
        self._hear_bridge()  # after the gate: reading a frame takes its time
        self._attend()
        self._engine.silent(self._silent(gap))
        if not self._over:
            self._act()

    def _hear_parent(self) -> None:
        for data in ipc.drain(self._parent):
            match lifecycle.decode(data):
                case Escape(tried):
                    self._escaped = True
                    if tried is not None:
                        self._write(partial(EscapeAttempt, tried=tried), durable=False)

    def _hear_bridge(self) -> None:
        if self._bridge is None:
            return
        for data in ipc.drain(self._bridge):
            message = board.decode(data)
            if isinstance(message, board.BoardStatus):
                self._engine.board_status(message)
            elif isinstance(message, board.Floors):
                self._rolled_back = self._rolled_back or message.log_size > self._clerk.size
                self._superseded |= message.policy_version > self._policy_version
            elif isinstance(message, BoardSample):
                self._monitor.readings(self._engine.board(message))

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
                        self._consent_state.gallery(people)
                    else:
                        self._consent_state.compared(people[0])
                case SourceEnd(End.LOST, _):
                    self._camera_failed(Reason.CAM_LOST)
                case SourceEnd(End.LAGGING, _):
                    self._camera_failed(Reason.LAG_UNBOUNDED)

    def _ended(self, report: Ended) -> None:
        self._engine.ended(report)
        self._judged = max(self._judged, report.judged)
        self._results = (report.results, report.refused)

    def _attend(self) -> None:
        """Hear what was handed in, and tell the judge how the people in the session stand."""
        now_ns = self._clock.now_ns()
        for handed in self._consent_state.look(now_ns):
            print(f"consent inbox: {handed.message}", file=sys.stderr)
            self._write(handed.entry, durable=False)
        self._engine.people(self._consent_state.facts(self._day.moment.now_s))

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
        self._monitor.readings(self._engine.saw(look, note.captured_ns))

    def _examine(self, offer: Offered) -> None:
        lent = self._pool.frame(offer.slot, offer.height, offer.width)
        picture = self._layout.bgr(lent)
        began_ns = self._clock.now_ns()
        self._beats.begin_model(began_ns)
        found = self._engine.examine(picture, offer.captured_ns, final=offer.final)
        self._monitor.readings(found.readings)
        if found.failure:
            print(f"decider: {found.failure}", file=sys.stderr)
        if found.faces is not None:
            permitted = self._engine.outlook.permitted
            self._consent_state.faces(found.faces, offer.captured_ns, permitted=permitted)
        if found.seen_blocks is not None:
            ipc.send(self._gate, encode(Anchor(found.seen_blocks)))
        if found.mask is not None:
            ipc.send(self._gate, encode_mask(found.mask))
        self._beats.end_model()
        self._late = self._late or self._clock.now_ns() - began_ns > GAP_NS
        ipc.send(self._gate, encode(Returned(offer.slot)))
        self._beats.beat(Role.DECIDER, self._clock.now_ns())

    def _act(self) -> None:
        """Let the judge act until it has nothing more to do."""
        while actions := self._engine.step(self._clock.now_ns()):
            for action in actions:
                self._do(action)
        self._monitor.outlook(self._engine.outlook, self._clock.now_ns())
        self._monitor.checkpoint(self._clerk.checkpoint)

    def _do(self, action: Action) -> None:
        match action:
            case Tell(message):
                ipc.send(self._gate, encode_lease(message))
                if isinstance(message, Revocation):
                    self._monitor.revoked(message, self._engine.outlook)
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
        # a change that came too soon after another is written later
        if index >= before and made.kind in (Kind.PERMIT, Kind.END, Kind.DENY):
            self._monitor.wrote(index, permitted=made.kind is Kind.PERMIT)
        if durable:
            self._mirror_floor()
            self._engine.recorded(index, self._clock.now_ns())

    def _term_now(self, now_ns: int) -> tuple[Reason, ...]:
        """What is wrong with the time and with the policy's dates, asked once a second.

        Which day's rules hold is settled here too, so none begins or ends with a restart.
        """
        moment = self._day.ask(now_ns, dated=self._binding.lane.identifying)
        if moment is not None:
            if moment.jump_s:
                self._write(partial(ClockJump, by_s=moment.jump_s), durable=False)
            if self._day.floor_s - self._kept_floor_s > KEEP_FLOOR_S:
                self._keep_floor(now_ns)
            if self._day.turn():
                self._engine.rule_by(self._day.policy)
        return self._day.reasons

    def _keep_floor(self, now_ns: int) -> None:
        """Write the time that is proven to have passed into the log, for later starts."""
        self._kept_floor_s = self._day.floor_s
        floor = Floor(self._stamp(now_ns), self._policy_version, self._kept_floor_s * S)
        self._clerk.write(floor, durable=True)

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
        reasons.extend(self._fork_alarm.reasons(self._clock.now_ns()))
        reasons.extend(self._consent_state.reasons(self._clock.now_ns()))
        if gap:
            reasons.append(Reason.TIME_GAP)
        if self._late:
            reasons.append(Reason.MODEL_TIMEOUT)
            self._late = False
        if self._engine.models_failed:
            reasons.append(Reason.MODEL_OUTPUT)
        if not self._clerk.tend(self._clock.now_ns()):
            reasons.append(Reason.AUDIT_UNAVAILABLE)
        if self._say_who_is_silent(self._clock.now_ns()):
            reasons.append(Reason.PROCESS_SILENT)
        return tuple(reasons)

    def _say_who_is_silent(self, now_ns: int) -> bool:
        """Whether a process of the guard is silent; prints its name once."""
        silent = self._beats.silent(now_ns, SILENT_NS, self._roles)
        for role in set(silent) - self._named_silent:
            age_ms = min(self._beats.age_ns(role, now_ns), NEVER_NS) // MS
            since = "since the start" if age_ms >= NEVER_NS // MS else f"for {age_ms} ms"
            name = role.name.lower()
            print(f"PROCESS_SILENT: no heartbeat of the {name} process {since}", file=sys.stderr)
        self._named_silent = set(silent)
        return bool(silent)

    def _camera_failed(self, reason: Reason) -> None:
        reading = Reading(Source.LIVENESS, self._clock.now_ns(), (reason,))
        self._monitor.readings(self._engine.observe([reading]))

    def _end_well(self) -> None:
        """The stream is over: the permit ends, but what was released may still be read."""
        self._over = True
        while actions := self._engine.stop(self._clock.now_ns()):
            for action in actions:
                if not isinstance(action, Tell):
                    self._do(action)

    def _stop(self) -> None:
        """End the permit, hear the gate to its end, and close the log with its counts."""
        self._hear_last_words()
        gone = False
        until_ns = self._clock.now_ns() + LAST_WORDS_NS
        while True:
            now_ns = self._clock.now_ns()
            late_ns = REPORT_NS if gone else 0  # nobody is left to wait for
            for action in self._engine.stop(now_ns + late_ns):
                self._do(action)
            if not self._engine.ending and (gone or now_ns > until_ns):
                break
            try:
                ipc_wait(self._gate)
                for message in map(decode, ipc.drain(self._gate)):
                    if isinstance(message, Ended):
                        self._ended(message)
            except ipc.PeerGone:
                gone = True
        frames = max(self._frames, self._judged)
        stop = Stop(
            self._stamp(self._clock.now_ns()), self._engine.released, frames, *self._results
        )
        try:
            self._clerk.close(stop)
        except AuditError as err:
            print(f"decider: {err}", file=sys.stderr)
        self._monitor.checkpoint(self._clerk.checkpoint)

    def _hear_last_words(self) -> None:
        """Act on an escape that the parent reported while the gate was already gone."""
        with contextlib.suppress(ipc.PeerGone):
            self._hear_parent()
        if self._escaped and not self._over:
            self._engine.silent((Reason.MATCHER_ESCAPE_ATTEMPT,))
            self._act()

    def _stamp(self, now_ns: int) -> Stamp:
        binding = self._binding
        digest = self._day.policy.digest  # of today; the binding names the guard's first day
        return Stamp(binding.boot, now_ns, self._day.wall_ns(now_ns), binding.camera, digest)


def _time(clock: Clock, work: Callable[[], object]) -> int:
    """How long `work` takes, in nanoseconds."""
    began_ns = clock.now_ns()
    work()
    return clock.now_ns() - began_ns


def _consent_state(
    folder: Path | None, store: KeyStore, device: Device, session: Session
) -> ConsentState:
    """Hears the people of this session; without an inbox the session record gives consent."""
    lane = session.operation
    consent = People(lane, device.site)
    inbox = None
    if folder is not None:
        receipt_keys, authorities = store.trusted(Office.DESK), store.trusted(Office.AUTHORITY)
        inbox = ConsentInbox(folder, consent, receipt_keys=receipt_keys, authorities=authorities)
    return ConsentState(lane, consent, inbox, counted=device.matcher_counted)


def _models(
    face_model: Path, chosen: Chosen, faces: FaceBoxes | None = None, *, masking: bool
) -> Models:
    """The models, loaded; the bundle must name the very bytes that were.

    Raises:
        ModelError: it does not, or one cannot be loaded.
    """
    faces = faces or face_finder(face_model, masking=masking)
    scene = SceneModel.load()
    try:
        chosen.check_models([(face_model, faces.sha256), (SCENE, scene.sha256)])
    except BundleError as err:
        raise ModelError(str(err)) from err
    return Models(faces, scene, Bodies(both=False))


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
    settings = ipc.await_order(DeciderSettings)
    cv2.setNumThreads(1)
    parent = ipc.attach(settings.parent_fd)
    try:
        decider = Decider(settings)
    except GuardError as err:
        ipc.send(parent, lifecycle.encode(Failed(str(err))))
        return 2
    scheduling.settle()
    ipc.send(parent, lifecycle.encode(Ready()))
    try:
        decider.run()
    except MemoryError as err:
        print(f"decider: {Reason.RESOURCE.value}: {err or 'out of memory'}", file=sys.stderr)
        return ipc.EXHAUSTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
