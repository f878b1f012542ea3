"""The scene model: pinned, checked in every answer, and only ever a veto."""

from __future__ import annotations

import csv
import json
import shutil

import cv2
import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.clock import S
from edge.errors import ModelError
from edge.evidence.scene import LOOKS, Description, Points, Scene, SceneModel, windows
from edge.models import SCENE
from edge.reasons import Reason
from tests.support import render

POINTS = Points(private=0.5, veto=0.9)


@pytest.fixture(scope="module")
def model() -> SceneModel:
    return SceneModel.load()


class _Session:
    """Answers with what it was given."""

    def __init__(self, *answers) -> None:
        self._answers = [np.array(a, np.float32) for a in answers]

    def run(self, names, feed):
        assert feed["image"].shape == (1, 160, 160, 3)
        assert feed["image"].dtype == np.uint8
        answer = self._answers[0]
        self._answers = self._answers[1:] or self._answers
        return [answer]


def _fake(*answers) -> SceneModel:
    return SceneModel(_Session(*answers), Description(160, POINTS))


@pytest.mark.parametrize(
    "shares,reasons",
    [
        ((0.9, 0.1, 0.0, 0.0, 0.0), ()),
        ((0.05, 0.95, 0.0, 0.0, 0.0), ()),  # public, or a person filling the picture: unsure
        ((0.2, 0.0, 0.79, 0.01, 0.0), ()),
        ((0.05, 0.0, 0.5, 0.45, 0.0), (Reason.SCENE_OUTDOOR,)),
        ((0.0, 0.0, 0.0, 1.0, 0.0), (Reason.SCENE_OUTDOOR,)),
        ((0.05, 0.0, 0.03, 0.0, 0.92), (Reason.SCENE_VEHICLE,)),
        ((0.0, 0.0, 0.25, 0.2, 0.55), (Reason.SCENE_VEHICLE,)),  # no interior, whichever else
        ((0.0, 0.0, 0.4, 0.2, 0.4), (Reason.SCENE_OUTDOOR,)),
        ((0.12, 0.0, 0.4, 0.08, 0.4), ()),
    ],
)
def test_only_a_confident_answer_is_a_veto(room, shares, reasons):
    reading = _fake([shares]).read(room, 7 * S)

    assert reading.reasons == reasons
    assert reading.captured_ns == 7 * S
    assert reading.probabilities == pytest.approx(shares)


@pytest.mark.parametrize(
    "answer",
    [
        [[np.nan, 0.5, 0.5, 0, 0]],
        [[np.inf, 0, 0, 0, 0]],
        [[3.0, 0, 0, 0, 0]],
        [[0.6, 0.6, 0.6, 0.6, 0.6]],
        [[0.2, 0.2, 0.2, 0.2, 0.1]],
        [[-0.5, 0.5, 0.5, 0.5, 0.0]],
        [[1.0, 0, 0, 0]],
        [1.0, 0, 0, 0, 0],
    ],
    ids=["NaN", "Inf", "three", "sum of three", "sum of 0.9", "negative", "four", "flat"],
)
def test_an_answer_that_cannot_be_true_is_an_error(room, answer):
    with pytest.raises(ModelError, match="scene model"):
        _fake(answer).read(room, 0)


@pytest.mark.parametrize(
    "shares,reasons",
    [
        ((0.6, 0.4, 0, 0, 0), ()),
        ((0.4, 0.6, 0, 0, 0), (Reason.SCENE_PUBLIC,)),
        ((0.1, 0.2, 0.4, 0.3, 0), (Reason.SCENE_OUTDOOR,)),
        ((0.1, 0.2, 0.0, 0.7, 0), (Reason.SCENE_OUTDOOR,)),
        ((0.1, 0.2, 0.0, 0.1, 0.6), (Reason.SCENE_VEHICLE,)),
    ],
)
def test_an_empty_view_must_look_private(room, shares, reasons):
    assert _fake([shares]).judge_empty([room]) == reasons


def test_the_mean_of_the_frames_decides_an_empty_view(room):
    private, public = [[0.9, 0.1, 0, 0, 0]], [[0.3, 0.7, 0, 0, 0]]

    assert _fake(private, public).judge_empty([room] * 2) == ()
    assert _fake(public, public, private).judge_empty([room] * 3) == ()
    assert _fake(public, public).judge_empty([room] * 2) == (Reason.SCENE_PUBLIC,)
    with pytest.raises(ValueError, match="at least one"):
        _fake(private).judge_empty([])


def test_an_empty_view_is_judged_by_its_corners_too_where_the_point_was_chosen_so(room):
    whole, corner = [[0.9, 0.1, 0, 0, 0]], [[0.3, 0.7, 0, 0, 0]]
    answers = (whole, corner, corner, corner, corner)

    assert SceneModel(_Session(*answers), Description(160, POINTS)).judge_empty([room]) == ()
    assert SceneModel(_Session(*answers), Description(160, POINTS, LOOKS)).judge_empty([room]) == (
        Reason.SCENE_PUBLIC,
    )


def _copy(tmp_path, **changes):
    for name in ("scene.onnx", "scene.json"):
        shutil.copy(SCENE.with_name(name), tmp_path / name)
    described = json.loads((tmp_path / "scene.json").read_text())
    described.update(changes)
    (tmp_path / "scene.json").write_text(json.dumps(described))
    return tmp_path / "scene.onnx"


def test_one_flipped_bit_is_refused(tmp_path):
    path = _copy(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(ModelError, match="SHA-256"):
        SceneModel.load(path)


def test_another_model_is_refused_even_if_it_is_valid(tmp_path, face_model):
    path = _copy(tmp_path)
    shutil.copy(face_model, path)

    with pytest.raises(ModelError, match="SHA-256"):
        SceneModel.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "other"},
        {"version": 2},
        {"labels": ["street"]},
        {"points": {}},
        {"points": {"private": 0.0, "veto": 0.9}},
        {"points": {"private": 0.5, "veto": 2.0}},
        {"input": {"width": 4}},
        {"looks": 3},
        {"looks": "all"},
        {"sha256": 5},
    ],
)
def test_an_odd_description_is_refused(tmp_path, changes):
    with pytest.raises(ModelError):
        SceneModel.load(_copy(tmp_path, **changes))


def test_a_missing_model_or_description_is_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        SceneModel.load(tmp_path / "scene.onnx")
    path = _copy(tmp_path)
    path.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        SceneModel.load(path)


def test_a_file_that_is_no_model_is_refused_though_its_digest_is_right(tmp_path):
    import hashlib

    junk = b"not a model"
    path = _copy(tmp_path, sha256=hashlib.sha256(junk).hexdigest())
    path.write_bytes(junk)

    with pytest.raises(ModelError, match="cannot be loaded"):
        SceneModel.load(path)


@pytest.mark.parametrize("size", [(160, 120), (640, 480), (368, 656), (1920, 1080)])
def test_the_shipped_model_answers_for_every_picture_size(model, size):
    shares = model.probabilities(render.room(size=size))

    assert len(shares) == len(Scene)
    assert sum(shares) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.slow
def test_the_same_picture_gets_the_same_answer(model, room):
    assert model.probabilities(room) == SceneModel.load().probabilities(room)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["single_face.mp4", "WolfgangLanger_Pexels.mp4"])
def test_a_face_filling_the_picture_is_no_street(model, clip, name):
    camera = FileCamera(clip(name))
    frames = [shot.frame for shot in camera.shots()][::24]
    camera.close()

    assert all(Reason.SCENE_VEHICLE not in model.read(f, 0).reasons for f in frames)
    assert np.mean([not model.read(f, 0).reasons for f in frames]) >= 0.9


def _images(data_dir, folder, count):
    files = sorted((data_dir / "images" / folder).glob("*.jpg"))
    return [cv2.imread(str(f)) for f in files[:: max(1, len(files) // count)]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder,least",
    [("outdoor_urban", 0.5), ("outdoor_nature", 0.6), ("vehicle", 0.5)],
)
def test_streets_parks_and_roads_are_vetoed(data_dir, model, folder, least):
    vetoed = [bool(model.read(picture, 0).reasons) for picture in _images(data_dir, folder, 30)]

    assert np.mean(vetoed) >= least


@pytest.mark.slow
def test_interiors_are_hardly_ever_vetoed(data_dir, model):
    pictures = _images(data_dir, "indoor_private", 30) + _images(data_dir, "indoor_public", 30)

    assert np.mean([bool(model.read(p, 0).reasons) for p in pictures]) <= 0.05


def _vetoes(data_dir, model, wanted, seconds=8):
    """For each recording that is wanted, whether it is vetoed, second by second."""
    with (data_dir / "MANIFEST.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["kind"] == "video" and wanted(r)]
    found = {}
    for row in rows:
        camera, vetoes = FileCamera(data_dir / row["file"]), []
        for shot in camera.shots():
            if len(vetoes) == seconds:
                break
            if shot.captured_ns >= len(vetoes) * S:
                vetoes.append(bool(model.read(shot.frame, 0).reasons))
        camera.close()
        found[row["file"]] = vetoes
    return found


@pytest.mark.slow
def test_controlled_recordings_are_never_vetoed(data_dir, model):
    found = _vetoes(data_dir, model, lambda row: row["setting"] == "controlled")

    assert sum(map(len, found.values())) >= 50
    assert [name for name, vetoes in found.items() if any(vetoes)] == []


@pytest.mark.slow
def test_most_streets_and_roads_are_vetoed_within_three_seconds(data_dir, model):
    found = _vetoes(data_dir, model, lambda row: row["scene"] in ("outdoor", "vehicle"))

    assert len(found) >= 13
    assert np.mean([any(vetoes[:3]) for vetoes in found.values()]) >= 0.6
    assert np.mean([veto for vetoes in found.values() for veto in vetoes]) >= 0.5


@pytest.mark.parametrize("size", [(360, 640), (270, 720), (900, 360)])
def test_a_picture_far_from_the_model_s_shape_is_cut_into_squares_that_cover_it(size):
    """Squeezed, a ball would be an egg; twin: a picture of usual shape is judged whole."""
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:] = np.arange(max(size))[:, None, None] % 251 if height > width else 7

    parts = windows(picture)

    assert len(parts) > 1
    assert all(part.shape == (min(size), min(size), 3) for part in parts)
    covered = np.zeros(size[::-1], bool)
    for part in parts:
        first = (part.__array_interface__["data"][0] - picture.__array_interface__["data"][0]) // 3
        row, column = divmod(first, width)
        covered[row : row + part.shape[0], column : column + part.shape[1]] = True
    assert covered.all()
    for usual in ((640, 480), (640, 360), (480, 480), (640, 330)):
        assert len(windows(np.zeros((usual[1], usual[0], 3), np.uint8))) == 1


def test_the_answer_for_a_portrait_is_the_mean_of_its_squares():
    class Brightness:
        """Private by how bright the square is."""

        def run(self, names, inputs):
            share = float(inputs["image"].mean()) / 255
            return [np.array([[share, 0, 1 - share, 0, 0]], np.float32)]

    model = SceneModel(Brightness(), Description(160, Points(0.5, 0.97)))
    picture = np.zeros((640, 320, 3), np.uint8)
    picture[320:] = 255

    assert model.probabilities(picture)[0] == pytest.approx(0.5, abs=0.01)
