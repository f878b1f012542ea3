"""Replay and the running decider decide alike: one recording through both, frame by frame."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edge import ipc
from edge.audit.files import Files
from edge.cameras.opencv import FileCamera
from edge.clock import MS, VirtualClock
from edge.commissioning.records import load_device, load_session
from edge.decision.engine import Examined
from edge.decision.intake import Intake
from edge.decision.monitor import Readings, Seen, parse
from edge.evidence import board_link
from edge.evidence.context import STANDING_NS
from edge.evidence.faces import FaceBoxes
from edge.evidence.readings import BoardSample, Source
from edge.evidence.scene import SceneModel
from edge.evidence.vision import Run
from edge.heartbeat import Role
from edge.policy.engine import Policy
from edge.reasons import Reason
from edge.replay.engine import Replay
from edge.report.record import Outcome
from edge.view.fingerprint import Fingerprint
from tests.support import render
from tests.support.decider_rig import DeciderRig
from tests.support.guards import Site, site

SECONDS = 4


def _board(undocked_at_ns: int | None) -> list[BoardSample]:
    """The board's word each 20 ms; from `undocked_at_ns` on it stands beside its dock."""
    times = range(0, SECONDS * 1000 * MS + 200 * MS, 20 * MS)
    samples = []
    for number, at_ns in enumerate(times):
        docked = undocked_at_ns is None or at_ns < undocked_at_ns
        samples.append(
            BoardSample(
                at_ns,
                dock=docked,
                dock_id="D-0017" if docked else None,
                tampered=False,
                gyro_rad_s=(0.0, 0.0, 0.001 + 0.0001 * (number % 3)),
                accel_m_s2=(0.0, 0.01 * (number % 5), 9.81),
            )
        )
    return samples


@pytest.fixture(scope="module")
def kiosk(tmp_path_factory: pytest.TempPathFactory, face_model: Path) -> Site:
    folder = tmp_path_factory.mktemp("kiosk")
    room = render.room()
    frames = list(render.lived_in(room, SECONDS * 30))
    clip = render.write_clip(folder / "room.avi", frames)
    return site(folder / "site", clip, clip, face_model)


def _replay(kiosk: Site, face_model: Path) -> tuple[Replay, FileCamera]:
    camera = FileCamera(kiosk.clip)
    view = Fingerprint.from_bytes((kiosk.folder / "site.view").read_bytes())
    guard = Replay(
        load_device(kiosk.device),
        load_session(kiosk.session),
        Policy.load("strict"),
        view,
        FaceBoxes(face_model),
        camera=camera.identity.digest,
        scene=SceneModel.load(),
    )
    return guard, camera


@contextmanager
def _decider(
    kiosk: Site, face_model: Path, guard: Replay, camera: FileCamera, audit: Path
) -> Iterator[None]:
    """Put the running decider where the replay has its engine."""
    clock = guard._clock
    assert isinstance(clock, VirtualClock)
    size = next(iter(FileCamera(kiosk.clip).shots())).frame.shape[:2]
    rig = DeciderRig(kiosk, face_model, camera.identity.digest, size, clock, audit)
    guard._engine = rig  # the same surface, behind real channels
    try:
        yield
    finally:
        rig.close()


@pytest.mark.slow
@pytest.mark.parametrize("undocked_s", [None, 2.5], ids=["docked throughout", "undocked"])
def test_replay_and_the_running_decider_decide_each_frame_alike(
    kiosk: Site, face_model: Path, undocked_s: float | None, tmp_path: Path
) -> None:
    samples = _board(None if undocked_s is None else round(undocked_s * 1000) * MS)
    alone, camera = _replay(kiosk, face_model)
    replayed = alone.run(camera.shots(), samples).decisions
    through, camera = _replay(kiosk, face_model)

    with _decider(kiosk, face_model, through, camera, tmp_path / "audit"):
        decided = through.run(camera.shots(), samples).decisions

    assert [d.verdict for d in decided] == [d.verdict for d in replayed]
    assert [d.reasons for d in decided] == [d.reasons for d in replayed]
    assert [d.context for d in decided] == [d.context for d in replayed]
    passed = sum(d.verdict is Outcome.PASS for d in replayed)
    assert passed > 40 if undocked_s is None else 20 < passed < 60  # frames flowed, and ceased


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(1_000 * MS)


@pytest.fixture
def rig(kiosk: Site, face_model: Path, tmp_path: Path, clock: VirtualClock) -> Iterator[DeciderRig]:
    """A running decider behind real channels."""
    camera = FileCamera(kiosk.clip).identity.digest
    made = DeciderRig(kiosk, face_model, camera, (480, 640), clock, tmp_path / "audit")
    yield made
    made.close()


@pytest.mark.slow
def test_capture_is_told_to_rest_while_another_dock_blocks_and_to_go_on_at_once_after_it(
    rig: DeciderRig, clock: VirtualClock
) -> None:
    sample = _board(None)[0]

    def turn(*, docked: bool) -> bool:
        clock.advance(ms=200)
        rig.board(replace(sample, captured_ns=clock.now_ns(), dock=docked))
        return rig._beats.resting(clock.now_ns())

    before = [turn(docked=True) for _ in range(STANDING_NS // (200 * MS) + 5)]
    away = [turn(docked=False) for _ in range(STANDING_NS // (200 * MS) + 5)]
    back = turn(docked=True)

    assert not any(before)
    assert away[-1] and not away[0]
    assert not back


@pytest.mark.slow
@pytest.mark.parametrize("looks", [2, 1], ids=["in two looks", "in one look"])
def test_a_frame_that_takes_long_is_read_in_turns_and_one_long_look_is_a_gap(
    rig: DeciderRig, clock: VirtualClock, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Board and heartbeat do not wait for the end of a frame; a look of a lease's life is late."""
    heard: list[tuple[int, bool]] = []

    def examine(picture: object, at_ns: int, *, final: bool, run: Run) -> Examined:
        for _ in range(looks):
            clock.advance(ms=300 // looks)
            docked = _board(None if heard else 0)[0]
            sample = replace(docked, captured_ns=clock.now_ns())
            ipc.send(rig._bridge, board_link.encode(sample))
            run(lambda: None)
            messages = [parse(data) for data in ipc.drain(rig._parent)]
            shown = [r for m in messages if isinstance(m, Readings) for r in m.readings]
            docks = [r for r in shown if r.source is Source.DOCK]
            heard.append((rig._beats.age_ns(Role.DECIDER, clock.now_ns()), bool(docks)))
            gaps.extend(m for m in messages if isinstance(m, Seen) and _paused(m))
        return Examined(())

    gaps: list[Seen] = []
    monkeypatch.setattr(rig._decider._engine, "examine", examine)
    rig.examine(render.room(), clock.now_ns())

    assert heard == [(0, True)] * looks
    assert bool(gaps) is (looks == 1)


@pytest.mark.slow
@pytest.mark.parametrize("took_ms", [300, 200], ids=["too long", "in time"])
def test_a_look_that_takes_too_long_ends_the_permit_while_it_lasts(
    rig: DeciderRig, clock: VirtualClock, took_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a model that hangs does not hold the permit of earlier readings."""
    turned = threading.Event()
    turn = rig._decider._between
    named: list[bool] = []

    def turn_and_say() -> None:
        turn()
        turned.set()

    def look() -> None:
        turned.clear()
        clock.advance(ms=took_ms)
        assert turned.wait(30)
        messages = [parse(data) for data in ipc.drain(rig._parent)]
        seen = [m.outlook.reasons for m in messages if isinstance(m, Seen)]
        named.append(any(Reason.MODEL_TIMEOUT in reasons for reasons in seen))

    def examine(picture: object, at_ns: int, *, final: bool, run: Run) -> Examined:
        run(look)
        return Examined(())

    monkeypatch.setattr(rig._decider, "_between", turn_and_say)
    monkeypatch.setattr(rig._decider._engine, "examine", examine)
    rig.examine(render.room(), clock.now_ns())

    assert named == [took_ms > 250]


@pytest.mark.slow
def test_a_turn_without_memory_revokes_before_it_waits_for_the_look(
    rig: DeciderRig, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    decider = rig._decider
    revoked = threading.Event()
    monkeypatch.setattr(decider._effects, "act", revoked.set)
    at_all: list[bool] = []

    def no_memory(intake: Intake) -> None:
        raise MemoryError

    def look() -> None:
        revoked.clear()
        monkeypatch.setattr(Intake, "bridge", no_memory)
        at_all.append(revoked.wait(30))

    with pytest.raises(MemoryError):
        decider._look(look)

    assert at_all == [True]
    assert decider._engine.judge.silent == (Reason.RESOURCE,)


@pytest.mark.slow
def test_a_pause_before_a_frame_counts_before_the_frame_is_looked_at(
    rig: DeciderRig, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns in the middle of the frame begin after the pause and would not see it."""
    paused: list[bool] = []

    def examine(picture: object, at_ns: int, *, final: bool, run: Run) -> Examined:
        messages = [parse(data) for data in ipc.drain(rig._parent)]
        paused.append(any(_paused(m) for m in messages if isinstance(m, Seen)))
        return Examined(())

    monkeypatch.setattr(rig._decider._engine, "examine", examine)
    for pause_ms in (300, 100):
        clock.advance(ms=pause_ms)
        rig.examine(render.room(), clock.now_ns())

    assert paused == [True, False]


def _paused(message: Seen) -> bool:
    return Reason.TIME_GAP in message.outlook.reasons


@pytest.mark.slow
def test_a_silent_process_is_named(
    rig: DeciderRig, clock: VirtualClock, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    rig.mute = Role.CAPTURE

    clock.advance(ms=150)
    rig.step(clock.now_ns())
    assert "PROCESS_SILENT" not in capfd.readouterr().err
    clock.advance(ms=100)
    rig.step(clock.now_ns())

    output = capfd.readouterr().err
    assert output.count("PROCESS_SILENT: no heartbeat of the capture process for 250 ms") == 1
    assert Reason.PROCESS_SILENT in rig.outlook.reasons


def test_what_keeps_the_log_from_being_written_is_named_once_with_its_place(
    rig: DeciderRig,
    clock: VirtualClock,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    audit = tmp_path / "audit"

    def step(times: int) -> str:
        for _ in range(times):
            clock.advance(ms=100)
            rig.step(clock.now_ns())
        return capfd.readouterr().err

    assert "AUDIT_UNAVAILABLE" not in step(20)

    def full(disk: Files, fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for _ in range(2):  # a disk that is full once more is said once more
        with monkeypatch.context() as patched:
            patched.setattr(Files, "write", full)
            rig.mute = Role.CAPTURE  # a cause that is to be written
            printed = step(30)
            assert Reason.AUDIT_UNAVAILABLE in rig.outlook.reasons

        line = f"AUDIT_UNAVAILABLE: cannot use the audit log in {audit}: No space left on device\n"
        assert printed.count("AUDIT_UNAVAILABLE") == printed.count(line) == 1

        rig.mute = None
        assert "AUDIT_UNAVAILABLE" not in step(30)
        assert Reason.AUDIT_UNAVAILABLE not in rig.outlook.reasons
