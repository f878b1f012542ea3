"""The short suite on an emulated device: only where one was built before, by `make arm64`.

`make long` runs it on every machine. `make test` runs it on one where FRAMEGATE_DEVICE is set, as
in a job that restores the cache: it takes minutes, and its board has real-time limits.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.device import boot, host, machines, suite
from bench.device.image.build import Builder
from bench.device.image.cache import Cache
from edge.models.pull import assets_dir

WANTED = os.environ.get("FRAMEGATE_DEVICE")
pytestmark = [pytest.mark.timeout(3600)]


def short_suite(name: str, out: Path, clip: Callable[[str], Path]) -> None:
    """Doctor, the board's checks and one replay on a machine that was built before."""
    clip(suite.SHORT_CLIPS[0])
    machine, folder = machines.machine(name), assets_dir() / "arm64"
    builder = Builder(Cache(folder, print), None)
    if not builder.built(machine.pages):
        pytest.skip("no emulated device was built; run `make arm64`")
    if lack := host.lacking(host.look(folder), machine, built=True):
        pytest.skip(lack)
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("needs qemu-system-arm for the board")
    rows = suite.suite(suite.SHORT_CLIPS, tests=False, board=True)

    ended = boot.run(machine, builder.build(machine.pages), rows, out / "device", print)

    ours = boot.host_decisions(rows, out, print)
    lines = suite.judge(rows, ended.report, ended.logs(), ours)
    assert all(line.holds for line in lines), suite.table(name, lines)


@pytest.mark.guard
@pytest.mark.slow
@pytest.mark.skipif(not WANTED, reason="set FRAMEGATE_DEVICE=1 where `make arm64` built a device")
def test_the_guard_decides_on_one_emulated_device_as_it_does_here(
    tmp_path: Path, clip: Callable[[str], Path]
) -> None:
    short_suite("pi-4-class", tmp_path, clip)


@pytest.mark.long
@pytest.mark.parametrize("name", [machine.name for machine in machines.MACHINES])
def test_the_guard_decides_on_every_emulated_device_as_it_does_here(
    name: str, tmp_path: Path, clip: Callable[[str], Path]
) -> None:
    short_suite(name, tmp_path, clip)
