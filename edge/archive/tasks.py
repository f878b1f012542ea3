"""The two tasks of an archive, each a plain function that any worker may run, and run again."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache

from edge.archive.boards import BoardTape, judged
from edge.archive.extract import extract
from edge.archive.judge import judge
from edge.archive.manifest import Recording
from edge.archive.signed.step import known, looked_for, signed
from edge.archive.signed.verdict import NOBODY, Trust, Verdict
from edge.archive.store import Store, board_key, decisions_key, read_input, tape_key, view_bytes
from edge.archive.tape import Tape
from edge.audit.schema import Release
from edge.cameras.identity import CameraIdentity
from edge.cameras.opencv import FileCamera
from edge.commissioning.records import Device, Session, parse_device, parse_session
from edge.errors import GuardError, RecordError
from edge.evidence import telemetry
from edge.evidence.faces import FaceBoxes, face_finder
from edge.evidence.scene import SceneModel
from edge.models.pull import asset
from edge.policy.engine import Policy
from edge.policy.outcome import Decision
from edge.policy.signed.files import policy_in
from edge.report.record import FrameDecision, decisions_in
from edge.view.bodies import Bodies
from edge.view.fingerprint import Fingerprint

_COLLECT_AFTER = 50_000  # objects more than before; the usual 700 takes a thirtieth of the time
_WRITERS = 8  # results on their way to the disk at a time: it takes longer than judging one


@dataclass(frozen=True, slots=True)
class Extract:
    """Make the tape of one recording."""

    recording: Recording
    store: str
    trust: Trust = NOBODY  # whose signatures count, and what is refused


@dataclass(frozen=True, slots=True)
class Judge:
    """Decide the tape of one recording under one policy pack."""

    recording: Recording
    store: str
    pack: str
    release: Release = Release.BRACKETED
    trust: Trust = NOBODY


@dataclass(frozen=True, slots=True)
class Done:
    """The result of one task."""

    place: str  # of the tape or the decisions
    frames: int = 0
    passed: int = 0
    bytes: int = 0
    fresh: bool = True  # made now; it was there before otherwise
    note: str = ""  # what is wrong with the recording
    signed: Verdict | None = None  # whether the camera signed it


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a task could not be done."""

    why: str


Task = Extract | Judge


def work(tasks: Sequence[Task]) -> list[Done | Failed]:
    """Do some tasks; what is wrong with their inputs is an answer, not an exception.

    While one is done, the results of those before it go to the disk.
    """
    with ThreadPoolExecutor(_WRITERS) as writers, _rare_collection():
        return [finish() for finish in [_begun(task, writers) for task in tasks]]


@contextmanager
def _rare_collection() -> Iterator[None]:
    """Look for cycles of dead objects less often: a tape is thousands of objects that live."""
    before = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _begun(task: Task, writers: ThreadPoolExecutor) -> Callable[[], Done | Failed]:
    """Do a task but for writing its result; what is returned waits for that."""
    store, result = _Later(task.store, writers), Done(task.store)
    try:
        result = _extract(task, store) if isinstance(task, Extract) else _judge(task, store)
    except GuardError as err:
        store.failures.append(err)

    def finish() -> Done | Failed:
        failed = store.wait()
        return result if failed is None else Failed(str(failed))

    return finish


class _Later(Store):
    """A store that is written while other work goes on."""

    def __init__(self, folder: str, writers: ThreadPoolExecutor) -> None:
        super().__init__(folder)
        self._writers = writers
        self._writing: list[Future[None]] = []
        self.failures: list[GuardError] = []

    def keep(self, place: str, data: bytes) -> None:
        self._writing.append(self._writers.submit(super().keep, place, data))

    def wait(self) -> GuardError | None:
        """Wait until all is written; returns the first thing that was wrong."""
        for writing in self._writing:
            try:
                writing.result()
            except GuardError as err:
                self.failures.append(err)
        return self.failures[0] if self.failures else None


def decisions_of(task: Judge) -> list[FrameDecision]:
    """The decisions that a judged task left in the store.

    Raises:
        GuardError: they are not there, or are none.
    """
    place = _Inputs.of(task.recording).decisions(task)
    data = Store(task.store).read(place)
    if data is None:
        raise RecordError(f"{place}: expected the decisions of {task.recording.clip}")
    return decisions_in(data, place)


def tape_of(recording: Recording, store: Store) -> Tape:
    """The tape of a recording.

    Raises:
        GuardError: it is not there, or is none.
    """
    place = store.tape(_Inputs.of(recording).tape_key)
    return _tape(recording, store, place)


def _tape(recording: Recording, store: Store, place: str) -> Tape:
    data = store.read(place)
    if data is None:
        raise RecordError(
            f"{recording.clip} has no tape in {store.folder} for its record and session: run "
            "framegate archive extract first"
        )
    return Tape.from_bytes(data, place)


def _extract(task: Extract, store: Store) -> Done:
    recording, given = task.recording, _Inputs.of(task.recording)
    given.board(store)
    place, trust = store.tape(given.tape_key), task.trust
    there, found = store.read(place), looked_for(recording, store, trust)
    if there is not None:
        tape = Tape.from_bytes(there, place)
        verdict = signed(recording, store, trust, found, tape)
        return Done(place, len(tape.captured_ns), bytes=len(there), fresh=False, signed=verdict)
    view = view_bytes(given.device)
    with closing(FileCamera(recording.clip)) as camera:
        recording.check(camera.identity.sha256)
        masked = given.session.operation.masked
        tape = extract(
            camera,
            Fingerprint.from_bytes(view) if view else None,
            _faces(masked),
            masked=masked,
            scene=_scene(),
            bodies=_bodies(),
        )
    verdict = signed(recording, store, trust, found, tape)
    data = tape.to_bytes()
    store.keep(place, data)
    return Done(place, len(tape.captured_ns), bytes=len(data), note=tape.recording, signed=verdict)


def _judge(task: Judge, store: Store) -> Done:
    recording, given = task.recording, _Inputs.of(task.recording)
    verdict = task.trust.judge(known(recording, store))
    place = given.decisions(task)
    there = store.read(place)
    if there is not None:
        kept = decisions_in(there, place)
        passed = sum(not one.reasons for one in kept)
        return Done(place, len(kept), passed, fresh=False, signed=verdict)
    tape = _tape(recording, store, store.tape(given.tape_key))
    decisions = judge(
        tape,
        given.device,
        given.session,
        _policy(task.pack),
        given.board(store),
        camera=CameraIdentity("virtual", sha256=recording.sha256).digest,
        release=task.release,
    )
    text = decisions.lines()
    store.keep(place, text.encode())
    frames = len(decisions.rows)
    return Done(place, frames, decisions.passed, len(text), note=tape.recording, signed=verdict)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a recording is judged by, read once."""

    recording: Recording
    device: Device
    session: Session
    digests: tuple[str, ...]  # of the device record, the session and each file of telemetry
    tape_key: str

    @classmethod
    def of(cls, recording: Recording) -> _Inputs:
        """Raises GuardError: a record cannot be read."""
        device_at, session_at = recording.device, recording.session
        files = (device_at, session_at, *recording.telemetry)
        data = [read_input(path) for path in files]
        device, session = _device(data[0], device_at), _session(data[1], session_at)
        digests = tuple(hashlib.sha256(one).hexdigest() for one in data)
        return cls(recording, device, session, digests, tape_key(recording, device, session))

    def decisions(self, task: Judge) -> str:
        """Where the decisions of a task are."""
        policy = _policy(task.pack).digest
        key = decisions_key(self.tape_key, policy, self.digests, self.device, task.release)
        return Store(task.store).decisions(key)

    def board(self, store: Store) -> BoardTape:
        """What the board's samples say: from the store, or from the telemetry, and kept.

        Raises:
            RecordError: the telemetry is none.
        """
        place = store.board(board_key(self.digests[2:], self.device))
        data = store.read(place)
        if data is not None:
            return BoardTape.from_bytes(data, place)
        samples = telemetry.load(self.recording.telemetry)
        board = judged(samples, self.device.dock_id)
        store.keep(place, board.to_bytes())
        return board


class _Remembered:
    """A policy that is asked the same once: many recordings have the same facts."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self.digest = policy, policy.digest
        self._answers: dict[tuple[tuple[str, object], ...], Decision] = {}

    def decide(self, facts: Mapping[str, object]) -> Decision:
        key = tuple(sorted(facts.items()))
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = self._policy.decide(facts)
        return found


_device, _session = lru_cache(64)(parse_device), lru_cache(64)(parse_session)
_scene = cache(SceneModel.load)


@cache
def _policy(pack: str) -> _Remembered:
    return _Remembered(policy_in(pack, None))


@cache
def _faces(masked: bool) -> FaceBoxes:
    return face_finder(asset("centerface.onnx"), masking=masked)


@cache
def _bodies() -> Bodies:
    return Bodies(both=False)
