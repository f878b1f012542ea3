"""A process that dies in the middle of a start is a lost guard, whatever channel breaks first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.sandbox.spec import missing
from tests.support.guards import Site, site
from tests.support.kill_sweep import kill_once

pytestmark = pytest.mark.guard


@pytest.fixture(scope="module")
def kiosk(
    tmp_path_factory: pytest.TempPathFactory, lived_in: Callable[[int], Path], face_model: Path
) -> Site:
    if missing():
        pytest.skip("this machine lacks a layer of the sandbox; the records would have to say so")
    clip = lived_in(900)
    return site(tmp_path_factory.mktemp("kiosk") / "site", clip, clip, face_model)


@pytest.mark.parametrize(
    ("process", "delay_s"),
    [
        ("template", 0.05),
        pytest.param("decider", 0.5, marks=pytest.mark.long),
        pytest.param("capture", 0.05, marks=pytest.mark.long),
        pytest.param("virtual board", 0.02, marks=pytest.mark.long),
        ("gate", 0.9),
    ],
)
def test_a_death_during_the_start_is_said_and_the_daemon_starts_again(
    kiosk: Site, process: str, delay_s: float
) -> None:
    found = kill_once(kiosk, process, delay_s)

    assert found.killed
    assert found.wrong == ""
