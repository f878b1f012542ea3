"""`framegate init`: one command from a camera to a configuration that a daemon starts with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cli import main
from edge.commands.live.init import _why_none
from edge.commissioning.keys import KeyStore, RecordKind
from edge.commissioning.records import load_device, load_session
from edge.daemon.check import problems
from edge.daemon.settings import load_settings
from edge.reasons import Reason
from edge.sandbox.order import Layer
from edge.sandbox.spec import missing
from tests.support import render
from tests.support.sandboxes import let_others_in

pytestmark = pytest.mark.slow

FACTS = {
    "--lane": "verify_1_1",
    "--operator": "private_business",
    "--jurisdiction": "EU",
    "--public": "no",
    "--consent": "valid",
    "--taking-part": "yes",
}


@pytest.fixture(scope="module")
def clip(lived_in: Callable[[int], Path]) -> Path:
    return lived_in(150)


@pytest.fixture
def matcher(tmp_path: Path) -> Path:
    path = tmp_path / "matcher.py"
    path.write_text("from framegate_client import connect\nfor frame in connect(): pass\n")
    return path


def command(folder: Path, clip: Path, *more: str, leave_out: str = "") -> list[str]:
    facts = [word for name, fact in FACTS.items() if name != leave_out for word in (name, fact)]
    lacking = [word for layer in missing() for word in ("--without", layer.value)]
    return ["init", str(folder), "--source", str(clip), "--trial", *facts, *lacking, *more]


def test_one_command_makes_all_that_a_daemon_needs(
    tmp_path: Path,
    clip: Path,
    matcher: Path,
    face_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "till-2"
    if os.getuid() == 0:
        let_others_in(tmp_path)

    code = main(command(folder, clip, "--matcher", f"{sys.executable} {matcher}", "--no-run"))
    output = capsys.readouterr()

    assert (code, output.err) == (0, "")
    assert problems(folder / "guard.toml") == []
    assert f"next: framegate daemon --config {folder / 'guard.toml'}" in output.out
    drawn = [line.split() for line in output.out.splitlines() if line.startswith("  #")]
    assert all(set(row) <= {"#", "."} and len(row) == 8 for row in drawn)
    device, session = load_device(folder / "device.toml"), load_session(folder / "session.toml")
    assert (device.site, device.jurisdiction, device.publicly_accessible) == ("till-2", "EU", False)
    assert (session.operation.value, session.gallery) == ("verify_1_1", "self_only")
    store = KeyStore.open(folder / "keys")
    store.read_verified(folder / "device.toml", RecordKind.DEVICE)
    store.read_verified(folder / "camera.view", RecordKind.VIEW)
    assert load_settings(folder / "guard.toml").plan.matcher == (sys.executable, str(matcher))
    assert not list(tmp_path.glob(".init-*"))


def test_nothing_is_overwritten(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "till-2"
    folder.mkdir()
    (folder / "keys").write_text("mine")

    assert main(command(folder, clip)) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["keys"]
    assert (folder / "keys").read_text() == "mine"


def test_everything_that_is_missing_is_named_at_once_where_nobody_can_be_asked(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", "init", str(tmp_path / "site")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert all(name in done.stderr for name in ("--source", *FACTS))
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--jurisdiction", "Atlantis"), "a place that the policy knows"),
        (("--dwell-s", "0.2"), "--dwell-s: expected 1 to 30"),
        (("--dock", ""), "--dock: expected 1 to 12"),
        (("--dock", "D-00170000017"), "--dock: expected 1 to 12"),
        (("--matcher", "python3 'one quote"), "--matcher: expected a command"),
        (("--matcher", "python3 nowhere.py"), "nowhere.py': expected a file, found none"),
        (("--source", "nowhere.mp4"), "nowhere.mp4"),
        (("--source", "rtsp://127.0.0.1:1/x", "--virtual-board"), "--trial is for recordings"),
    ],
)
def test_an_answer_that_is_none_leaves_nothing_behind(
    tmp_path: Path,
    clip: Path,
    face_model: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    named: str,
) -> None:
    assert main(command(tmp_path / "site", clip, *more)) == 2
    output = capsys.readouterr().err
    assert named in output
    assert len(output.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_layer_of_no_such_name_is_answered_with_those_that_are(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command(tmp_path / "site", clip, "--without", "walls"))

    (line,) = capsys.readouterr().err.splitlines()
    assert all(repr(layer.value) in line for layer in Layer)


def test_a_view_that_enrolment_refuses_says_why_and_leaves_nothing(
    tmp_path: Path, face_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = tmp_path / "flat.avi"
    render.write_clip(flat, [render.room() * 0 + 90 for _ in range(15)])

    assert main(command(tmp_path / "site", flat)) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["flat.avi"]


def test_in_a_terminal_what_is_missing_is_asked_until_the_answer_is_one(
    tmp_path: Path,
    clip: Path,
    face_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []
    answers = iter(["maybe", "no"])

    def answer(question: str) -> str:
        asked.append(question)
        return next(answers)

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    code = main(command(tmp_path / "site", clip, "--no-run", leave_out="--public"))

    assert code == 0, capsys.readouterr().err
    assert len(asked) == 2
    assert "yes, no" in asked[0]
    assert not load_device(tmp_path / "site" / "device.toml").publicly_accessible


LACKING = {Layer.OWN_UID: "own_uid: only root can give the matcher a user of its own"}


def test_a_layer_that_is_missing_is_named_before_anything_is_made(
    tmp_path: Path,
    clip: Path,
    matcher: Path,
    face_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("edge.sandbox.spec.missing", lambda: LACKING)
    facts = [word for fact in FACTS.items() for word in fact]
    asked = ["init", str(tmp_path / "site"), "--source", str(clip), "--trial", *facts]
    asked += ["--matcher", f"{sys.executable} {matcher}", "--no-run"]

    assert main(asked) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("for a record that goes without: --without own_uid")
    assert not (tmp_path / "site").exists()

    main([*asked, "--without", "own_uid"])
    assert load_device(tmp_path / "site" / "device.toml").matcher_without == ("own_uid",)


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_in_a_terminal_a_person_says_whether_to_go_without_a_layer(
    tmp_path: Path,
    clip: Path,
    matcher: Path,
    face_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
) -> None:
    questions: list[str] = []
    monkeypatch.setattr("edge.sandbox.spec.missing", lambda: LACKING)
    monkeypatch.setattr("builtins.input", lambda words: questions.append(words) or answer)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    facts = [word for fact in FACTS.items() for word in fact]
    asked = ["init", str(tmp_path / "site"), "--source", str(clip), "--trial", *facts]

    code = main([*asked, "--matcher", f"{sys.executable} {matcher}", "--no-run"])

    assert len(questions) == 1
    assert "Go without own_uid, in the signed record" in questions[0]
    assert (tmp_path / "site").exists() is (answer == "yes")
    assert code == 2 or answer == "yes"


@pytest.mark.guard
def test_the_first_run_says_that_frames_pass(
    tmp_path: Path, clip: Path, face_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path / "site", clip, "--dwell-s", "1")) == 0
    output = capsys.readouterr().out
    assert "frames pass, " in output, output
    assert not (tmp_path / "site" / "audit").exists()  # the first run leaves no trace
    assert json.dumps("virtual") in (tmp_path / "site" / "guard.toml").read_text()


@pytest.mark.parametrize(
    ("over", "reasons", "expected"),
    [
        (True, (Reason.DWELL,), "the recording was over before everything had held for the dwell"),
        (False, (Reason.DWELL,), "no frame passed yet: DWELL: "),
        (True, (Reason.VIEW_FOREIGN,), "no frame passed yet: VIEW_FOREIGN: "),
        (True, (Reason.VIEW_FOREIGN, Reason.DWELL), "no frame passed yet: VIEW_FOREIGN: "),
        (True, (), "no frame passed yet: nothing was decided"),
    ],
)
def test_a_first_run_in_which_nothing_passes_names_the_true_cause(
    over: bool, reasons: tuple[Reason, ...], expected: str
) -> None:
    assert expected in _why_none(reasons, over, 3.0)
