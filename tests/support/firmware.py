"""Fixtures of the board's tests: the firmware built for the host, once a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.images.build import Target, build
from firmware_bridge.virtual.board import VirtualBoard
from tests.support.boards import BOOT_ID, ROOT
from tests.support.c_board import CBoard, load


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The C rule as a library; undefined behaviour in it ends the test run."""
    return load(build(Target.LIBRARY, tmp_path_factory.mktemp("firmware") / "rule.so"))


@pytest.fixture(scope="session")
def make_c(library: Any) -> Callable[..., CBoard]:
    def make(root: bytes = ROOT, boot_id: int = BOOT_ID, now_us: int = 0) -> CBoard:
        return CBoard(library, root, boot_id, now_us)

    return make


@pytest.fixture(params=["python", "c"])
def make(request: pytest.FixtureRequest, make_c: Callable[..., CBoard]) -> Callable[..., Any]:
    """Makes one boot of a board: the Python twin, then the firmware's own C."""

    def python(root: bytes = ROOT, boot_id: int = BOOT_ID, now_us: int = 0) -> VirtualBoard:
        return VirtualBoard(root, boot_id, now_us)

    return python if request.param == "python" else make_c


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which boards the tests in `tests/hil` may use."""
    group = parser.getgroup("board")
    group.addoption("--emulated", action="store_true", help="run the emulated board as well")
    group.addoption("--board", metavar="PORT", help="run a real board as well")
    group.addoption("--board-key", metavar="FILE", help="the real board's 32-byte key")
