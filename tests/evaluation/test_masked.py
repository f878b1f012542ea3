"""What `evaluate --masked` counts: faces by size, frames that flow, and who is known again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from edge.cameras.opencv import Shot
from edge.cli import main
from edge.evaluation.masked import run
from edge.evaluation.masked.adversary import Recogniser
from edge.evaluation.masked.cost import costs
from edge.evaluation.masked.figures import figures
from edge.evaluation.masked.run import Found, masked
from edge.evaluation.report.figure import Question, State
from edge.evaluation.report.masked_page import head_of, render
from edge.evaluation.report.words import verdict
from edge.masking.mask import Mask, nothing
from edge.view.box import Box


def found(**changes: object) -> Found:
    one = Found("a.mp4", due=100, flowed=100)
    one.faces.update({12: 500, 24: 500, 48: 500})
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def states(found: Found, missing: str = "") -> dict[str, State]:
    return {row.name: row.state for row in figures([found], missing)}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.evaluation.masked.cost._ROUNDS", 3)


AGAIN = "masked faces that it knows again, told where they are"
USED = "masked faces that a face recogniser finds and knows"
FLOWED = "frames that flowed after the dwell"


@pytest.mark.slow
def test_a_missed_face_counts_in_its_size_and_below() -> None:
    good = states(found())
    few = states(found(missed={12: 0, 24: 8, 48: 0}))

    assert good["faces of 24 px and more that were covered"] is State.HELD
    assert few["faces of 24 px and more that were covered"] is State.MISSED  # over 0.5 %
    assert few["faces of 12 px and more that were covered"] is State.HELD


@pytest.mark.slow
def test_without_an_adversary_nothing_is_claimed() -> None:
    rows = figures([found(known=30)], "not installed: dlib")
    (row,) = (row for row in rows if row.name == AGAIN)

    assert (row.state, row.note) == (State.NOT_TRIED, "not installed: dlib")
    assert not row.holds
    assert 'not shown to be safe: "Does a face recogniser' in verdict(rows, [])
    (row,) = (row for row in figures([found(used=30)], "not installed: dlib") if row.name == USED)
    assert row.state is State.NOT_TRIED


@pytest.mark.slow
def test_the_twin_one_that_knows_nobody_again_holds() -> None:
    assert states(found(known=30))[AGAIN] is State.HELD
    assert states(found(known=30, masked_known=1))[AGAIN] is State.MISSED
    assert states(found(known=0))[AGAIN] is State.NOT_TRIED
    assert states(found(used=30))[USED] is State.HELD
    assert states(found(used=30, masked_used=1))[USED] is State.MISSED
    assert states(found(used=0))[USED] is State.NOT_TRIED
    assert states(found(flowed=100))[FLOWED] is State.HELD
    assert states(found(flowed=90))[FLOWED] is State.MISSED
    assert states(found(due=0, flowed=0))[FLOWED] is State.NOT_TRIED


@pytest.mark.slow
def test_without_a_face_no_cover_is_claimed() -> None:
    none = dict.fromkeys((12, 24, 48), 0)
    rows = [row for row in figures([found(faces=none)], "") if row.question is Question.COVERED]

    assert {row.state for row in rows} == {State.NOT_TRIED}


@pytest.mark.slow
def test_the_page_shows_what_was_missed_and_says_when_no_face_was_seen() -> None:
    boxed = np.zeros((32, 48, 3), np.uint8)
    missing, whole = found(misses=[boxed], missed={12: 1, 24: 0, 48: 0}), found()
    empty = found(faces=dict.fromkeys((12, 24, 48), 0))

    pages = [
        render([one], rows, [], head_of([one], rows, []))
        for one in (missing, whole, empty)
        for rows in [figures([one], "")]
    ]

    assert ["data:image/png" in page for page in pages] == [True, False, False]
    assert ["so none could be missed" in page for page in pages] == [False, False, True]


def test_a_picture_leaves_as_its_mask_says() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)

    assert np.array_equal(masked(frame, nothing(64, 64)), frame)


class OneFace:
    """A recogniser whose detector finds a face where something is bright."""

    def find(self, frame: np.ndarray) -> list[tuple[Box, np.ndarray]]:
        return [(FACE, np.zeros(128))] if frame.max() > 200 else []


FACE = Box(10.0, 10.0, 60.0, 70.0, 0.9)


@pytest.mark.parametrize(("shade", "again"), [(0, 0), (255, 1)])
def test_a_recogniser_has_to_find_a_face_before_it_knows_it(shade: int, again: int) -> None:
    """The twin: a mask that leaves the face in sight is a match."""
    one, clear = found(), np.full((96, 96, 3), 255, np.uint8)
    left, known = np.full_like(clear, shade), [(FACE, np.zeros(128))]
    recogniser = cast("Recogniser", OneFace())

    now = run.use(one, Shot(clear, 0), [FACE], left, recogniser, known)

    assert len(now) == 1
    assert (one.large, one.detected, one.used) == (1, 1, 1)
    assert (one.masked_detected, one.masked_used) == (again, again)


@pytest.mark.slow
def test_a_recording_is_played_and_its_faces_are_covered(
    clip: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.evaluation.masked.run.SAMPLES", 4)
    monkeypatch.setattr("edge.evaluation.masked.run.REFERENCE_SIZE", (320, 192))
    monkeypatch.setattr("edge.evaluation.masked.adversary.find_spec", lambda name: None)
    (tmp_path / "single_face.mp4").symlink_to(clip("single_face.mp4"))
    (tmp_path / "MANIFEST.csv").write_text(
        "file,kind,camera,setting\nsingle_face.mp4,video,stationary,controlled\n"
    )

    main(["evaluate", str(tmp_path), "--masked", "--json", "--out", str(tmp_path / "out")])

    rows = json.loads(capsys.readouterr().out)["figures"]
    covered = next(row for row in rows if row["name"].startswith("faces of 48 px"))
    assert covered["value"] == 100.0
    assert not covered["note"].startswith("0 faces")
    assert (tmp_path / "out" / "masked.json").exists()
    assert "data:image/jpeg" in (tmp_path / "out" / "masked.html").read_text()


@pytest.mark.parametrize(("dearest", "state"), [(1.2, State.MISSED), (1.1, State.HELD)])
def test_of_several_fixed_masks_the_dearest_is_held_against_the_goal(
    monkeypatch: pytest.MonkeyPatch, dearest: float, state: State
) -> None:
    def asked(through: Mask, *_: object) -> tuple[float, float]:
        cut = bool(through.levels.any(axis=1).all())  # all along a side
        return (dearest if cut else 1.01), 0.0

    monkeypatch.setattr("edge.evaluation.masked.cost.cost", asked)

    found = {row.name: row for row in costs()}

    row = found["time of a copy through a fixed mask, 640x480, beside a plain copy"]
    assert (row.state, row.value) == (state, dearest)
    assert row.note == "the dearest of 4: all along a side"
    other = found["time of a copy through four people, 640x480, beside a plain copy"]
    assert other.state is State.HELD
