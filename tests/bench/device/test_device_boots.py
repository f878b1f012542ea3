"""The short part on every class of emulated device: only where `make arm64` has built one.

`.ci/run` runs it on one class after the tests, by `python -m bench.device.short`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.device import machines, short, suite
from bench.device.image.build import Builder
from bench.device.image.cache import Cache
from edge.models.pull import assets_dir


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", machines.MACHINES, ids=lambda m: m.name)
def test_the_guard_decides_on_every_emulated_device_as_it_does_here(
    machine: machines.Machine, tmp_path: Path
) -> None:
    folder = assets_dir() / "arm64"
    builder = Builder(Cache(folder, print), None)
    if reason := short.why_not(machine, builder, folder):
        pytest.skip(reason)

    lines = short.run(machine, builder.build(machine.pages), tmp_path, print)

    table = suite.table(machine.name, lines)
    assert all(line.holds for line in lines), table
    assert "frames pass" in table and " 0 of " not in table
