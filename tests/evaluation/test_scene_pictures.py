"""`framegate evaluate --scene`: what the scene model does to somebody's own pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli import main
from edge.evaluation.manifest import Clip, Mount
from edge.evaluation.scene.calibration import OWN_PICTURES, expected_error, own_point, row_of
from edge.evaluation.scene.pictures import CLASSES, gather
from edge.evaluation.scene.recordings import STARTS, Vetoed, lines, vetoes
from edge.evaluation.scene.run import evaluate
from edge.evidence.scene import LOOKS, Points, SceneReading
from edge.reasons import Reason
from tests.support import render


class Model:
    """Takes bright pictures for private interiors and dark ones for streets."""

    points, sha256 = Points(0.5, 0.9), "ab" * 32

    def looks_at(self, pixels):
        bright = float(pixels.mean()) / 255
        return np.array([[bright, 0.0, 1 - bright, 0.0, 0.0]] * LOOKS)


def _picture(folder: Path, grey: int, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 64, 3), grey, np.uint8))


def _scores(private: list[float]) -> np.ndarray:
    return np.array([[p, 1 - p, 0.0, 0.0, 0.0] for p in private])


def test_each_source_has_its_own_row(tmp_path: Path) -> None:
    for number in range(4):
        _picture(tmp_path / CLASSES[0] / "bright", 250, number)
        _picture(tmp_path / CLASSES[0] / "dark", 5, number)
        _picture(tmp_path / CLASSES[1] / "dark", 250, number)

    found = evaluate(gather(tmp_path), Model(), lambda line: None)
    assert found is not None

    rows = {row.source: row for row in found.rows}
    assert (rows["bright"].kept.hits, rows["bright"].kept.of) == (4, 4)
    assert (rows["dark"].kept.hits, rows["dark"].taken.hits) == (0, 4)
    assert rows["bright"].taken.share is None
    assert (rows["all"].kept.hits, rows["all"].kept.of) == (4, 8)
    assert (rows["dark"].vetoed.hits, rows["bright"].vetoed.hits) == (4, 0)


def test_confidence_that_is_as_often_right_is_calibrated() -> None:
    """The twin: the same answers, always right, are off by what was held back."""
    half = _scores([0.75] * 4)

    assert expected_error(half, np.array([0, 0, 0, 1])) == pytest.approx(0.0)
    assert expected_error(half, np.array([0, 0, 0, 0])) == pytest.approx(0.25)


def test_own_pictures_bring_back_rooms_that_the_shipped_point_loses() -> None:
    rng = np.random.default_rng(2)
    inside, public = rng.uniform(0.2, 0.5, 100), rng.uniform(0.0, 0.1, 40)
    scores, labels = _scores([*inside, *public]), np.array([0] * 100 + [1] * 40)

    own = own_point(scores, labels, 0.55)

    assert own is not None
    assert own.shipped_kept == 0.0
    assert own.kept[1] > 0.85
    assert own.taken == (0.0, 0.0, 0.0)


def test_the_price_of_an_own_point_is_told() -> None:
    """Rooms that score like public places are kept only together with those."""
    rng = np.random.default_rng(3)
    scores = _scores(list(rng.uniform(0.2, 0.5, 140)))

    own = own_point(scores, np.array([0] * 100 + [1] * 40), 0.55)

    assert own is not None
    assert own.taken is not None
    assert own.taken[1] > 0.8


@pytest.mark.parametrize("count", [OWN_PICTURES, OWN_PICTURES + 1])
def test_too_few_rooms_to_judge_a_point_give_none(count: int) -> None:
    assert own_point(_scores([0.9] * count), np.zeros(count, int), 0.5) is None


def test_a_veto_and_an_empty_view_are_counted_by_their_own_scores() -> None:
    views, frames = _scores([0.9]), np.array([[0.0, 0.0, 0.99, 0.0, 0.0]])

    row = row_of("a", views, frames, np.array([0]), 0.5, 0.97)

    assert (row.kept.hits, row.vetoed.hits) == (1, 1)


def test_the_command_prints_a_row_a_source_and_names_what_it_skipped(tmp_path, capsys) -> None:
    _picture(tmp_path / "pictures" / CLASSES[0] / "site-7", 120, 0)
    folder = ["evaluate", str(tmp_path / "pictures"), "--scene"]

    assert main(folder) == 0
    assert "site-7" in capsys.readouterr().out

    (tmp_path / "pictures" / CLASSES[0] / "site-7" / "text.jpg").write_text("no picture")
    assert main([*folder, "--json", "--out", str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    assert "text.jpg" in output.err
    assert json.loads(output.out) == json.loads((tmp_path / "out" / "scene.json").read_text())


def test_a_folder_without_classes_is_named_with_what_was_expected(tmp_path, capsys) -> None:
    assert main(["evaluate", str(tmp_path), "--scene"]) == 2
    assert "indoor_private" in capsys.readouterr().err
    assert gather(tmp_path) == []


@pytest.mark.parametrize(
    ("manifest", "group"),
    [
        (b"file,source\nindoor_private/0.png,set:homes/12_bed.jpg\n", "own/12"),
        (b"file,kind\nindoor_private/0.png,image\n", "own//0"),
        (b"other\n1\n", "own//0"),
    ],
)
def test_a_manifest_may_leave_the_source_out(tmp_path, manifest, group) -> None:
    _picture(tmp_path / CLASSES[0], 120, 0)
    (tmp_path / "MANIFEST.csv").write_bytes(manifest)

    (picture,) = gather(tmp_path)

    assert picture.group == group


def test_a_manifest_that_is_no_text_is_named_in_one_line(tmp_path, capsys) -> None:
    _picture(tmp_path / CLASSES[0], 120, 0)
    (tmp_path / "MANIFEST.csv").write_bytes(b"\xff\xfe\x00")

    assert main(["evaluate", str(tmp_path), "--scene"]) == 2
    assert "expected a readable manifest" in capsys.readouterr().err


def test_options_for_recordings_are_refused(tmp_path, capsys) -> None:
    assert main(["evaluate", str(tmp_path), "--scene", "--own"]) == 2
    assert "--own" in capsys.readouterr().err


def _clip(path: Path, controlled: bool = True) -> Clip:
    return Clip(path, path.stem, controlled, Mount.STATIONARY, path.stem)


class Street:
    """Sees a street in bright pictures, and nobody anywhere."""

    def read(self, frame, captured_ns):
        bright = float(frame.mean()) > 128
        shares = (0.0, 0.0, 1.0, 0.0, 0.0) if bright else (1.0, 0.0, 0.0, 0.0, 0.0)
        return SceneReading(captured_ns, shares, (Reason.SCENE_OUTDOOR,) if bright else ())

    def detect(self, frame):
        return ()


@pytest.mark.parametrize(("bright_s", "vetoed"), [(0.5, False), (3.0, True)])
def test_a_recording_is_vetoed_by_evidence_that_lasts(tmp_path, bright_s, vetoed) -> None:
    greys = [220 if 30 <= number < 30 + 30 * bright_s else 60 for number in range(150)]
    frames = (np.full((48, 64, 3), grey, np.uint8) for grey in greys)
    street = Street()

    found = vetoes(_clip(render.write_clip(tmp_path / "till.avi", frames)), street, street)

    assert found.doubted > 0
    assert (found.vetoed > 0) is vetoed
    assert found.readings == 5 * STARTS


def test_only_a_controlled_recording_is_falsely_vetoed() -> None:
    rows = [Vetoed("till", True, 9, 1, 0, 0.98), Vetoed("street", False, 9, 9, 6, 1.0)]

    shown = "\n".join(lines(rows))

    assert "falsely vetoed: 0 of 1 controlled" in shown
    assert "vetoed: 1 of 1 others" in shown
