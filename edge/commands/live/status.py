"""`framegate status`: what the daemon does now, in the terminal or as JSON."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from edge.commands._options import Actions
from edge.commands._output import complain

EXAMPLES = """\
examples:
  framegate status --config guard.toml              once
  framegate status --config guard.toml --watch      until ^C
  framegate status --config guard.toml --json       for a program

Exit code 0 while the daemon runs, 1 if it does not.
"""
_EVERY_S = 0.5
_MAX_BYTES = 1 << 20


def register(commands: Actions) -> None:
    parser = commands.add(
        "status",
        "show what the daemon does now",
        run,
        description="Show what the daemon does now and why. It shows no picture and no view score.",
        epilog=EXAMPLES,
    )
    parser.path("--config CONFIG", "the daemon's guard.toml", required=True)
    parser.flag("--json", "print the snapshot as JSON")
    parser.flag("--watch", "repeat until ^C")


def run(args: argparse.Namespace) -> int:
    """Print the newest snapshot, once or again and again."""
    from edge.daemon.settings import load_settings

    file = load_settings(args.config).status_file
    if args.watch and not args.json:
        return _watch(file)
    snapshot = read(file, time.time())
    if snapshot is None:
        return complain(f"the daemon is not running: nothing new in {file}")
    print(json.dumps(snapshot) if args.json else "\n".join(lines(snapshot)))
    return 0


def read(file: Path, wall_s: float) -> dict[str, Any] | None:
    """The snapshot in `file`; None if there is none, it is old, or its daemon is gone."""
    from edge.files import read_plain
    from edge.status.alive import STALE_S, abandoned, as_of

    try:
        snapshot: dict[str, Any] = json.loads(read_plain(file, _MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if abandoned(file):
        return None
    at_s = snapshot.get("at_s") if isinstance(snapshot, dict) else None
    if not isinstance(at_s, int | float) or not abs(wall_s - at_s) <= STALE_S:  # nor NaN
        return None
    return as_of(snapshot, max(0.0, wall_s - at_s))


def lines(snapshot: dict[str, Any]) -> list[str]:
    """A snapshot in plain words."""
    from edge.status.alive import FRESH_S, camera_silence, headline, unproven_board

    rows = [f"{headline(snapshot)}  ({snapshot['phase']}, context {snapshot['context']})"]
    age_s = snapshot.get("age_s", 0.0)
    if age_s > FRESH_S:
        rows.append(f"  the daemon has reported nothing for {age_s:.1f} s")
    if silence := camera_silence(snapshot):
        rows.append(f"  {silence}")
    if snapshot["phase"] != "running" and snapshot["trouble"]:
        rows.append(f"  {snapshot['trouble']}")
    if board := unproven_board(snapshot["facts"]):
        rows.append(f"  a {board} is in use; its sensors prove nothing")
    if snapshot.get("escape"):
        rows.append(f"  the matcher tried: {snapshot['escape']}")
    rows += [f"  {r['code']:20} {r['happened']}" for r in snapshot["reasons"]]
    rows += [f"  rule {r['id']:15} {r['says']}" for r in snapshot["rules"]]
    for reading in snapshot["evidence"]:
        why = ", ".join(reading["reasons"]) or "good"
        rows.append(f"  {reading['source']:12} {reading['age_s']:6.1f} s  {why}")
    times = snapshot["gate_us"]
    gate = f"gate {times['p50']:.0f} µs p50, {times['p99']:.0f} µs p99" if times else "no frame yet"
    counts = snapshot["frames"]
    rows.append(f"  {counts['released']} released, {counts['blocked']} blocked, {gate}")
    rows.append(f"  restarts: {snapshot['health']['restarts']}")
    rows.append(f"  matchers lost: {snapshot['health']['matcher_lost']}")
    for other in snapshot.get("also", []):
        rows += _other(other)
    return rows


def _other(other: dict[str, Any]) -> list[str]:
    """One more matcher on the camera, in plain words."""
    lane = f", lane {other['lane']}" if other["lane"] else ""
    counts = other["frames"]
    rows = [
        f"matcher {other['name']}{lane}: {'frames pass' if other['permitted'] else 'blocked'}",
        *(f"  {r['code']:20} {r['happened']}" for r in other["reasons"]),
        f"  {counts['released']} released, {counts['blocked']} blocked",
        f"  matchers lost: {other['matcher_lost']}",
    ]
    if other["escape"]:
        rows.insert(1, f"  the matcher tried: {other['escape']}")
    return rows


def _watch(file: Path) -> int:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            snapshot = read(file, time.time())
            words = ["the daemon is not running"] if snapshot is None else lines(snapshot)
            live.update(Text("\n".join(words)), refresh=True)
            time.sleep(_EVERY_S)
