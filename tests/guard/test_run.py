"""The whole guard, run for real: what a matcher gets, and what is left when it may not."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.audit.proofs.verify import verify_log
from edge.cameras.layout import Layout
from edge.cameras.opencv import FileCamera
from edge.cameras.source import parse_source
from edge.clock import S
from edge.commissioning.keys import KeyStore, Office, RecordKind, read_verifier
from edge.errors import CameraError, GuardError, MatcherError, PolicyError, SignatureError
from edge.guard import plan as daemon_plan
from edge.guard.launch import Launch
from edge.guard.plan import Plan
from edge.guard.supervisor import Guard
from edge.models import SCENE
from edge.reasons import Reason
from edge.report.record import FrameDecision, Outcome
from edge.view.fingerprint import Fingerprint
from edge.view.view_file import SceneCheck
from framegate_client.connection import Connection
from tests.policy.test_lanes import onnx_model
from tests.support import render
from tests.support.audit_helpers import read_all
from tests.support.guards import DEVICE, SESSION, Line, Site, site

pytestmark = pytest.mark.guard

SCRIPT = """\
import hashlib
import sys

{imports}

cap = {capture}
with open(sys.argv[1], "w") as out:
    while cap.isOpened():
        ok, frame = cap.read()
        if not ok:
            break
        out.write(hashlib.sha256(frame.tobytes()).hexdigest() + "\\n")
cap.release()
"""


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a room, and the same cut to a street after two."""
    folder = tmp_path_factory.mktemp("footage")
    room = render.room()
    render.write_clip(folder / "room.avi", render.lived_in(room, 90))
    frames = [*render.lived_in(room, 60), *render.drive(20)]
    render.write_clip(folder / "cut.avi", frames)
    return folder


@pytest.fixture
def kiosk(footage: Path, tmp_path: Path, face_model: Path) -> Site:
    return site(tmp_path / "site", footage / "room.avi", footage / "room.avi", face_model)


@pytest.fixture
def cut_away(footage: Path, tmp_path: Path, face_model: Path) -> Site:
    return site(tmp_path / "site", footage / "cut.avi", footage / "room.avi", face_model)


def plan(kiosk: Site, *matcher: str, release: str = "bracketed") -> Plan:
    return Plan(
        source=str(kiosk.clip),
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        matcher=matcher,
        release=release,
        audit=kiosk.folder / "audit",
    )


def quiet(line: str) -> None:
    """What an operator would read is not what these tests are about."""


def released(decisions: list[FrameDecision]) -> list[FrameDecision]:
    return [d for d in decisions if d.verdict is Outcome.PASS]


def test_an_opencv_script_changed_in_one_line_sees_exactly_the_released_frames(
    kiosk: Site, tmp_path: Path
) -> None:
    plain, ours = tmp_path / "plain.py", tmp_path / "ours.py"
    plain.write_text(
        SCRIPT.format(imports="import cv2", capture=f'cv2.VideoCapture("{kiosk.clip}")')
    )
    ours.write_text(SCRIPT.format(imports="import edge", capture="edge.VideoCapture(0)"))
    subprocess.run([sys.executable, plain, tmp_path / "all"], check=True, timeout=60)

    with Guard(plan(kiosk, sys.executable, str(ours), str(tmp_path / "seen")), quiet) as guard:
        guard.run()
    decisions, _, _ = guard.recorder.finish()

    every = (tmp_path / "all").read_text().split()
    seen = (tmp_path / "seen").read_text().split()
    assert seen == [every[d.frame] for d in released(decisions)]
    assert len(seen) > 30


@pytest.mark.parametrize("release", ["bracketed", "immediate"])
def test_frames_flow_until_the_cut_and_none_after_it(cut_away: Site, release: str) -> None:
    times = []
    with (
        Guard(plan(cut_away, release=release), quiet) as guard,
        closing(Connection(*guard.environment.values())) as matcher,
    ):
        while not guard.over:
            guard.turn()
            while (frame := matcher.read(timeout_s=0)) is not None:
                times.append(frame.captured_ns)
        decisions = sorted(guard.recorder.decisions, key=lambda d: d.frame)

    foreign = next(d.captured_ns for d in decisions if Reason.VIEW_FOREIGN in d.reasons)
    assert times
    assert max(times) < foreign
    assert len(times) == len(released(decisions))


def test_a_matcher_gets_of_each_released_frame_what_the_record_names(kiosk: Site) -> None:
    kiosk.sign(DEVICE + "[matcher.picture]\ncrop = [0.25, 0, 0.75, 1]\ngrey = true\nshrink = 2\n")
    seen = []
    with (
        Guard(plan(kiosk), quiet) as guard,
        closing(Connection(*guard.environment.values())) as matcher,
    ):
        while not guard.over:
            guard.turn()
            while (frame := matcher.read(timeout_s=0)) is not None:
                seen.append(hashlib.sha256(frame.tobytes()).hexdigest())
        decisions = released(guard.recorder.finish()[0])

    every = []
    for shot in FileCamera(kiosk.clip).shots():
        half = cv2.resize(shot.frame[:, 160:480], (160, 240), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(half, cv2.COLOR_BGR2GRAY)
        every.append(hashlib.sha256(grey.tobytes()).hexdigest())
    assert (matcher.height, matcher.width, matcher.channels) == (240, 160, 1)
    assert seen == [every[d.frame] for d in decisions]
    assert len(seen) > 30


def test_a_form_that_leaves_nothing_of_the_picture_stops_the_start(kiosk: Site) -> None:
    kiosk.sign(DEVICE + "[matcher.picture]\ncrop = [0.5, 0.5, 0.51, 0.51]\n")

    with pytest.raises(GuardError, match=r"leaves 8x6 pixels of the camera's 640x480"):
        Guard(plan(kiosk), quiet).__enter__()


@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")
@pytest.mark.parametrize("layout", ["NV12", pytest.param("I420", marks=pytest.mark.long)])
def test_frames_flow_as_a_camera_of_halved_colour_gives_them(
    kiosk: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    """The pipeline plays a clip, which no record can allow: that one refusal is taken out."""
    clip = tmp_path / "clip.raw"
    with clip.open("wb") as file:
        for view in render.lived_in(render.room(), 240):
            file.write(render.planar(view, Layout(layout)).tobytes())
    kiosk.sign(
        DEVICE + "[board]\nvirtual = true\n[clock]\nunproven = true\n[capture]\nmax_lag_ms = 400\n"
    )
    monkeypatch.setattr(daemon_plan, "parse_source", lambda _: parse_source("a.avi"))
    sizes = f"format={layout.lower()} width=640 height=480 framerate=30/1"
    played = f"filesrc location={clip} ! rawvideoparse {sizes} ! identity sync=true"
    pipeline = f"gst:{played} ! video/x-raw,format={layout}"
    chosen = replace(plan(kiosk), source=pipeline)
    blocked = frames_through(chosen, lambda seen, decided: len(decided) > 30)
    assert not released(blocked)
    assert Reason.CAM_IDENTITY in blocked[-1].reasons
    monkeypatch.setattr(Launch, "_known", lambda *_: True)

    decisions = frames_through(replace(chosen, audit=tmp_path / "audit"), lambda seen, _: seen > 30)

    odd = {Reason.FRAME_MALFORMED, Reason.MODEL_OUTPUT, Reason.VIEW_FOREIGN, Reason.VIEW_PARTIAL}
    assert not odd.intersection(reason for d in decisions for reason in d.reasons)


def frames_through(
    chosen: Plan, enough: Callable[[int, list[FrameDecision]], bool]
) -> list[FrameDecision]:
    """Run until it is enough, by how many frames a matcher got and what was decided."""
    seen = 0
    with Guard(chosen, quiet) as guard, closing(Connection(*guard.environment.values())) as matcher:
        deadline = time.monotonic() + 30
        while not enough(seen, guard.recorder.decisions):
            assert time.monotonic() < deadline, (seen, guard.recorder.decisions[-1:])
            guard.turn()
            while (frame := matcher.read(timeout_s=0)) is not None:
                assert frame.shape == (480, 640, 3) and frame.any()
                seen += 1
        return sorted(guard.recorder.decisions, key=lambda d: d.frame)


def test_a_matcher_that_keeps_its_mapping_reads_zeros_after_a_revoke(cut_away: Site) -> None:
    held: list[bool] = []
    foreign_seen = 0
    with (
        Guard(plan(cut_away), quiet) as guard,
        closing(Connection(*guard.environment.values())) as matcher,
    ):
        while foreign_seen < 2:
            guard.turn()
            if matcher.read(timeout_s=0) is not None:
                held.append(bool(matcher.ring.pixels.any()))
            foreign_seen = sum(Reason.VIEW_FOREIGN in d.reasons for d in guard.recorder.decisions)
            assert not guard.over
        left = bool(matcher.ring.pixels.any())

    assert any(held)
    assert not left


def test_the_parent_wipes_the_ring_when_the_gate_is_killed(kiosk: Site) -> None:
    with (
        Guard(plan(kiosk), quiet) as guard,
        closing(Connection(*guard.environment.values())) as matcher,
    ):
        while matcher.read(timeout_s=0) is None:
            guard.turn()
        held = bool(matcher.ring.pixels.any())
        os.kill(guard.children["gate"].pid, signal.SIGKILL)
        while guard.failure is None:
            guard.turn()
        left = bool(matcher.ring.pixels.any())

    assert held
    assert not left
    assert "gate" in guard.failure


def test_the_matcher_cannot_write_resize_or_map_the_ring_writable(kiosk: Site) -> None:
    import mmap

    with Guard(plan(kiosk), quiet) as guard:
        assert guard.ring is not None
        guard.turn()
        for flags in (os.O_RDONLY, os.O_RDWR):
            fd = os.open(f"/proc/self/fd/{guard.ring.fd}", flags)
            with pytest.raises(PermissionError):
                mmap.mmap(fd, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
            with pytest.raises(OSError):
                os.pwrite(fd, b"x", 0)
            with pytest.raises(OSError):
                os.ftruncate(fd, 0)
            os.close(fd)


@pytest.mark.parametrize(
    ("token", "lane", "code"),
    [
        ("wrong", "verify_1_1", Reason.PEER_UNKNOWN),
        (None, "detect", Reason.LANE_MISMATCH),
    ],
)
def test_a_stranger_or_another_lane_is_refused_and_the_right_one_is_not(
    kiosk: Site, token: str | None, lane: str, code: Reason
) -> None:
    with Guard(plan(kiosk), quiet) as guard:
        path, right, _ = guard.environment.values()
        attempt = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"from framegate_client.connection import Connection\n"
                f"try: Connection({path!r}, {token or right!r}, {lane!r})\n"
                f"except Exception as err: print(err)",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        while attempt.poll() is None:
            guard.turn()
        lines = attempt.communicate()[0]
        Connection(path, right, "verify_1_1").close()

    assert code.value in lines


def test_a_token_that_was_used_admits_nobody_else(kiosk: Site) -> None:
    """Another program of this user read it; the next matcher is given one of its own."""
    with Guard(plan(kiosk), quiet) as guard:
        path, spent, lane = guard.environment.values()
        first = Connection(path, spent, lane)
        while guard.environment["FRAMEGATE_TOKEN"] == spent and guard.failure is None:
            guard.turn()
        first.close()
        guard.turn()
        with pytest.raises(MatcherError, match="PEER_UNKNOWN"):
            Connection(path, spent, lane)

        got = 0
        second = Connection(*guard.environment.values())
        while not guard.over and guard.failure is None:
            guard.turn()
            got += second.read(timeout_s=0) is not None
        second.close()

    assert got > 30


def test_a_matcher_that_never_reads_costs_nothing_and_blocks_nobody(kiosk: Site) -> None:
    idle = [
        sys.executable,
        "-c",
        "from framegate_client.connection import connect as o\nc = o()\n",
    ]
    idle[2] += "import time; time.sleep(60)"
    with Guard(plan(kiosk, *idle), quiet) as guard:
        while not guard.over:
            guard.turn()
        decisions = guard.recorder.decisions

    assert len(released(decisions)) > 30


def test_a_dead_matcher_is_started_again_and_frames_flow_to_it(kiosk: Site) -> None:
    lines: list[str] = []
    script = "from framegate_client.connection import connect as o\nc = o()\nc.read()\nexit(3)"
    with Guard(plan(kiosk, sys.executable, "-c", script), lines.append) as guard:
        first = guard.matcher.child
        while guard.matcher.child in (None, first):
            guard.turn()
            assert not guard.over

    assert any("MATCHER_LOST" in line for line in lines)
    assert guard.failure is None


def test_a_file_that_the_record_does_not_name_is_blocked(
    kiosk: Site, footage: Path, tmp_path: Path
) -> None:
    other = render.write_clip(tmp_path / "other.avi", render.lived_in(render.room(), 60, seed=2))
    lines: list[str] = []
    with Guard(
        Plan(
            source=str(other),
            device=kiosk.device,
            session=kiosk.session,
            keys=kiosk.store.directory,
            audit=tmp_path / "audit",
        ),
        lines.append,
    ) as guard:
        guard.run()
        decisions = guard.recorder.decisions

    assert any("GD-05" in line for line in lines)
    assert not released(decisions)
    assert all(Reason.CAM_IDENTITY in d.reasons for d in decisions[10:])


def test_another_camera_in_its_place_between_two_starts_gets_nothing_and_the_right_one_does(
    kiosk: Site, footage: Path, tmp_path: Path
) -> None:
    """The source keeps its name; what stands behind it is exchanged, and put back."""
    place = tmp_path / "camera.avi"
    other = render.write_clip(tmp_path / "other.avi", render.lived_in(render.room(), 60, seed=2))

    for camera, flows in ((kiosk.clip, True), (other, False), (kiosk.clip, True)):
        shutil.copyfile(camera, place)
        decisions = finished(replace(plan(kiosk), source=str(place), audit=tmp_path / "audit"))
        assert bool(released(decisions)) is flows
        assert any(Reason.CAM_IDENTITY in d.reasons for d in decisions) is not flows


def test_unsigned_or_altered_records_do_not_run(kiosk: Site) -> None:
    kiosk.session.write_text(SESSION.replace("valid", "none"))

    with pytest.raises(SignatureError, match=r"S\.toml"):
        Guard(plan(kiosk), quiet)


def test_a_missing_camera_ends_the_start_with_its_own_words(kiosk: Site, tmp_path: Path) -> None:
    with (
        pytest.raises(CameraError, match="no-such"),
        Guard(replace(plan(kiosk), source=str(tmp_path / "no-such.mp4")), quiet),
    ):
        pass


def test_a_port_that_is_no_board_leaves_the_guard_blocked(kiosk: Site) -> None:
    master, slave = os.openpty()
    try:
        with Guard(replace(plan(kiosk), board=os.ttyname(slave)), quiet) as guard:
            guard.run()
            decisions = guard.recorder.decisions
    except GuardError:
        decisions = []
    finally:
        os.close(master)
        os.close(slave)

    assert decisions
    assert not released(decisions)
    assert any(Reason.LINK_LOST in d.reasons for d in decisions)


def test_a_lane_without_faces_flows_without_view_or_board(kiosk: Site) -> None:
    kiosk.sign(session=SESSION.replace("verify_1_1", "detect"))
    times = []
    with (
        Guard(plan(kiosk), quiet) as guard,
        closing(Connection(*guard.environment.values())) as matcher,
    ):
        while not guard.over:
            guard.turn()
            while (frame := matcher.read(timeout_s=0)) is not None:
                times.append(frame.captured_ns)

    assert "bridge" not in guard.children
    assert len(times) > 30
    assert times == sorted(times)


def test_a_connection_to_nobody_says_so(tmp_path: Path) -> None:
    with pytest.raises(MatcherError, match="expected a guard there"):
        Connection(str(tmp_path / "none.sock"), "token", "verify_1_1")


def test_the_results_of_a_run_are_complete(kiosk: Site, tmp_path: Path) -> None:
    from edge.guard.results import finish_run

    with Guard(plan(kiosk), quiet) as guard:
        matcher = Connection(*guard.environment.values())
        began = time.monotonic()
        while not guard.over and time.monotonic() - began < 30:
            guard.turn()
        matcher.close()
    summary = finish_run(guard, tmp_path / "out")

    assert summary.audit_verified
    assert summary.frames >= 80
    assert summary.first_pass_s is not None
    assert summary.first_pass_s * S >= 1 * S
    for name in ("decisions.jsonl", "summary.json", "report.html"):
        assert (tmp_path / "out" / name).stat().st_size > 0


@pytest.mark.parametrize(
    "turns", [pytest.param(0, marks=pytest.mark.long), pytest.param(7, marks=pytest.mark.long), 20]
)
def test_a_run_that_is_stopped_counts_as_many_frames_as_its_log(
    kiosk: Site, tmp_path: Path, turns: int
) -> None:
    from edge.guard.results import finish_run

    with Guard(plan(kiosk), quiet) as guard:
        matcher = Connection(*guard.environment.values())
        while len(released(guard.recorder.decisions)) < 5 and not guard.over:
            guard.turn()
        for _ in range(turns):
            guard.turn()
    matcher.close()
    summary = finish_run(guard, tmp_path / "out")
    last = read_all(kiosk.folder / "audit", guard.store.log_verifier())[-1]

    assert not guard.over
    assert last["kind"] == "stop"
    assert last["released"] == summary.passed >= 5
    assert last["frames"] == summary.frames


def test_the_digest_of_a_frame_is_that_of_the_file(footage: Path) -> None:
    shots = FileCamera(footage / "room.avi").shots()

    digests = {hashlib.sha256(shot.frame.tobytes()).hexdigest() for shot in shots}

    assert len(digests) == 90


def test_a_log_shorter_than_the_board_remembers_is_refused(kiosk: Site, tmp_path: Path) -> None:
    line = Line(kiosk.store.board_key())
    outcomes = []
    try:
        for audit in ("first", "restored from an old card", "first"):
            chosen = replace(plan(kiosk), board=line.port, audit=tmp_path / audit)
            with Guard(chosen, quiet) as guard:
                matcher = Connection(*guard.environment.values())
                guard.run()
                matcher.close()
                outcomes.append(guard.recorder.decisions)
    finally:
        line.close()

    before, shorter, after = outcomes
    assert released(before)
    assert not released(shorter)
    assert any(Reason.LOG_ROLLBACK in d.reasons for d in shorter)
    assert not any(Reason.STATE_ROLLBACK in d.reasons for d in shorter)
    assert released(after)


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., Path]:
    """Installs a bundle built with these arguments as an operator would; returns the folder."""

    def policy(*arguments: str) -> None:
        command = [sys.executable, "-m", "edge.cli", "policy", *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def install(*arguments: str, version: int = 7) -> Path:
        keys, bundle = tmp_path / "policy-keys", tmp_path / f"p{version}.json"
        store = tmp_path / f"policy-{version}"
        if not keys.is_dir():
            policy("keygen", "ann", "bob", "cyd", "--out", str(keys))
        if store.is_dir():
            return store
        public = [str(keys / f"{name}.pub") for name in ("ann", "bob", "cyd")]
        policy(
            *("build", "--pack", "strict", "--version", str(version), "--days", "9", *arguments),
            *("--key", *public, "--threshold", "2", "--out", str(bundle)),
        )
        for name in ("ann", "cyd"):
            policy("sign", str(bundle), "--with", str(keys / f"{name}.key"))
        policy("install", str(bundle), "--state", str(store), "--key", *public, "--threshold", "2")
        return store

    return install


def finished(chosen: Plan) -> list[FrameDecision]:
    """Run a guard to the end of its footage, with a matcher connected."""
    with Guard(chosen, quiet) as guard:
        matcher = Connection(*guard.environment.values())
        guard.run()
        matcher.close()
    return guard.recorder.decisions


def test_a_guard_runs_under_an_installed_bundle_and_not_without_one(
    kiosk: Site, install: Callable[..., Path], face_model: Path
) -> None:
    models = ("--model", str(face_model), str(SCENE))
    store = install(*models, "--limit", "min_view_score=0.81")

    assert released(finished(replace(plan(kiosk), policy=store)))
    (store / "bundle.json").unlink()
    with pytest.raises(PolicyError, match="no policy is installed"):
        Guard(replace(plan(kiosk), policy=store), quiet)


@pytest.mark.timeout(300)  # several whole runs
def test_the_log_remembers_the_newest_policy_and_an_older_one_starts_nothing(
    kiosk: Site, install: Callable[..., Path], tmp_path: Path
) -> None:
    """As after a restored disk: the same log, and a policy folder from before, or none at all."""

    def start(version: int | None) -> list[FrameDecision]:
        store = tmp_path / "none" if version is None else install(version=version)
        return finished(replace(plan(kiosk), policy=store, audit=tmp_path / "audit"))

    assert released(start(7))
    with pytest.raises(GuardError, match="POLICY_ROLLBACK: it is version 6, version 7 was seen"):
        start(6)
    with pytest.raises(GuardError, match="POLICY_ROLLBACK: version 7 was in force"):
        start(None)
    assert released(start(8))

    floors: list[int] = []

    def keep(index: int, _: bytes, fields: dict[str, Any]) -> None:
        if fields["kind"] == "floor":
            floors.append(fields["policy_version"])

    verify_log(tmp_path / "audit", read_verifier(tmp_path / "audit" / "log.pub"), on_entry=keep)
    assert floors == [7, 8]


@pytest.mark.timeout(300)  # several whole runs
@pytest.mark.parametrize(
    "version", [6, pytest.param(None, marks=pytest.mark.long)], ids=["older", "shipped"]
)
def test_a_policy_older_than_the_board_remembers_blocks_every_frame(
    kiosk: Site, install: Callable[..., Path], tmp_path: Path, version: int | None
) -> None:
    line = Line(kiosk.store.board_key())
    try:
        for number, again, flows in ((7, "a", True), (version, "b", False)):
            store = tmp_path / "none" if number is None else install(version=number)
            chosen = replace(plan(kiosk), policy=store, board=line.port, audit=tmp_path / again)
            decisions = finished(chosen)
            assert bool(released(decisions)) is flows, number
            for reason in (Reason.POLICY_ROLLBACK, Reason.STATE_ROLLBACK):  # the log is too short
                refused = any(reason in d.reasons for d in decisions)
                assert refused is not flows, number
    finally:
        line.close()


def test_the_dwell_that_a_bundle_asks_for_is_kept(
    kiosk: Site, install: Callable[..., Path]
) -> None:
    """The record asks for 1 s; the clip lasts 3, so 2 leave something and 5 leave nothing."""
    decisions = finished(replace(plan(kiosk), policy=install("--limit", "dwell_s=2")))

    first = released(decisions)[0]
    assert first.captured_ns - decisions[0].captured_ns >= 2 * S


def test_a_model_that_the_bundle_does_not_name_starts_nothing(
    kiosk: Site, install: Callable[..., Path], face_model: Path
) -> None:
    store = install("--model", str(face_model))  # and not the scene model

    with pytest.raises(PolicyError, match=r"MODEL_DIGEST: .*scene\.onnx is not the model"):
        Guard(replace(plan(kiosk), policy=store), quiet)


def test_a_view_that_was_overridden_needs_its_second_signature_at_run_time(
    kiosk: Site, tmp_path: Path
) -> None:
    view = kiosk.folder / "site.view"
    overridden = replace(Fingerprint.from_bytes(view.read_bytes()), scene=SceneCheck.OVERRIDDEN)
    view.write_bytes(overridden.to_bytes())
    kiosk.store.sign_file(view, RecordKind.VIEW)
    second = KeyStore.init(tmp_path / "second")
    with pytest.raises(SignatureError, match=r"expected site\.view\.override\.sig beside it"):
        Guard(plan(kiosk), quiet)

    kiosk.store.sign_file(view, RecordKind.VIEW)
    beside = view.with_name("site.view.override.sig")
    beside.write_bytes(view.with_name("site.view.sig").read_bytes())  # one holder, twice
    kiosk.store.trust(Office.OVERRIDE, kiosk.store.directory / "record.pub")
    with pytest.raises(SignatureError, match="keys trust override"):
        Guard(plan(kiosk), quiet)

    scratch = tmp_path / "copy.view"
    scratch.write_bytes(view.read_bytes())
    beside.write_bytes(second.sign_file(scratch, RecordKind.VIEW).read_bytes())
    with pytest.raises(SignatureError, match="keys trust override"):
        Guard(plan(kiosk), quiet)

    kiosk.store.trust(Office.OVERRIDE, second.directory / "record.pub")
    assert released(finished(plan(kiosk)))


@pytest.mark.parametrize(
    ("outputs", "code"), [(10, None), (128, "MODEL_LANE"), (0, "MODEL_DIGEST")]
)
def test_the_matchers_models_are_checked_before_it_starts(
    kiosk: Site, tmp_path: Path, outputs: int, code: str | None
) -> None:
    """A landmark model may serve the lane detect; the same with a vector beside it may not."""
    landmarks = tmp_path / "site" / "landmarks.onnx"
    landmarks.write_bytes(onnx_model((1, outputs or 10)))
    named = hashlib.sha256(landmarks.read_bytes()).hexdigest()
    if not outputs:
        landmarks.write_bytes(onnx_model((1, 9)))
    kiosk.sign(session=SESSION.replace("verify_1_1", "detect"))
    record = kiosk.device.read_text() + f'[matcher.models]\n"landmarks.onnx" = "{named}"\n'
    kiosk.device.write_text(record)
    kiosk.store.sign_file(kiosk.device, RecordKind.DEVICE)
    counter = (sys.executable, "-m", "framegate_client.counter", str(tmp_path / "received.json"))

    if code is not None:
        with pytest.raises(GuardError, match=code):
            Guard(plan(kiosk, *counter), quiet)
        return
    with Guard(plan(kiosk, *counter), quiet) as guard:
        guard.run()
    assert released(guard.recorder.decisions)
