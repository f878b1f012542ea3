"""What the firmware costs, counted: the same on every machine."""

from __future__ import annotations

import json

import pytest

from edge.cli import main
from firmware_bridge.checks import cost
from firmware_bridge.images.build import Target, build
from firmware_bridge.process import TURN_MS


@pytest.mark.slow
@pytest.mark.parametrize("target", [Target.LM3S6965, Target.RP2040])
def test_a_lease_is_counted_the_same_each_time_and_within_its_budget(target, tmp_path):
    image = build(target, tmp_path / "board.elf")

    first = cost.instructions(target, image)

    assert cost.instructions(target, image) == first
    assert 4 * 1000 < first["lease"] <= cost.LEASE_LIMIT  # four compressions of SHA-256 at least
    assert first["reading"] < first["evidence"] < first["lease"]


@pytest.mark.slow
def test_the_command_prints_every_figure(capsys):
    assert main(["board", "cost", "--json"]) == 0

    figures = {f["name"]: f for f in json.loads(capsys.readouterr().out)["figures"]}
    assert figures["rp2040, flash"]["value"] > figures["rp2040, RAM less stack"]["value"] > 1000
    assert 0 < figures["bridge, 20 leases and 50 evidence/s"]["value"] < 50


@pytest.mark.slow
def test_the_bridges_share_is_the_running_process_and_not_its_rule_alone():
    """Waking up and system calls are most of it: the rule alone took a quarter of this."""
    turns, seconds = 1000 / TURN_MS, 0.5

    share = cost.bridge_share(seconds)

    assert share > turns * 5e-6 * 100, "each turn sleeps, reads two descriptors and writes one"
