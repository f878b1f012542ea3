"""`framegate camera enroll`: a signed view on disk, or one line that says why not."""

from __future__ import annotations

import pytest

from edge.cli import main
from edge.commissioning import enrol_view as enrolling
from edge.commissioning.keys import KeyStore, RecordKind
from edge.reasons import Reason
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint
from edge.view.view_file import Enrolment, SceneCheck
from tests.support import render

pytestmark = pytest.mark.slow


@pytest.fixture
def keys(tmp_path):
    return KeyStore.init(tmp_path / "keys")


@pytest.fixture
def scene(monkeypatch):
    """Sets what the scene model says of the view."""

    def says(*reasons):
        class Model:
            def judge_empty(self, frames):
                assert frames
                return reasons

        monkeypatch.setattr(enrolling.SceneModel, "load", classmethod(lambda cls: Model()))

    return says


def _enroll(tmp_path, source, *options):
    return main(
        ["camera", "enroll", "--source", str(source), "--out", str(tmp_path / "till.view"),
         "--keys", str(tmp_path / "keys"), "--seconds", "1", *options]
    )  # fmt: skip


def test_a_private_view_is_written_and_signed(tmp_path, keys, face_model, room_clip, scene):
    scene()

    assert _enroll(tmp_path, room_clip) == 0

    data = keys.read_verified(tmp_path / "till.view", RecordKind.VIEW)
    fingerprint = Fingerprint.from_bytes(data)
    assert fingerprint.file.enrolment is Enrolment.ENFORCED
    assert fingerprint.file.scene is SceneCheck.PRIVATE


def test_a_view_that_looks_public_needs_a_second_key(
    tmp_path, keys, face_model, room_clip, scene, capsys
):
    scene(Reason.SCENE_PUBLIC)
    other = KeyStore.init(tmp_path / "other")

    assert _enroll(tmp_path, room_clip) == 2
    assert "SCENE_PUBLIC" in capsys.readouterr().err
    assert _enroll(tmp_path, room_clip, "--override", str(tmp_path / "keys")) == 2
    assert not (tmp_path / "till.view").exists()

    assert _enroll(tmp_path, room_clip, "--override", str(tmp_path / "other")) == 0
    data = keys.read_verified(tmp_path / "till.view", RecordKind.VIEW)
    assert Fingerprint.from_bytes(data).file.scene is SceneCheck.OVERRIDDEN
    second = (tmp_path / "till.view.override.sig").read_bytes()
    other.verify_bytes(data, second, RecordKind.VIEW, "till.view")


def test_a_trial_is_not_asked_and_is_marked(tmp_path, keys, face_model, room_clip, scene):
    scene(Reason.SCENE_OUTDOOR)

    assert _enroll(tmp_path, room_clip, "--unenforced") == 0

    fingerprint = Fingerprint.from_bytes((tmp_path / "till.view").read_bytes())
    assert fingerprint.file.enrolment is Enrolment.UNENFORCED
    assert fingerprint.file.scene is SceneCheck.UNCHECKED


def test_a_refused_view_leaves_the_old_one_in_place(
    tmp_path, keys, face_model, room_clip, scene, capsys
):
    scene()
    _enroll(tmp_path, room_clip)
    before = (tmp_path / "till.view").read_bytes()
    wall = render.write_clip(tmp_path / "wall.avi", [render.with_light(render.room(), 0, 90)] * 30)

    assert _enroll(tmp_path, wall) == 2
    assert "too plain" in capsys.readouterr().err
    assert (tmp_path / "till.view").read_bytes() == before


def test_each_view_that_another_enrolment_replaces_is_kept_with_its_signatures(
    tmp_path, keys, face_model, room_clip, scene, capsys, monkeypatch
):
    scene(Reason.SCENE_PUBLIC)
    other = KeyStore.init(tmp_path / "other")
    override = ("--override", str(other.directory))
    assert _enroll(tmp_path, room_clip, *override) == 0
    assert "is kept as" not in capsys.readouterr().out
    placed = [(tmp_path / "till.view").read_bytes()]

    for now_s in (2_000_000_001, 2_000_000_002):
        monkeypatch.setattr(enrolling.time, "time", lambda now_s=now_s: now_s)
        assert _enroll(tmp_path, room_clip, *override) == 0
        assert f"is kept as {tmp_path}/till.view.before-{now_s}\n" in capsys.readouterr().out
        placed.append((tmp_path / "till.view").read_bytes())

    kept = [tmp_path / f"till.view.before-{n}" for n in (2_000_000_001, 2_000_000_002)]
    assert [keys.read_verified(path, RecordKind.VIEW) for path in kept] == placed[:2]
    for path in kept:
        second = path.with_name(f"{path.name}.override.sig").read_bytes()
        other.verify_bytes(path.read_bytes(), second, RecordKind.VIEW, path.name)


@pytest.mark.parametrize("seconds", ["0", "0.1", "100"])
def test_odd_seconds_are_named(tmp_path, keys, room_clip, capsys, seconds):
    assert _enroll(tmp_path, room_clip, "--seconds", seconds) == 2
    assert "--seconds" in capsys.readouterr().err


def test_everything_that_speaks_against_a_view_is_said_at_once(
    tmp_path, keys, face_model, scene, capsys
):
    """A plain wall that is no private interior either; the twin is the room that enrols above."""
    scene(Reason.SCENE_PUBLIC)
    wall = render.write_clip(tmp_path / "wall.avi", [render.with_light(render.room(), 0, 90)] * 30)

    assert _enroll(tmp_path, wall) == 2

    output = capsys.readouterr().err
    assert output.index("too plain") < output.index("SCENE_PUBLIC")


def test_where_people_are_in_view_no_override_is_advised(
    tmp_path, keys, face_model, room_clip, scene, capsys, monkeypatch
):
    """The scene model errs with a person in view: first comes the empty view."""
    scene(Reason.SCENE_VEHICLE)
    somebody = Box(300, 200, 340, 250, 0.9)
    monkeypatch.setattr(enrolling.FaceBoxes, "detect", lambda self, frame: (somebody,))

    assert _enroll(tmp_path, room_clip, "--mask-people") == 2

    output = capsys.readouterr().err
    assert "enrol while nobody is in the picture" in output
    assert "--override" not in output


@pytest.mark.parametrize("objection", [(), (Reason.SCENE_PUBLIC,)])
def test_masking_is_advised_only_where_it_would_do(
    tmp_path, keys, face_model, room_clip, scene, capsys, monkeypatch, objection
):
    """And what is advised is done: with nothing else against the view, masking enrols it."""
    scene(*objection)
    somebody = Box(300, 300, 330, 340, 0.9)
    monkeypatch.setattr(enrolling.FaceBoxes, "detect", lambda self, frame: (somebody,))

    assert _enroll(tmp_path, room_clip) == 2
    output = capsys.readouterr().err
    advised = "--mask-people" in output

    assert output.index("people in") < output.index("enrol while nobody is in the picture")
    assert advised is not bool(objection)
    assert (_enroll(tmp_path, room_clip, "--mask-people") == 0) is advised


def test_of_a_place_behind_a_crowd_nothing_is_said_but_when_it_will_be(
    tmp_path, keys, face_model, room_clip, scene, capsys, monkeypatch
):
    """Each step is named once; the twin is the room that enrols above."""
    scene(Reason.SCENE_VEHICLE)
    near = Box(200, 40, 440, 380, 0.9)
    monkeypatch.setattr(enrolling.FaceBoxes, "detect", lambda self, frame: (near,))

    assert _enroll(tmp_path, room_clip) == 2

    output = capsys.readouterr().err
    assert output.count("enrol while nobody is in the picture") == 1
    assert "SCENE_VEHICLE" not in output
    assert "judged when they are gone" in output


def test_what_took_each_block_is_drawn_whether_refused_or_enrolled(
    tmp_path, keys, face_model, room_clip, scene, capsys
):
    scene()
    wall = render.write_clip(tmp_path / "wall.avi", [render.with_light(render.room(), 0, 90)] * 30)

    assert _enroll(tmp_path, wall, "--coverage", str(tmp_path / "wall.png")) == 2
    refused = capsys.readouterr()
    assert _enroll(tmp_path, room_clip, "--coverage", str(tmp_path / "room.png")) == 0
    enrolled = capsys.readouterr()

    assert ". . . . . . . ." in refused.out
    assert refused.err.count("\n") == 1
    assert "# # # # # # # #" in enrolled.out
    for name in ("wall.png", "room.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_an_override_is_advised_only_where_it_would_do(
    tmp_path, keys, face_model, room_clip, scene, capsys
):
    """A plain wall stays refused whoever overrides the scene model; the twin is the room."""
    scene(Reason.SCENE_PUBLIC)
    wall = render.write_clip(tmp_path / "wall.avi", [render.with_light(render.room(), 0, 90)] * 30)

    assert _enroll(tmp_path, wall) == 2
    assert "--override" not in capsys.readouterr().err
    assert _enroll(tmp_path, room_clip) == 2
    assert "--override" in capsys.readouterr().err


def test_the_scene_is_judged_with_people_left_out(
    tmp_path, keys, face_model, room_clip, scene, capsys, monkeypatch
):
    seen = []

    class Model:
        def judge_empty(self, frames):
            seen.extend(frames)
            return ()

    monkeypatch.setattr(enrolling.SceneModel, "load", classmethod(lambda cls: Model()))
    shown = []
    monkeypatch.setattr(enrolling, "without_people", lambda f, away: shown.append(away) or f)
    somebody = Box(300, 300, 330, 340, 0.9)
    monkeypatch.setattr(enrolling.FaceBoxes, "detect", lambda self, frame: (somebody,))

    _enroll(tmp_path, room_clip, "--mask-people")

    assert seen
    assert not any(away[32:34, 30:33].any() for away in shown)
    assert all(away[0].all() for away in shown)
