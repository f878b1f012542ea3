"""A commissioned site for whole runs, and its footage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import render
from tests.support.guards import Site, site


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory, lived_in: Callable[[int], Path]) -> Path:
    """Three seconds of a room, and the same cut to a street after two."""
    folder = tmp_path_factory.mktemp("footage")
    room = render.room()
    shutil.copyfile(lived_in(90), folder / "room.avi")
    frames = [*render.lived_in(room, 60), *render.drive(20)]
    render.write_clip(folder / "cut.avi", frames)
    return folder


@pytest.fixture
def kiosk(footage: Path, tmp_path: Path, face_model: Path) -> Site:
    return site(tmp_path / "site", footage / "room.avi", footage / "room.avi", face_model)


@pytest.fixture
def cut_away(footage: Path, tmp_path: Path, face_model: Path) -> Site:
    return site(tmp_path / "site", footage / "cut.avi", footage / "room.avi", face_model)
