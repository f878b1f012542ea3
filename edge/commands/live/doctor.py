"""`framegate doctor`: what this machine offers the guard, and what to do about the rest."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from edge.commands.live._user import add_user, become

EXAMPLES = """\
examples:
  framegate doctor                                    before the first run
  framegate doctor --config guard.toml                is there anything that would stop its start?
  framegate doctor --place /var/lib/framegate --audit /var/lib/framegate/audit
"""


def register(subparsers: Any) -> None:
    """Add `doctor` to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="check whether this machine can run the guard",
        description="Checks kernel, clocks, scheduling, disk, keys, models, policy, camera and "
        "board. Exit code 1 if something is missing that no guard can run without; what only some "
        "uses need is reported, too.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--keys", type=Path, metavar="DIR", help="key directory")
    parser.add_argument(
        "--place",
        type=Path,
        default=Path("."),
        metavar="DIR",
        help="folder where the guard will write",
    )
    parser.add_argument("--audit", type=Path, metavar="DIR", help="also verify this audit log")
    parser.add_argument("--config", type=Path, metavar="FILE", help="also check this guard.toml")
    add_user(parser)
    parser.add_argument("--json", action="store_true", help="print data, not prose")
    parser.set_defaults(handler=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    from edge.daemon.check import problems
    from edge.diagnosis.findings import configuration, silent_camera, summary
    from edge.diagnosis.probes import examine

    become(args.user)
    findings = examine(args.keys, args.place.resolve(), args.audit)
    if args.config is not None:
        findings.append(configuration(str(args.config), problems(args.config)))
        if silence := _silence(args.config):
            findings.append(silent_camera(silence))
    if args.json:
        rows = [
            {
                "part": f.part,
                "state": f.state.value,
                "found": f.found,
                "todo": f.todo,
                "needed": f.needed,
            }
            for f in findings
        ]
        print(json.dumps(rows, indent=1))
    else:
        for f in findings:
            print(f"{f.state.value:<8}  {f.part}: {f.found}")
            if f.todo:
                print(f"          -> {f.todo}")
        print(f"\n{summary(findings)}")
    return 1 if any(f.stops for f in findings) else 0


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
