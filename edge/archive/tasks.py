"""The two tasks of an archive, each a plain function that any worker may run, and run again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edge.archive.extract import extract
from edge.archive.judge import judge
from edge.archive.manifest import Recording
from edge.archive.store import Store, decisions_key, tape_key, view_bytes
from edge.archive.tape import Tape
from edge.audit.schema import Release
from edge.cameras.identity import CameraIdentity
from edge.cameras.opencv import FileCamera
from edge.commissioning.records import load_device, load_session
from edge.errors import GuardError, RecordError
from edge.evidence import telemetry
from edge.evidence.faces import FaceBoxes, face_finder
from edge.evidence.scene import SceneModel
from edge.models.pull import asset
from edge.policy.engine import Policy
from edge.policy.signed.files import policy_in
from edge.report.record import FrameDecision, decision_line, read_decisions
from edge.view.bodies import Bodies
from edge.view.fingerprint import Fingerprint


@dataclass(frozen=True, slots=True)
class Extract:
    """Make the tape of one recording."""

    recording: Recording
    store: Path


@dataclass(frozen=True, slots=True)
class Judge:
    """Decide the tape of one recording under one policy pack."""

    recording: Recording
    store: Path
    pack: str
    release: Release = Release.BRACKETED


@dataclass(frozen=True, slots=True)
class Done:
    """The result of one task."""

    place: Path  # of the tape or the decisions
    frames: int = 0
    passed: int = 0
    bytes: int = 0
    fresh: bool = True  # made now; it was there before otherwise
    note: str = ""  # what is wrong with the recording


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a task could not be done."""

    why: str


def work(task: Extract | Judge) -> Done | Failed:
    """Do one task; what is wrong with its inputs is an answer, not an exception."""
    try:
        return _extract(task) if isinstance(task, Extract) else _judge(task)
    except GuardError as err:
        return Failed(str(err))


def decisions_of(task: Judge) -> list[FrameDecision]:
    """The decisions that a judged task left in the store.

    Raises:
        GuardError: they are not there, or are none.
    """
    return read_decisions(_places(task)[1])


def _extract(task: Extract) -> Done:
    recording, store = task.recording, Store(task.store)
    device, session = load_device(recording.device), load_session(recording.session)
    place = store.tape(tape_key(recording, device, session))
    there = store.read(place)
    if there is not None:
        tape = Tape.from_bytes(there, str(place))
        return Done(place, len(tape.captured_ns), bytes=len(there), fresh=False)
    view = view_bytes(device)
    camera = FileCamera(recording.clip)
    try:
        if camera.identity.sha256 != recording.sha256:
            raise RecordError(
                f"{recording.clip} is another recording than the manifest means: expected "
                f"SHA-256 {recording.sha256[:16]}..., got {camera.identity.sha256[:16]}..."
            )
        tape = extract(
            camera,
            Fingerprint.from_bytes(view) if view else None,
            _faces(session.operation.masked),
            masked=session.operation.masked,
            scene=_scene(),
            bodies=_bodies(),
        )
    finally:
        camera.close()
    data = tape.to_bytes()
    store.keep(place, data)
    return Done(place, len(tape.captured_ns), bytes=len(data), note=tape.recording)


def _judge(task: Judge) -> Done:
    recording, store = task.recording, Store(task.store)
    tape_at, place = _places(task)
    if store.read(place) is not None:
        decisions = read_decisions(place)
        passed = sum(not one.reasons for one in decisions)
        return Done(place, len(decisions), passed, fresh=False)
    data = store.read(tape_at)
    if data is None:
        raise RecordError(
            f"{recording.clip} has no tape in {task.store} for its record and session: run "
            "framegate archive extract first"
        )
    tape = Tape.from_bytes(data, str(tape_at))
    outcome = judge(
        tape,
        load_device(recording.device),
        load_session(recording.session),
        _policy(task.pack),
        telemetry.load(recording.telemetry),
        camera=CameraIdentity("virtual", sha256=recording.sha256).digest,
        release=task.release,
    )
    text = "".join(decision_line(d) + "\n" for d in outcome.decisions)
    store.keep(place, text.encode())
    passed = sum(not one.reasons for one in outcome.decisions)
    return Done(place, len(outcome.decisions), passed, len(text), note=tape.recording)


def _places(task: Judge) -> tuple[Path, Path]:
    """Where the tape is, and where the decisions are."""
    recording, store = task.recording, Store(task.store)
    device, session = load_device(recording.device), load_session(recording.session)
    tape = tape_key(recording, device, session)
    policy = _policy(task.pack).digest
    return store.tape(tape), store.decisions(
        decisions_key(tape, policy, recording, device, task.release)
    )


@cache
def _policy(pack: str) -> Policy:
    return policy_in(pack, None)


@cache
def _scene() -> SceneModel:
    return SceneModel.load()


@cache
def _faces(masked: bool) -> FaceBoxes:
    return face_finder(asset("centerface.onnx"), masking=masked)


@cache
def _bodies() -> Bodies:
    return Bodies(both=False)
