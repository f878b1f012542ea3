"""Renewal: a view may follow slow drift, a little at a time, and never far from where it began."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import cv2
import pytest
import rfc8785

from edge.cameras import live
from edge.cameras.identity import CameraIdentity
from edge.cameras.opencv import FileCamera
from edge.cli import main
from edge.commissioning import enrol_view as enrolling
from edge.commissioning.keys import KeyStore, RecordKind
from edge.errors import EnrolmentError, RecordError
from edge.view.fingerprint import Fingerprint
from edge.view.renewal import APART_S, MAX_TOTAL_PX, check_due, check_like, likeness, renewed
from tests.support import render
from tests.support.enrol import enrol
from tests.support.parts import long

pytestmark = pytest.mark.slow

CAMERA = bytes(16)
DAY0 = 1_700_000_000


def _view(frames, day=0, enforce=True):
    frames = list(frames)
    return enrol(
        frames, [()] * len(frames), camera=CAMERA, enforce=enforce, enrolled_s=DAY0 + day * APART_S
    )


def _renew(old, frames, day):
    """What `camera enroll --renew` does with the frames, without camera and keys."""
    frames = list(frames)
    check_due(old, DAY0 + day * APART_S)
    check_like(old, frames)
    return renewed(old, _view(frames, day, enforce=old.file.enrolment.value == "enforced"))


@pytest.fixture(scope="module")
def first():
    return _view(render.still(render.room(), 10))


def _aged(room):
    """The room some weeks later: duller lamps, the mount sagged by 2 pixels, a thing moved."""
    later = render.panned(render.with_light(room, 0.85, 6), 1.5, 2.0)
    later[300:380, 60:150] = later[300:380, 60:150][:, ::-1]
    return later


def test_light_drift_is_followed_and_its_lineage_recorded(room, first):
    once = _renew(first, render.still(_aged(room), 10), day=1)
    twice = _renew(once, render.still(_aged(room), 10, seed=2), day=2)

    assert (once.file.before, once.file.renewals) == (first.digest, 1)
    assert (twice.file.before, twice.file.renewals) == (once.digest, 2)
    assert twice.first.digest == first.digest
    read = Fingerprint.from_bytes(twice.to_bytes())
    assert read.digest == twice.digest
    assert read.first.digest == first.digest
    aged = render.with_noise(_aged(room), 99)
    assert likeness(once, aged).sign > likeness(first, aged).sign


@pytest.mark.parametrize("seed", [1, 2, 3, *long(*range(4, 9))])
def test_another_room_is_refused(first, seed):
    with pytest.raises(EnrolmentError, match=r"show \d+% of the signed view, a renewal needs 75%"):
        _renew(first, render.still(render.room(seed), 10), day=1)


def _turned(view, degrees, lens_degrees=60.0):
    return render.panned(view, degrees / lens_degrees * view.shape[1])


@pytest.mark.parametrize("degrees", [-2.0, 2.0])
def test_a_pan_of_two_degrees_is_refused(room, first, degrees):
    with pytest.raises(EnrolmentError, match=r"a renewal (needs|allows)"):
        _renew(first, render.still(_turned(room, degrees), 10), day=1)


@pytest.mark.parametrize(
    "step_px",
    [2.0, *long(1.0, 3.5)],
)
def test_a_walk_of_small_steps_ends_where_one_step_might(room, first, step_px):
    """Each step is one that is allowed; the sum is not."""
    view, gone = first, 0.0
    with pytest.raises(EnrolmentError, match="first enrolment"):
        for day in range(1, 40):
            step = render.still(render.panned(room, gone + step_px), 10, seed=day)
            view = _renew(view, step, day)
            gone += step_px

    assert 0 < gone <= MAX_TOTAL_PX + 1
    assert view.first.digest == first.digest


def test_a_walk_to_another_room_by_swapped_furniture_is_refused(room, first):
    """One eighth of the picture a day becomes another room's."""
    other, view, day = render.room(5), first, 0
    with pytest.raises(EnrolmentError, match="first enrolment"):
        for day in range(1, 9):
            mixed = room.copy()
            mixed[:, : 80 * day] = other[:, : 80 * day]
            view = _renew(view, render.still(mixed, 10, seed=day), day)

    assert 2 <= day <= 5  # about half of it, and no more


@pytest.mark.parametrize("turned", [0.0, 3.0, 8.0, 15.0, 30.0])
def test_how_far_the_camera_turned_is_read_to_a_pixel(room, first, turned):
    found = likeness(first, render.with_noise(render.panned(room, turned), 4))

    assert found.turned_px == pytest.approx(turned, abs=2.0)


def test_a_renewal_waits_a_day_and_needs_a_date(first):
    with pytest.raises(EnrolmentError, match=r"23\.0 hours ago; it may be renewed after 24"):
        check_due(first, DAY0 + 23 * 3600)
    with pytest.raises(EnrolmentError, match=r"-1\.0 hours ago"):
        check_due(first, DAY0 - 3600)
    with pytest.raises(EnrolmentError, match="no date"):
        check_due(Fingerprint(replace(first.file, enrolled_s=0)), DAY0)
    check_due(first, DAY0 + APART_S)


@pytest.mark.parametrize(
    "change,says",
    [
        ({"renewals": 0}, "odd lineage"),
        ({"renewals": 2}, "another view than the one in its lineage"),
        ({"before": "00" * 32}, "another view than the one in its lineage"),
        ({"before": "00"}, "odd lineage"),
        ({"first": None}, "odd field"),
        ({"first": {}}, "odd field"),
    ],
)
def test_an_odd_lineage_is_refused(first, change, says):
    data = json.loads(renewed(first, first).to_bytes())
    data["lineage"].update(change)

    with pytest.raises(RecordError, match=says):
        Fingerprint.from_bytes(rfc8785.dumps(data))


def test_a_lineage_begins_with_a_first_enrolment_of_the_same_camera(first):
    twice = renewed(renewed(first, first), first)
    nested = json.loads(twice.to_bytes())
    nested["lineage"]["first"] = json.loads(twice.to_bytes())
    with pytest.raises(RecordError, match="renews another"):
        Fingerprint.from_bytes(rfc8785.dumps(nested))

    moved = Fingerprint(replace(first.file, camera=bytes([1] * 16)))
    elsewhere = renewed(moved, first)
    with pytest.raises(RecordError, match="for camera"):
        Fingerprint.from_bytes(elsewhere.to_bytes())


# the command


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory, face_model):
    """A folder with keys and a signed first view of the rendered room."""
    folder = tmp_path_factory.mktemp("enrolled")
    KeyStore.init(folder / "keys")
    clip = render.write_clip(folder / "day0.avi", render.still(render.room(), 30))
    words = ["camera", "enroll", "--source", str(clip), "--unenforced", "--seconds", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enrolling.time, "time", lambda: DAY0)
        where = ["--out", str(folder / "till.view"), "--keys", str(folder / "keys")]
        assert main([*words, *where]) == 0
    return folder


@pytest.fixture
def site(tmp_path, monkeypatch, enrolled):
    """Keys, a settable day, and a signed first view of the rendered room."""
    shutil.copytree(enrolled, tmp_path, dirs_exist_ok=True)

    class Site:
        keys = tmp_path / "keys"
        view = tmp_path / "till.view"
        day = 0

        def enroll(self, frames, *options):
            clip = render.write_clip(tmp_path / f"day{self.day}.avi", list(frames))
            monkeypatch.setattr(enrolling.time, "time", lambda: DAY0 + self.day * APART_S)
            return main(
                ["camera", "enroll", "--source", str(clip), "--unenforced", "--out", str(self.view),
                 "--keys", str(self.keys), "--seconds", "1", *options]
            )  # fmt: skip

        def renew(self, frames, *options):
            return self.enroll(frames, "--renew", str(self.view), *options)

    return Site()


def test_the_command_renews_signs_and_keeps_the_old_view(site, room, capsys):
    before = site.view.read_bytes()
    site.day = 1

    assert site.renew(render.still(_aged(room), 30)) == 0

    keys = KeyStore.open(site.keys)
    view = Fingerprint.from_bytes(keys.read_verified(site.view, RecordKind.VIEW))
    assert view.file.before == Fingerprint.from_bytes(before).digest
    kept = site.view.with_name("till.view.before")
    assert keys.read_verified(kept, RecordKind.VIEW) == before
    assert "renewal 1 of the view" in capsys.readouterr().out


@pytest.mark.parametrize(
    "day,options,says",
    [
        (0, (), "hours ago"),
        (1, ("--mask-people",), "empty view"),
    ],
)
def test_the_command_refuses_in_one_line_and_changes_nothing(
    site, room, capsys, day, options, says
):
    before = site.view.read_bytes()
    site.day = day
    capsys.readouterr()

    assert site.renew(render.still(room, 30), *options) == 2

    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1
    assert site.view.read_bytes() == before
    assert not site.view.with_name("till.view.before").exists()


def test_the_command_refuses_another_room(site, capsys):
    site.day = 1
    assert site.renew(render.still(render.room(5), 30)) == 2
    assert "of the signed view" in capsys.readouterr().err


def test_a_trial_does_not_renew_as_a_full_enrolment(site, room_clip, capsys):
    words = ["camera", "enroll", "--source", str(room_clip), "--out", str(site.view), "--renew",
             str(site.view), "--keys", str(site.keys)]  # fmt: skip
    assert main(words) == 2
    assert "add --unenforced" in capsys.readouterr().err


def test_a_device_that_cannot_sign_does_not_look(site, room, capsys, monkeypatch):
    """The guard's own device holds no secret: its pictures become nobody's view."""
    (site.keys / "record.key").unlink()
    monkeypatch.setattr(
        enrolling, "open_source", lambda source: pytest.fail("the camera was opened")
    )
    site.day = 1

    assert site.renew(render.still(room, 30)) == 2
    assert "record.key" in capsys.readouterr().err


def test_an_unsigned_or_changed_view_is_not_renewed(site, room, capsys):
    site.day = 1
    site.view.write_bytes(renewed(Fingerprint.from_bytes(site.view.read_bytes()), _view(
        render.still(room, 10), enforce=False)).to_bytes())  # fmt: skip
    assert site.renew(render.still(room, 30)) == 2
    assert "was changed after" in capsys.readouterr().err

    site.view.with_name("till.view.sig").unlink()
    assert site.renew(render.still(room, 30)) == 2
    assert "unsigned" in capsys.readouterr().err


def test_another_camera_does_not_renew(site, room, capsys, monkeypatch):
    class Other(FileCamera):
        def __init__(self, path):
            super().__init__(path)
            self.identity = CameraIdentity("v4l2", driver="uvcvideo")

    monkeypatch.setattr(live, "FileCamera", Other)
    site.day = 1

    assert site.renew(render.still(room, 30)) == 2
    assert "is for camera" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "static_table_bottles",
        *long("static_room_one_person_at_a_time"),
    ],
)
def test_a_real_view_is_followed_and_other_recordings_are_refused(data_dir, name):
    first = _view(_opening(data_dir, name), enforce=False)
    frames = _opening(data_dir, name, skip=40)
    drifted = [render.panned(render.with_light(f, 0.9, 5), 2 * f.shape[1] / 640) for f in frames]

    assert _renew(first, drifted, day=1).file.renewals == 1
    for turn in (-2.0, 2.0):
        with pytest.raises(EnrolmentError):
            check_like(first, [_turned(f, turn) for f in frames])
    for path in sorted((data_dir / "video").glob("*.mp4")):
        if path.stem != name:
            size = (first.file.width, first.file.height)
            foreign = [cv2.resize(f, size) for f in _opening(data_dir, path.stem, count=5)]
            with pytest.raises(EnrolmentError):
                check_like(first, foreign)


def _opening(data_dir, name, count=20, skip=0):
    camera = FileCamera(data_dir / "video" / f"{name}.mp4")
    frames = []
    for number, shot in enumerate(camera.shots()):
        if number >= skip:
            frames.append(shot.frame)
        if len(frames) == count:
            break
    camera.close()
    return frames
