"""What every test may ask for: the demo clips, the face detector, footage that needs no download.

Clips come from the cache that `framegate models pull` fills (`make test` does
that first); where they are missing the test is skipped and says so. Evaluation
footage is used where it lies at hand and is never required.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.models.pull import asset
from tests.support import render

pytest_plugins = ["tests.support.firmware"]

settings.register_profile(
    "framegate",
    derandomize=True,  # the same examples on every machine; a found counterexample is a test
    deadline=None,  # a busy machine is not a failure
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("framegate")

# a shell ignores it for what runs in the background, and so would every program that a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests that run a whole guard share one worker: none runs beside another.

    pytest-xdist reads the groups when all items are collected, before any other plugin may
    add one then; so each item gets its group here.
    """
    if item.get_closest_marker("guard") is not None:
        item.add_marker(pytest.mark.xdist_group("guard"))


def _pulled(name: str) -> Path:
    try:
        return asset(name)
    except ModelError as err:
        pytest.skip(str(err))


@pytest.fixture(scope="session")
def clip() -> Callable[[str], Path]:
    """`clip("bikes.mp4")` is the path of a demo clip whose bytes were checked."""
    return _pulled


@pytest.fixture(scope="session")
def face_model() -> Path:
    """The face detector's ONNX file."""
    return _pulled("centerface.onnx")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of evaluation footage, for tests that only run where it is at hand."""
    path = Path(os.environ.get("FRAMEGATE_DATA") or ROOT.parent / "shared" / "data")
    if not (path / "video").is_dir():
        pytest.skip(f"no evaluation footage in {path}; FRAMEGATE_DATA names another folder")
    return path


@pytest.fixture(scope="session")
def room() -> NDArray[np.uint8]:
    """An empty rendered room, BGR (480, 640, 3); treat it as read-only."""
    view = render.room()
    view.flags.writeable = False
    return view


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`lived_in(90)` is a recording of that many frames of the rendered room in use.

    It is made once and shared by whoever asks for as many: copy it to change it. Ask for 90, 150,
    300 or 900 frames where the number does not matter; `seed` is as for `render.lived_in`.
    """
    folder = tmp_path_factory.mktemp("lived-in")

    @functools.cache
    def clip(count: int, seed: int = 0) -> Path:
        path = folder / f"room-{count}-{seed}.avi"
        return render.write_clip(path, render.lived_in(render.room(), count, seed))

    return clip


@pytest.fixture(scope="session")
def room_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a fixed camera looking at the rendered room, 30 frames a second."""
    path = tmp_path_factory.mktemp("footage") / "room.avi"
    return render.write_clip(path, render.still(render.room(), 90))
