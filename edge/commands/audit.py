"""`framegate audit`: check, read and prove from a log, with the public key alone."""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands._audit import _month, _prove, _prune, _quote
from edge.commands._audit._log import (
    TIME,
    line_of,
    log_key,
    old_checkpoint,
    read,
    say_whose_key,
    time_of,
)
from edge.commands._options import Actions, Options
from edge.commands._output import answer, complain, say
from edge.errors import AuditError, GuardError, UsageError

if TYPE_CHECKING:
    from edge.audit.attestation.quote import Proven
    from edge.audit.note import Verifier
    from edge.audit.proofs.verify import Verified

EXAMPLES = """\
examples:
  framegate audit verify out/audit --key log.pub      every entry and signature
  framegate audit show out/audit --kind permit
  framegate audit prove out/audit --from 2026-01-31T12:00:00Z --to 2026-01-31T13:00:00Z \\
      --out proof.json                                that no frame was released in that hour
  framegate audit verify-proof proof.json --key log.pub
  framegate audit verify out/audit --key log.pub --witnesses POLICY
  framegate audit prove out/audit --checkpoint kept --out continues   nothing before was changed
  framegate audit verify-proof continues --checkpoint kept --key log.pub
  framegate audit quote out/audit --ak 0x81010002     the TPM signs this machine's state
  framegate audit verify out/audit --quote out/audit/checkpoint.quote --ak ak.pem
  framegate audit report out/audit --month 2026-11 --out november
  framegate audit prune --config guard.toml           what is older than guard.toml keeps
"""


def register(subparsers: Actions) -> None:
    actions = subparsers.add_group(
        "audit",
        "check, read and prove from an audit log",
        description="Check, read and prove from an audit log, with the public key alone.",
        epilog=EXAMPLES,
    )
    key = Options.shared()
    key.path("--key PUB", "the device's public log key")
    key.flag("--json", "print data, not prose")
    log = Options.shared(key)
    log.path("log DIR", "the log's directory")

    verify = actions.add("verify", "check every entry and signature", _verify, parents=[log])
    verify.number("--floor N", "fail if the log has fewer entries than N", 0)
    verify.path("--checkpoint FILE", "fail if the log does not continue this one")
    verify.path(
        "--witnesses POLICY",
        "ask for this quorum of witnesses (C2SP tlog-policy) under the cosigned checkpoint",
    )
    verify.path("--cosigned FILE", "where it is (DIR/checkpoint.cosigned)")
    _quote.add_options(verify)

    show = actions.add("show", "print entries", _show, parents=[log])
    show.text("--from TIME", f"not before ({TIME})", dest="since")
    show.text("--to TIME", "not after", dest="until")
    show.text("--kind KIND", "only this kind (repeatable)", action="append")

    prove = _prove.register(actions, log, key)
    for parser in (verify, show, prove):
        parser.path("--archive FOLDER", _month.ARCHIVE)
    _month.register(actions, log)
    _quote.register(actions, log)

    export = actions.add("export", "copy a log, without secrets", _export, parents=[log])
    export.path("out OUT", "a new directory")

    _prune.register(actions)
    for action in actions.group.choices.values():
        action.set_defaults(handler=_reading(action.get_default("handler")))


def _reading(handler: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """A file of the log that cannot be read is bad input, not a bad log."""

    def handle(args: argparse.Namespace) -> int:
        try:
            return handler(args)
        except (BrokenPipeError, GuardError):  # a token that fails is both kinds of error
            raise
        except OSError as err:
            raise UsageError(f"cannot read {err.filename}: {err.strerror}") from err

    return handle


def _verify(args: argparse.Namespace) -> int:
    from edge.audit.attestation.attest import QuoteError
    from edge.audit.journal import BadEntry
    from edge.audit.proofs.verify import verify_log

    key = log_key(args)
    if args.floor < 0:
        raise UsageError(f"--floor: expected a count of entries, got {args.floor}")
    if args.witnesses is not None and args.checkpoint is not None:
        raise UsageError("verify: expected --checkpoint or --witnesses, got both")
    if args.cosigned is not None and args.witnesses is None:
        raise UsageError("verify: --cosigned belongs to --witnesses")
    _quote.check_options(args)
    seen = None if args.checkpoint is None else old_checkpoint(args, key)
    if args.witnesses is not None:
        try:
            seen = _cosigned(args, key)
        except AuditError as err:
            return complain(f"{args.log} is not witnessed: {err}")
    say_whose_key(args)
    quoted = None
    try:
        if args.quote is not None:
            quoted, seen = _quote.check(args, key)
        found = verify_log(args.log, key, floor=args.floor, seen=seen, archive=args.archive)
        if quoted is not None:
            _quote.check_age(args, quoted, found.published)
    except QuoteError as err:
        if args.json:
            print(json.dumps({"verified": False, "error": str(err)}))
        return complain(f"{args.quote} does not hold: {err}")
    except AuditError as err:
        index = err.index if isinstance(err, BadEntry) else None
        if args.json:
            print(json.dumps({"verified": False, "first_bad": index, "error": str(err)}))
        return complain(f"{args.log} does not verify: {err}")
    _print_verified(args, args.log, found, key, quoted)
    return 0


def _show(args: argparse.Namespace) -> int:
    from edge.audit.proofs.verify import verify_log
    from edge.audit.schema import Kind

    key = log_key(args)
    since = time_of(args.since, "--from") if args.since else None
    until = time_of(args.until, "--to") if args.until else None
    kinds = {kind.value for kind in Kind}
    for kind in args.kind or ():
        if kind not in kinds:
            raise UsageError(f"--kind {kind}: expected one of {', '.join(sorted(kinds))}")

    def on_entry(index: int, entry: bytes, fields: dict[str, Any]) -> None:
        if since is not None and time_of(fields["wall"], "wall") < since:
            return
        if until is not None and time_of(fields["wall"], "wall") > until:
            return
        if args.kind and fields["kind"] not in args.kind:
            return
        print(json.dumps({"index": index, **fields}) if args.json else line_of(index, fields))

    say_whose_key(args)
    try:
        found = verify_log(args.log, key, on_entry=on_entry, archive=args.archive)
    except AuditError as err:
        return complain(f"{args.log} does not verify: {err}")
    if found.receipt is not None and found.pruned:
        say(f"note: {found.receipt.words}")
    return 0


def _cosigned(args: argparse.Namespace, key: Verifier) -> bytes:
    """The checkpoint with enough cosignatures under it, which the log must continue."""
    from edge.commands._fleet._common import read_policy
    from edge.fleet.courier import COSIGNED, quorum

    policy = read_policy(args.witnesses)
    place = args.cosigned or args.log / COSIGNED
    if not place.exists():
        raise AuditError(f"there is no {place}: no courier has brought a cosignature back")
    note = read(place)
    for found in quorum(note, policy, key):
        moment = datetime.datetime.fromtimestamp(found.time_s, datetime.timezone.utc)
        say(f"cosigned by {found.witness.name} at {moment:%Y-%m-%dT%H:%M:%SZ}")
    return note


def _export(args: argparse.Namespace) -> int:
    from edge.audit.proofs.export import export_log

    key = log_key(args)
    try:
        found = export_log(args.log, args.out, key)
    except AuditError as err:
        return complain(f"{args.log} does not verify, so nothing was exported: {err}")
    say_whose_key(args)
    _print_verified(args, args.out, found, key)
    return 0


def _print_verified(
    args: argparse.Namespace,
    where: Path,
    found: Verified,
    key: Verifier,
    quoted: Proven | None = None,
) -> None:
    data = {
        "verified": True,
        "entries": found.entries,
        "root": found.root.hex(),
        "segments": found.segments,
        "published": found.published,
        "torn_bytes": found.torn_bytes,
        "pruned": found.pruned,
        "key": key.text,
    }
    segments = f"{found.segments} segment" + "s" * (found.segments != 1)
    lines = [
        f"{where}: {found.entries} entries in {segments} verify",
        f"size {found.entries}  root {found.root.hex()}  published {found.published}",
    ]
    if found.torn_bytes:
        lines.append(f"{found.torn_bytes} bytes of an unfinished write follow; they are no entry")
    if found.receipt is not None and found.pruned:
        lines.append(f"{found.receipt.words}; their hashes verify")
    if quoted is not None:
        data["quote"] = _quote.data(args, quoted)
        lines += _quote.lines(args, quoted)
    answer(args, data, lines)
