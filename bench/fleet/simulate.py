"""A whole fleet's devices against one witness and one broker, on this machine.

    python -m bench.fleet.simulate --devices 10000

Each device has its own key, its own small log and its own signed checkpoints. One witness
process answers over HTTP (SQLite, every change synced to disk before its answer), and one
mosquitto keeps the states. Some devices then fork or roll back their logs, drawn by a seed.
The broker is ended and started, and `framegate fleet status` reads everything in a new
process. One connection publishes for all devices, without TLS.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.figures import Figure
from bench.fleet.broker import Broker, mosquitto
from bench.fleet.simulated import Simulated, devices
from bench.fleet.trials import Shown, Visits, cheat, publish, restart, told_apart, visit
from bench.fleet.witness import Served
from edge.errors import GuardError

SCALE = 10_000  # devices that the goals are for
CHEATS = 1_000
RATE_PER_S = 300
VISIBLE_S = 5
_MOST_ROUNDS = 10  # then a size has three digits, and rows grow for that alone
EXAMPLES = """\
examples:
  python -m bench.fleet.simulate --devices 10000
  python -m bench.fleet.simulate --devices 500 --json

Goals are for 10,000 devices and 1,000 cheats; a smaller run measures and tries no goal of theirs.
Exit code: 0 if every goal is held, 1 if one was missed or not tried, 2 for bad input.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does."""

    devices: int
    cheats: int
    rounds: int = 3
    clients: int = 8
    seed: int = 1


def run(plan: Plan, folder: Path, say: Callable[[str], None]) -> list[Figure]:
    """Simulate; return the figures.

    Raises:
        GuardError: a part did not start, or an honest device was refused.
    """
    progress = _progress(say, plan.devices)
    fleet = devices(
        plan.devices, plan.cheats, plan.rounds, plan.seed, lambda n: progress("made", n)
    )
    served = Served(folder, [device.signer for device in fleet])
    try:
        visits = visit(fleet, served, plan.clients, progress)
        cosigned = cheat(fleet, served)
        say(f"{plan.cheats} cheats were sent to the witness")
        shown = _shown(fleet, served, folder, progress)
    finally:
        served.end()
    return figures_of(plan, fleet, visits, cosigned, shown)


def _shown(
    fleet: Sequence[Simulated], served: Served, folder: Path, progress: Callable[[str, int], None]
) -> Shown | str:
    """What the reader showed, or why there is none."""
    if mosquitto() is None:
        return "mosquitto is not installed: apt install mosquitto"
    if find_spec("paho") is None:
        return "paho-mqtt is not installed: pip install 'framegate[mqtt]'"
    broker = Broker(folder, tls=False)
    try:
        publish(fleet, broker, progress)
        return restart(broker, served, folder)
    finally:
        broker.end()


def figures_of(
    plan: Plan, fleet: Sequence[Simulated], visits: Visits, cosigned: int, shown: Shown | str
) -> list[Figure]:
    small = "" if plan.devices >= SCALE else f"the goal is for {SCALE:,} devices"
    found = [
        _goal("add-checkpoint", visits.per_s, f">= {RATE_PER_S}", "1/s", small),
        Figure("add-checkpoint, p50", visits.p50_ms, "", "ms"),
        Figure("add-checkpoint, p99", visits.p99_ms, "", "ms"),
        Figure("witness's database, a device", visits.stored_bytes, "", "bytes"),
        Figure(
            "its growth, a device and year",
            visits.grown_bytes_a_year,
            "",
            "bytes",
            note="8,760 visits, from the growth between the last two rounds",
        ),
        Figure("sent to it, a device and year", visits.sent_bytes_a_year / 1e6, "", "MB"),
        Figure("cheats that were cosigned", cosigned, "<= 0", ""),
    ]
    if isinstance(shown, str):
        names = (
            ("states not shown after a restart of the broker", "<= 0"),
            ("broker's restart until all are shown", f"<= {VISIBLE_S}"),
            ("forks and rollbacks found", f">= {CHEATS}"),
            ("honest devices accused", "<= 0"),
        )
        return found + [Figure(name, None, target, "", note=shown) for name, target in names]
    caught, accused = told_apart(fleet, shown)
    few = "" if plan.cheats >= CHEATS else f"the goal is for {CHEATS:,} cheats"
    missed = plan.cheats - caught
    return [
        *found,
        Figure(
            "states not shown after a restart of the broker", len(fleet) - shown.states, "<= 0", ""
        ),
        _goal("broker's restart until all are shown", shown.taken_s, f"<= {VISIBLE_S}", "s", small),
        # one that is not found is a miss in a run of any size
        _goal("forks and rollbacks found", caught, f">= {plan.cheats}", "", "" if missed else few),
        Figure("honest devices accused", accused, "<= 0", ""),
    ]


def _goal(name: str, value: float, target: str, unit: str, small: str) -> Figure:
    """A figure with a goal; not tried, with what was measured, in a run that is too small."""
    if not small:
        return Figure(name, value, target, unit)
    return Figure(name, None, target, unit, note=f"measured {value:.4g}; {small}")


def _progress(say: Callable[[str], None], count: int) -> Callable[[str, int], None]:
    step = max(1, count // 5)

    def report(what: str, number: int) -> None:
        if number % step == 0:
            say(f"{what}: {number}")

    return report


def _plan(args: argparse.Namespace, parser: argparse.ArgumentParser) -> Plan:
    cheats = min(CHEATS, args.devices // 10) if args.cheats is None else args.cheats
    for option, value, low, high in (
        ("--devices", args.devices, 10, 100_000),
        ("--cheats", cheats, 0, args.devices),
        ("--rounds", args.rounds, 2, _MOST_ROUNDS),
        ("--clients", args.clients, 1, 64),
    ):
        if not low <= value <= high:
            parser.error(f"{option}: expected {low} to {high}, got {value}")
    return Plan(args.devices, cheats, args.rounds, args.clients, args.seed)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.fleet.simulate",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--devices", type=int, default=SCALE, metavar="N", help="default 10000")
    parser.add_argument(
        "--cheats", type=int, metavar="N", help="how many fork or roll back (a tenth, at most 1000)"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="visits a device (3)")
    parser.add_argument("--clients", type=int, default=8, metavar="N", help="at once (8)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="draws the cheats (1)")
    parser.add_argument("--json", action="store_true", help="print data, not a table")
    plan = _plan(parser.parse_args(arguments), parser)
    as_json = parser.parse_args(arguments).json
    began_s = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began_s:5.1f} s] {line}", file=sys.stderr, flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix="framegate-simulate-") as folder:
            found = run(plan, Path(folder), say)
    except GuardError as err:
        print(f"simulate: {err}", file=sys.stderr)
        return 1
    if as_json:
        setting = {"devices": plan.devices, "cheats": plan.cheats, "seed": plan.seed}
        setting |= {"processors": os.cpu_count() or 0}
        print(json.dumps({**setting, "figures": [one.as_json() for one in found]}, indent=1))
    else:
        print("\n".join(_line(one) for one in found))
    return 0 if all(one.holds for one in found) else 1


def _line(figure: Figure) -> str:
    value = "-" if figure.value is None else f"{figure.value:,.5g}"
    goal = f"goal {figure.target}" if figure.target else ""
    return (
        f"{figure.name:48} {value:>9} {figure.unit:6} {goal:12} {figure.word:9} {figure.note}"
    ).rstrip()


if __name__ == "__main__":
    sys.exit(main())
