"""The short suite on an emulated device: only where one was built before, by `make arm64`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.device import boot, host, machines, suite
from bench.device.image.build import Builder
from bench.device.image.cache import Cache
from edge.models.pull import assets_dir

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("name", ["pi-4-class", "pi-5-class"])
def test_the_guard_decides_on_an_emulated_device_as_it_does_here(
    name: str, tmp_path: Path, clip: Callable[[str], Path]
) -> None:
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

    ended = boot.run(machine, builder.build(machine.pages), rows, tmp_path / "out", print)

    ours = boot.host_decisions(rows, tmp_path, print)
    lines = suite.judge(rows, ended.report, ended.logs(), ours)
    assert all(line.holds for line in lines), suite.table(name, lines)
