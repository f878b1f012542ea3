"""The fleet simulator in small: a real witness, a real broker, cheats found, nobody accused."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from bench.figures import Figure, State
from bench.fleet.broker import DEPLOY, mosquitto
from bench.fleet.seeded import BAD, Kind
from bench.fleet.simulate import CHEATS, SCALE, Plan, figures_of, main
from bench.fleet.simulated import devices
from bench.fleet.trials import Shown, Visits
from edge.fleet.state.findings import CRITICAL, Finding, Heard, Witnessed, findings
from edge.fleet.witness import Head

VISITS = Visits(400.0, 2.0, 9.0, 290.0, 0.0, 1e6)


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(mosquitto() is None, reason="no mosquitto here")
def test_a_small_run_finds_every_cheat_and_claims_no_goal_of_a_large_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: framegate[mqtt]")

    assert main(["--devices", "50", "--rounds", "2", "--json"]) == 1  # its goals were not tried

    printed = capsys.readouterr()
    printed_data = json.loads(printed.out)
    figures = {one["name"]: one for one in printed_data["figures"]}
    assert (printed_data["devices"], printed_data["cheats"]) == (50, 5)
    assert figures["honest devices accused"]["value"] == 0
    assert figures["cheats that were cosigned"]["value"] == 0
    assert figures["states not shown after a restart of the broker"]["value"] == 0
    assert figures["forks and rollbacks found"]["note"].startswith("measured 5;")
    assert figures["add-checkpoint"]["state"] == "not tried"
    assert figures["broker's restart until all are shown"]["state"] == "not tried"
    assert "visits: 100" in printed.err


def test_one_cheat_that_is_not_found_or_one_device_that_is_accused_is_a_miss() -> None:
    fleet = devices(20, 4, 2, 1, lambda number: None)
    bad = frozenset(one.name for one in fleet if one.kind in BAD)
    good = next(one.name for one in fleet if one.kind not in BAD)
    plan = Plan(20, 4)

    right = by_name(figures_of(plan, fleet, VISITS, 0, Shown(1.0, 20, bad)))
    assert right["forks and rollbacks found"].state is State.NOT_TRIED  # four are not 1,000
    assert right["honest devices accused"].state is State.HELD
    wrong = by_name(figures_of(plan, fleet, VISITS, 1, Shown(1.0, 19, bad - {min(bad)} | {good})))
    for name in (
        "forks and rollbacks found",
        "honest devices accused",
        "cheats that were cosigned",
        "states not shown after a restart of the broker",
    ):
        assert wrong[name].state is State.MISSED, name


def test_goals_are_held_at_full_scale_alone_and_missed_there_when_they_are() -> None:
    fleet = devices(20, 4, 2, 1, lambda number: None)
    bad = frozenset(one.name for one in fleet if one.kind in BAD)
    slow = Visits(299.0, 2.0, 9.0, 290.0, 0.0, 1e6)
    names = ("add-checkpoint", "broker's restart until all are shown")
    for plan, visits, taken_s, wanted in (
        (Plan(SCALE, CHEATS), VISITS, 4.9, State.HELD),
        (Plan(SCALE, CHEATS), slow, 5.1, State.MISSED),
        (Plan(SCALE - 1, CHEATS), VISITS, 4.9, State.NOT_TRIED),
    ):
        figures = by_name(figures_of(plan, fleet, visits, 0, Shown(taken_s, 20, bad)))
        assert [figures[name].state for name in names] == [wanted, wanted]
    without = by_name(figures_of(plan, fleet, VISITS, 0, "mosquitto is not installed"))
    assert without["forks and rollbacks found"].note == "mosquitto is not installed"
    assert not without["forks and rollbacks found"].holds


def test_each_kind_of_device_is_what_its_name_says() -> None:
    """The states alone, beside what an honest witness has of the log."""
    found: dict[Kind, set[Finding]] = {}
    for device in devices(120, 60, 2, 3, lambda number: None):
        note = device.visits[-1].note
        state = device.state(1_000)
        size = int(note.split(b"\n")[1])
        root = b64decode(note.split(b"\n")[2])
        seen = Witnessed(Head(size, root, note), 1_000, False)
        printed_data = findings(Heard(state), seen, 1_010, 10_800)
        found.setdefault(device.kind, set()).update(
            one.finding for one in printed_data if one.finding in CRITICAL
        )
        assert bool(device.cheat) == (device.kind in BAD)
    assert found.keys() == set(Kind)
    for kind, critical in found.items():
        assert bool(critical) == (kind in BAD), kind


def test_the_shipped_broker_has_room_for_every_state_of_the_fleet() -> None:
    """Mosquitto drops what is above, of QoS 0 as well: devices would be shown without a state."""
    (line,) = [
        line
        for line in (DEPLOY / "mosquitto.conf").read_text().splitlines()
        if line.startswith("max_queued_messages ")
    ]
    assert int(line.split()[1]) >= 2 * 10 * SCALE


def test_which_devices_cheat_is_drawn_by_the_seed() -> None:
    def kinds(seed: int) -> list[Kind]:
        return [one.kind for one in devices(30, 10, 2, seed, lambda number: None)]

    assert kinds(5) == kinds(5) != kinds(6)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("--devices 9", "--devices: expected 10 to 100000, got 9"),
        ("--devices 50 --cheats 51", "--cheats: expected 0 to 50, got 51"),
        ("--rounds 1", "--rounds: expected 2 to 10, got 1"),
    ],
)
def test_bad_input_is_one_line(
    arguments: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert wanted in capsys.readouterr().err.splitlines()[-1]
