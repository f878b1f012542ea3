"""`framegate bench`: measure the guard on this device and compare it with other ways."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from edge.commands._options import Actions
from edge.commands._output import answer, needing, say

EXAMPLES = """\
examples:
  framegate bench                       the whole table, under two minutes
  framegate bench --quick --json        fewer rounds, as JSON
  framegate bench --profile pi-4        held back to what a Raspberry Pi 4 has
  framegate bench --footprint           memory, processor, wake-ups and disk of the whole guard
  framegate bench --footprint --profile pi-zero-2w
                                        whether frames flow on what that board has

Needs what `pip install 'framegate[test,bench]'` installs; a peer that is
missing is named, and a target that needs it is "not tried".
exit code: 1 if a target was missed or not tried, else 0.
"""
_PROFILES = ("pi-zero-2w", "pi-4", "pi-5", "jetson-orin-nano")


def register(commands: Actions) -> None:
    parser = commands.add(
        "bench",
        "measure the guard on this device",
        run,
        description=__doc__,
        epilog=EXAMPLES,
        pictures=True,
    )
    parser.flag("--json", "print the figures as JSON")
    parser.flag("--quick", "fewer and shorter rounds")
    parser.flag(
        "--footprint", "measure the whole guard instead: frames flowing, blocked, without a camera"
    )
    parser.choice("--profile", "limit processor and memory to what this board has", _PROFILES)
    parser.path(
        "--out DIR",
        "folder for bench.json, footprint.json and report.html (default out/bench)",
        default=Path("out/bench"),
    )


def run(args: argparse.Namespace) -> int:
    """Measure, write the files, print the table; 1 if a target was missed or not tried."""
    from edge.report.record import write_atomic

    with needing("bench: expected what framegate[test,bench] installs"):
        from bench import profiles, suite
        from bench.footprint import run as footprint
        from bench.footprint import small
        from bench.web import page

    confinement = None
    if args.profile is not None and not args.footprint:
        confinement = profiles.confine(args.profile)
        say(f"confined to {args.profile} by {confinement.means}")
        for lacking in confinement.not_done:
            say(f"could not do: {lacking}")
    lines: list[str] = []
    if args.footprint and args.profile is not None:
        result = small.measure(args.profile, 5.0 if args.quick else 30.0, say)
    elif args.footprint:
        result, lines = footprint.result(5.0 if args.quick else 30.0, say)
    else:
        result = suite.run(suite.QUICK if args.quick else suite.FULL, say, confinement)
    name = "footprint" if args.footprint else "bench"
    data = result.as_json()
    write_atomic(args.out / f"{name}.json", json.dumps(data, indent=2) + "\n")
    answer(args, data, (*lines, *page.table(result)), indent=2)
    if not args.footprint:
        write_atomic(args.out / "report.html", page.render(result))
        say(f"report: {args.out / 'report.html'}")
    return 0 if all(figure.holds for figure in result.figures if figure.target) else 1
