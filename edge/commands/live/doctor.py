"""`framegate doctor`: what this machine offers the guard, and what to do about the rest."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands._options import Actions
from edge.commands._output import say
from edge.commands.live._user import add_user, become

if TYPE_CHECKING:
    from edge.diagnosis.findings import Finding

EXAMPLES = """\
examples:
  framegate doctor                                    before the first run
  framegate doctor --size 1920x1080                   does this machine keep up with such a camera?
  framegate doctor --quick                            without measuring
  framegate doctor --config guard.toml                is there anything that would stop its start?
  framegate doctor --place /var/lib/framegate --audit /var/lib/framegate/audit
"""


_USUAL = (1280, 720)  # pixels
_LARGEST_PX = 8192
_VIEW_BYTES = 1 << 20


def register(subparsers: Actions) -> None:
    parser = subparsers.add(
        "doctor",
        "check whether this machine can run the guard",
        _doctor,
        description="Checks kernel, clocks, scheduling, disk, keys, models, policy, camera and "
        "board, and measures in some seconds whether this machine starts and reads evidence fast "
        "enough. Exit code 1 if something is missing that no guard can run without; what only some "
        "uses need is reported, too.",
        epilog=EXAMPLES,
    )
    parser.path("--keys DIR", "key directory; by default that of --config, else the usual one")
    parser.path("--place DIR", "folder where the guard will write", default=Path("."))
    parser.path("--audit DIR", "also verify this audit log")
    parser.path("--config FILE", "also check this guard.toml")
    parser.text(
        "--size WxH",
        "of the camera's pictures, to measure with; by default that of the enrolled view of "
        f"--config, else {_USUAL[0]}x{_USUAL[1]}",
        type=_size,
    )
    parser.flag("--quick", "leave the measurement out")
    add_user(parser)
    parser.flag("--json", "print data, not prose")


def _doctor(args: argparse.Namespace) -> int:
    from edge.daemon.check import problems
    from edge.diagnosis.findings import configuration, silent_camera, summary
    from edge.diagnosis.probes import examine

    become(args.user)
    findings = examine(args.keys or _key_folder(args.config), args.place.resolve(), args.audit)
    if args.config is not None:
        findings.append(configuration(str(args.config), problems(args.config)))
        if silence := _silence(args.config):
            findings.append(silent_camera(silence))
    if not args.quick:
        findings.extend(_speed(args))
    if args.json:
        rows = [{**asdict(f), "state": f.state.value} for f in findings]
        print(json.dumps(rows, indent=1))
    else:
        for f in findings:
            print(f"{f.state.value:<8}  {f.part}: {f.found}")
            if f.todo:
                print(f"          -> {f.todo}")
        print(f"\n{summary(findings)}")
    return 1 if any(f.stops for f in findings) else 0


def _key_folder(config: Path | None) -> Path | None:
    """The keys of a guard.toml; None for the usual ones, also where the file has a fault."""
    from edge.daemon.settings import load_settings
    from edge.errors import GuardError

    with contextlib.suppress(GuardError, OSError):
        return None if config is None else load_settings(config).plan.keys
    return None


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and len(text) <= 9):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT as 1280x720, got {text[:20]!r}")
    if not all(64 <= side <= _LARGEST_PX for side in (int(width), int(height))):
        raise argparse.ArgumentTypeError(f"expected sides of 64 to {_LARGEST_PX}, got {text}")
    return int(width), int(height)


def _speed(args: argparse.Namespace) -> list[Finding]:
    """How fast this machine starts and reads evidence, as far as it can be measured."""
    from edge.diagnosis import pace, rates

    size, limit_s, bracketed, masked = _site(args.config)
    width, height = args.size or size
    say(f"measuring at {width}x{height}, some seconds (--quick: not)")
    found = pace.measure(width, height, masked=masked)
    if isinstance(found, str):
        return [rates.unmeasured(found)]
    return [rates.start(found, limit_s), rates.rates(found, bracketed=bracketed)]


def _site(config: Path | None) -> tuple[tuple[int, int], float, bool, bool]:
    """Picture size, start limit, bracketed release and masked lane of a guard.toml, or the usual.

    What is wrong with the file is said by its own finding.
    """
    from edge.audit.schema import Release
    from edge.commissioning.records import load_device, load_session
    from edge.daemon.settings import load_settings
    from edge.errors import GuardError
    from edge.files import read_named
    from edge.scheduling import START_LIMIT_S
    from edge.view.view_file import ViewFile

    size, limit_s, bracketed, masked = _USUAL, START_LIMIT_S, True, False
    with contextlib.suppress(GuardError, OSError):
        if config is not None:
            plan = load_settings(config).plan
            limit_s = plan.start_limit_s
            bracketed = plan.release == Release.BRACKETED.value
            masked = load_session(plan.session).operation.masked
            place = load_device(plan.device).fingerprint
            if place is not None:
                view = ViewFile.from_bytes(read_named(place, _VIEW_BYTES))
                size = (view.width, view.height)
    return size, limit_s, bracketed, masked


def _silence(config: Path) -> str:
    """Since when the daemon of this guard.toml has had no frame; empty if it has, or none runs."""
    from edge.commands.live.status import read
    from edge.daemon.settings import load_settings
    from edge.errors import GuardError
    from edge.status.alive import camera_silence

    try:
        snapshot = read(load_settings(config).status_file, time.time())
    except GuardError:
        return ""  # the finding on the configuration says why
    return camera_silence(snapshot) if snapshot is not None else ""
