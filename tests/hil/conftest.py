"""Rigs for firmware in the loop: the C as a process, in an emulated board, on a real port.

pytest tests/hil                            the process alone: part of `make test`
pytest tests/hil --emulated                 the emulated board as well: `make hil`
pytest tests/hil --board /dev/ttyACM0 --board-key FILE
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.checks.rigs import HostRig, PortRig, Rig
from firmware_bridge.emulated import lm3s6965 as emulator
from firmware_bridge.emulated.lm3s6965 import Emulator
from firmware_bridge.images.build import Target, build
from tests.support.boards import ROOT

TIERS = ["pty", "qemu", "port"]


@pytest.fixture(scope="session")
def host_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rule as a process."""
    return build(Target.HOST, tmp_path_factory.mktemp("board") / "board")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The ARM image for the emulated board."""
    asked = request.config.getoption("--emulated")
    if not asked and not (os.environ.get("CI") and emulator.available()):
        pytest.skip("the emulated board runs in `make hil`, and in CI")
    if not emulator.available():
        pytest.fail(f"--emulated asks for {emulator.QEMU}, which is not installed")
    return build(Target.LM3S6965, tmp_path_factory.mktemp("board") / "board.elf")


@pytest.fixture(scope="module", params=TIERS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """One powered board for all tests of a module."""
    made: Rig
    if request.param == "pty":
        made = HostRig(request.getfixturevalue("host_program"), ROOT)
    elif request.param == "qemu":
        made = Emulator(request.getfixturevalue("image"), ROOT)
    else:
        port = request.config.getoption("--board")
        if port is None:
            pytest.skip("no real board: name one with --board")
        made = PortRig(port)
    yield made
    made.close()


@pytest.fixture
def board_root(rig: Rig, request: pytest.FixtureRequest) -> bytes:
    """The key of the board on the rig."""
    if rig.name != "port":
        return ROOT
    return Path(request.config.getoption("--board-key")).read_bytes()
