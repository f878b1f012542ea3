"""A whole guard in the masked lane: its sink writes no face, where the camera saw one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from edge import isolation
from edge.evidence.faces import FaceBoxes
from tests.support.guards import site

pytestmark = [pytest.mark.guard, pytest.mark.slow]

DEVICE = """\
camera = "body_worn"
mount = "worn_moving"
lanes = ["view_masked", "detect"]
dwell_s = 1
[operator]
user = "private_business"
by_or_for = "neither"
jurisdiction = "EU"
"""
SESSION = 'operation = "{lane}"\ngallery = "none"\n'


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["run", "--device", "D.toml", "--session", "S.toml", "--keys", "keys", *arguments]
    return subprocess.run(
        isolation.python("edge.cli", *command),
        cwd=place,
        env=isolation.cleaned(os.environ),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def frames(film: Path) -> list[cv2.typing.MatLike]:
    opened = cv2.VideoCapture(str(film))
    found = []
    while (read := opened.read())[0]:
        found.append(read[1])
    return found


def test_the_film_of_a_masked_guard_shows_no_face_and_other_lanes_get_none(
    tmp_path: Path, clip: Callable[[str], Path], face_model: Path
) -> None:
    room, faces = clip("single_face.mp4"), FaceBoxes(face_model)
    local = site(tmp_path / "site", room, room, face_model)
    local.sign(DEVICE, SESSION.format(lane="view_masked"))

    done = run(local.folder, "--source", str(room), "--sink", "mp4", "--out", "masked")

    film = frames(local.folder / "masked" / "sink" / "masked.mp4")
    assert done.returncode == 0, done.stderr
    assert len(film) > 5
    assert not any(faces.detect(frame) for frame in film[::6])
    assert faces.detect(frames(room)[-5])  # the twin: there was one to be seen

    local.sign(DEVICE, SESSION.format(lane="detect"))
    refused = run(local.folder, "--source", str(room), "--sink", "mp4", "--out", "clear")

    assert refused.returncode == 2
    assert 'expected operation = "view_masked"' in refused.stderr
    assert not (local.folder / "clear").exists()
