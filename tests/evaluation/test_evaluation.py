"""The evaluation: it counts what passed, and is honest about what it could not try."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from edge.cli import main
from edge.errors import RecordError
from edge.evaluation.bounds import lower, upper
from edge.evaluation.disturb import DISTURBANCES
from edge.evaluation.manifest import Mount, read_manifest
from tests.support import render

pytestmark = pytest.mark.slow

HEADER = "file,kind,source,camera,setting\n"


@pytest.mark.parametrize(
    "hits,trials,expected",
    [(0, 60, 1 - 0.05 ** (1 / 60)), (0, 1, 0.95), (1, 10, 0.3942), (5, 5, 1.0), (0, 0, 1.0)],
)
def test_bounds_are_the_exact_ones(hits, trials, expected):
    assert upper(hits, trials) == pytest.approx(expected, abs=1e-3)
    if trials:
        assert lower(trials - hits, trials) == pytest.approx(1 - expected, abs=1e-3)


def test_takes_of_one_place_are_told_from_neighbours_in_a_collection(tmp_path):
    (tmp_path / "MANIFEST.csv").write_text(
        HEADER
        + "video/a.mp4,video,repo/x:signs/a.mkv,stationary,controlled\n"
        + "video/b.mp4,video,repo/x:signs/b.mkv,stationary,controlled\n"
        + "video/c.mp4,video,repo/x:c.mkv,stationary,controlled\n"
        + "video/d.mp4,video,repo/x:d.mkv,stationary,controlled\n"
        + "video/e.mp4,video,repo/x:signs/e.mkv,mobile,uncontrolled\n"
        + "images/f.jpg,image,repo/x:f.jpg,n/a,uncontrolled\n"
    )

    a, b, c, d, e = read_manifest(tmp_path)

    assert a.place == b.place
    assert len({a.place, c.place, d.place, e.place}) == 4
    assert e.mount is Mount.MOBILE
    assert not e.controlled


@pytest.mark.parametrize(
    "text,says",
    [
        ("file,kind\n", "columns"),
        (HEADER, "at least one row"),
        (HEADER + "a.mp4,video,x,flying,controlled\n", "flying"),
        (HEADER + "a.mp4,video,x,mobile,perhaps\n", "perhaps"),
    ],
)
def test_an_odd_manifest_is_refused_by_name(tmp_path, text, says):
    (tmp_path / "MANIFEST.csv").write_text(text)

    with pytest.raises(RecordError, match=says):
        read_manifest(tmp_path)


def test_a_folder_without_a_manifest_is_bad_usage(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "MANIFEST.csv" in capsys.readouterr().err


@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_disturbance_keeps_the_shape_and_does_something(room, name):
    out = DISTURBANCES[name](room, 3)

    assert out.shape == room.shape
    assert out.dtype == np.uint8
    assert (name == "as it is") == np.array_equal(out, room)


def _flickering(view, count):
    """A fixed camera under a lamp that is not quite steady, as lamps are."""
    for i in range(count):
        light = 1 + 0.04 * math.sin(i / 5) * (1 + math.sin(i / 11))
        yield render.with_noise(render.with_light(view, light), i, 1.0)


def test_the_own_room_passes_and_a_street_with_everything_forged_does_not(
    tmp_path, face_model, capsys
):
    small = (320, 240)
    render.write_clip(tmp_path / "kiosk.avi", _flickering(render.room(size=small), 90))
    render.write_clip(tmp_path / "street.avi", render.drive(60, size=small))
    render.write_clip(tmp_path / "other.avi", _flickering(render.room(5, small), 60))
    (tmp_path / "broken.avi").write_bytes(b"no video")
    (tmp_path / "MANIFEST.csv").write_text(
        HEADER
        + "kiosk.avi,video,a:kiosk.avi,stationary,controlled\n"
        + "street.avi,video,b:street.avi,mobile,uncontrolled\n"
        + "other.avi,video,c:other.avi,stationary,uncontrolled\n"
        + "broken.avi,video,d:broken.avi,mobile,uncontrolled\n"
    )

    words = ["evaluate", str(tmp_path), "--out", str(tmp_path / "out"), "--json"]
    code = main([*words, "--splices", "8", "--jobs", "1"])

    printed = capsys.readouterr()
    figures = {f["name"]: f for f in json.loads(printed.out)["figures"]}
    assert code == 1  # one recording could not be used
    assert "broken.avi" in printed.err
    forged = figures["frames of uncontrolled recordings that passed, against every place"]
    assert (forged["value"], forged["state"], forged["note"]) == (0, "held", "of 120 frames")
    rooms = figures["frames of other rooms that passed, against every place"]
    assert (rooms["state"], rooms["holds"]) == ("not tried", False)  # there is one room alone
    assert figures["frames of kiosk that passed after the dwell"]["state"] == "held"
    assert figures["causes of blocking other than the picture"]["state"] == "held"
    spliced = figures["forbidden frames that a matcher received, bracketed release"]
    assert spliced["value"] == 0
    assert spliced["note"].startswith("4 splices")  # none into itself or what is broken
    daily = json.loads((tmp_path / "out" / "figures.json").read_text())["availability"]
    assert [row["recording"] for row in daily["recordings"]] == ["kiosk"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "what blocked an honest user" in page
    assert page.count("data:image/jpeg") == 3  # a still of each recording that could be read
    assert "<script" not in page
    assert "kiosk" in page
    assert json.loads((tmp_path / "out" / "figures.json").read_text())["figures"]
