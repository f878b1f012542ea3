"""What the actions of `framegate audit` share: the log's key, times, and how entries are put."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands._output import say
from edge.errors import AuditError, UsageError, meaning, wrong_in
from edge.files import MODEL_BYTES, read_given

if TYPE_CHECKING:
    from edge.audit.note import Verifier

TIME = "UTC time, e.g. 2026-01-31T12:00:00Z"


def line_of(index: int, fields: dict[str, Any]) -> str:
    """One entry as text: index, time, kind, then its own fields."""
    stamp = {"kind", "boot_id", "mono_ns", "wall", "camera", "policy"}
    own = " ".join(f"{k}={_plain(v)}" for k, v in fields.items() if k not in stamp)
    return f"{index:>6}  {fields['wall']}  {fields['kind']:<12}  {own}".rstrip()


def _plain(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return ",".join(value) or "-"
    return json.dumps(value).strip('"')


def time_of(text: str, option: str) -> int:
    """Nanoseconds of a UTC time, with or without milliseconds."""
    from edge.audit.forms import wall_ns

    whole = text if "." in text else text.removesuffix("Z") + ".000Z"
    with meaning(f"{option}: expected {TIME}, got {text!r}", AuditError):
        return wall_ns(whole)


def log_key(args: argparse.Namespace) -> Verifier:
    """The key to trust: the one given, or the one the log carries."""
    from edge.commissioning.keys import read_verifier

    if not (args.log / "segments").is_dir():
        raise UsageError(f"{args.log} holds no audit log (expected a directory with segments/)")
    if args.key is not None:
        return read_verifier(args.key)
    return read_verifier(args.log / "log.pub")


def say_whose_key(args: argparse.Namespace) -> None:
    """Say that the log's own key is trusted; once the command line is known to be good."""
    if args.key is None:
        say(
            f"note: trusting {args.log / 'log.pub'}, which came with the log; "
            "give --key for proof of who wrote it"
        )


def read(path: Path) -> bytes:
    """A file of a log, or about one."""
    return read_given(path, MODEL_BYTES)


def old_checkpoint(args: argparse.Namespace, key: Verifier) -> bytes:
    """The older checkpoint that --checkpoint names, signed by the same key."""
    from edge.audit.note import NoteError, read_note

    old = read(args.checkpoint)
    with wrong_in(args.checkpoint, NoteError):
        read_note(old, [key])
    return old
