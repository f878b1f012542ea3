"""`framegate audit`: check a log with nothing but the device's public key."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import AuditError, UsageError

if TYPE_CHECKING:
    from edge.audit.note import Verifier

EXAMPLES = """\
examples:
  framegate audit verify out/audit                    against the key that came with the log
  framegate audit verify out/audit --key log.pub      against a key you trust
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "audit",
        help="check and read an audit log",
        description="Check and read an audit log.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    log = argparse.ArgumentParser(add_help=False)
    log.add_argument("log", type=Path, metavar="DIR", help="the log's directory")
    log.add_argument("--key", type=Path, metavar="PUB", help="the device's public log key")
    log.add_argument("--json", action="store_true", help="print data, not prose")
    verify = actions.add_parser("verify", parents=[log], help="check every entry and signature")
    verify.add_argument(
        "--floor", type=int, default=0, metavar="N", help="entries known to be in the log"
    )
    verify.set_defaults(handler=_verify)


def _verify(args: argparse.Namespace) -> int:
    from edge.audit.journal import BadEntry
    from edge.audit.verify import verify_log

    key = _key(args)
    try:
        found = verify_log(args.log, key, floor=args.floor)
    except AuditError as err:
        index = err.index if isinstance(err, BadEntry) else None
        if args.json:
            print(json.dumps({"verified": False, "first_bad": index, "error": str(err)}))
        print(f"framegate: {args.log} does not verify: {err}", file=sys.stderr)
        return 1
    root = found.root.hex()
    if args.json:
        print(
            json.dumps(
                {
                    "verified": True,
                    "entries": found.entries,
                    "root": root,
                    "segments": found.segments,
                    "published": found.published,
                    "torn_bytes": found.torn_bytes,
                    "key": key.text,
                }
            )
        )
        return 0
    print(f"{args.log}: {found.entries} entries in {found.segments} segments verify")
    print(f"size {found.entries}  root {root}  published {found.published}")
    if found.torn_bytes:
        print(f"{found.torn_bytes} bytes of an unfinished write follow; they are no entry")
    return 0


def _key(args: argparse.Namespace) -> Verifier:
    """The key to trust: the one given, or the one the log carries, said aloud."""
    from edge.keys import read_verifier

    if not (args.log / "segments").is_dir():
        raise UsageError(f"{args.log} holds no audit log (expected a directory with segments/)")
    if args.key is not None:
        return read_verifier(args.key)
    beside = args.log / "log.pub"
    print(
        f"note: trusting {beside}, which came with the log; give --key for proof of who wrote it",
        file=sys.stderr,
    )
    return read_verifier(beside)
