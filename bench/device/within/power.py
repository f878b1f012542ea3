"""Writes the audit log on the device's data disk until the power is cut; checks it first.

    python -m bench.device.within.power KEY LOG ACKNOWLEDGED [--entries N]

The host reads two kinds of line on the console: what was found after the last cut, and
`size root` after each entry that is durable. ACKNOWLEDGED is the last such size that the host
has read. The log must hold at least that, with the same root at that size.
"""

from __future__ import annotations

import argparse
import sys
from itertools import count
from pathlib import Path

from edge.audit.files import Files
from edge.audit.journal import read_journal
from edge.audit.log import AuditLog
from edge.audit.note import Signer, Verifier
from edge.audit.proofs.verify import verify_log
from edge.audit.schema import Context, Deny, End, Entry, Permit, Stamp
from edge.errors import AuditError
from edge.evidence.readings import Source
from edge.reasons import Reason

PREFIX = "device: power"
SEGMENT_ENTRIES = 64  # a new segment often, so that cuts hit its beginning as well
_NOON_NS = 1_767_268_800 * 10**9


def roots(log: Path, key: Verifier) -> list[str]:
    """The root after each entry of a log that verifies wholly.

    Raises:
        AuditError: it does not verify.
    """
    found: list[str] = []
    verify_log(log, key)
    read_journal(
        Files(),
        log,
        key,
        every_signature=False,
        on_entry=lambda index, entry, tree: found.append(tree.root().hex()),
    )
    return found


def write(log: AuditLog, rounds: int | None) -> None:
    """Append permits, ends and denials; report the root after each durable entry."""
    for _ in count() if rounds is None else range(rounds):
        t = log.size
        for entry, durable in zip(entries(t), (True, False, False), strict=True):
            log.append(entry, durable=durable)
            if durable:
                _say(f"durable {log.size} {log.root.hex()}")


def entries(t: int) -> tuple[Entry, Entry, Entry]:
    """A permit, its end and a denial, `t` seconds after noon of a day."""
    t_ns = t * 10**9
    stamp = Stamp(bytes(16), t_ns, _NOON_NS + t_ns, bytes(16), bytes(32))
    permit = Permit(stamp, t, Context.CONTROLLED, t, ("FA-03",), (Source.VIEW,))
    end = End(stamp, t, (Reason.VIEW_FOREIGN,), ("GD-07",), 10, t)
    deny = Deny(stamp, Context.UNCONTROLLED, (Reason.MOTION,), ("MS-02",))
    return permit, end, deny


def _say(line: str) -> None:
    with open("/dev/console", "w", encoding="ascii", errors="replace") as console:
        console.write(f"{PREFIX} {line}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="write the log until the power is cut")
    parser.add_argument("key", type=Path)
    parser.add_argument("log", type=Path)
    parser.add_argument("acknowledged", type=int)
    parser.add_argument("--entries", type=int, help="end after three times so many")
    args = parser.parse_args()
    key = Signer.parse(args.key.read_text())
    _say("begins")
    try:
        log = AuditLog.create_or_open(
            args.log, key, floor=args.acknowledged, segment_entries=SEGMENT_ENTRIES
        )
        held = roots(args.log, key.verifier)
        known = held[args.acknowledged - 1] if args.acknowledged else "-"
        _say(f"found {len(held)} {known}")
        write(log, args.entries)
        log.close()
        _say(f"closed {len(roots(args.log, key.verifier))}")
    except AuditError as err:
        _say(f"refused {err}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
