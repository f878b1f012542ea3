"""What `evaluate --masked` counts: faces by size, frames that flow, and who is known again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.evaluation.masked.figures import figures
from edge.evaluation.masked.run import Found, masked
from edge.masking.mask import nothing


def found(**changes: object) -> Found:
    one = Found("a.mp4", due=100, flowed=100)
    one.faces.update({12: 500, 24: 500, 48: 500})
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def held(found: Found, missing: str = "") -> dict[str, bool]:
    return {row.name.split(" (")[0]: row.holds for row in figures([found], missing)}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.evaluation.masked.figures._ROUNDS", 3)


def test_a_missed_face_counts_in_its_size_and_below() -> None:
    good = held(found())
    few = held(found(missed={12: 0, 24: 8, 48: 0}))

    assert good["faces of 24 px and more covered"]
    assert not few["faces of 24 px and more covered"]  # 8 of 1000 is more than 0.5 %
    assert few["faces of 12 px and more covered"]


def test_without_an_adversary_nothing_is_claimed() -> None:
    assert not held(found(), "not installed: dlib")["masked faces that a recogniser knows again"]


def test_the_twin_one_that_knows_nobody_again_holds() -> None:
    name = "masked faces that a recogniser knows again, of 30 that it knew in the clear"

    assert held(found(known=30))[name]
    assert not held(found(known=30, masked_known=1))[name]
    assert not held(found(flowed=90))["frames flowing in the wild"]


def test_a_picture_leaves_as_its_mask_says() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)

    assert np.array_equal(masked(frame, nothing(64, 64)), frame)


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
    assert covered["value"] == 1.0
    assert "(0 faces" not in covered["name"]
    assert (tmp_path / "out" / "masked.json").exists()
