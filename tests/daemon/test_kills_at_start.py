"""A process that dies in the middle of a start is a lost guard, whatever channel breaks first."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.sandbox.spec import missing
from tests.support import render
from tests.support.guards import Site, site
from tests.support.kill_sweep import kill_once

pytestmark = pytest.mark.guard


@pytest.fixture(scope="module")
def kiosk(tmp_path_factory: pytest.TempPathFactory, face_model: Path) -> Site:
    if missing():
        pytest.skip("this machine lacks a layer of the sandbox; the records would have to say so")
    folder = tmp_path_factory.mktemp("kiosk")
    clip = render.write_clip(folder / "room.avi", render.lived_in(render.room(), 600))
    return site(folder / "site", clip, clip, face_model)


@pytest.mark.parametrize(
    ("process", "delay_s"),
    [
        ("template", 0.05),
        ("decider", 0.5),
        ("capture", 0.05),
        ("virtual board", 0.02),
        ("gate", 0.9),
    ],
)
def test_a_death_during_the_start_is_said_and_the_daemon_starts_again(
    kiosk: Site, process: str, delay_s: float
) -> None:
    found = kill_once(kiosk, process, delay_s)

    assert found.killed
    assert found.wrong == ""
