"""`framegate audit report`: a month of the log for people who have to answer for it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands._audit._log import log_key, say_whose_key
from edge.commands._options import Actions, Options
from edge.commands._output import complain
from edge.errors import AuditError, UsageError
from edge.files import named_by_user, read_named, write_whole

if TYPE_CHECKING:
    from edge.report.record import RuleNote


ARCHIVE = "where `prune` moved entries to; they are read beside the log"


def register(actions: Actions, log: Options) -> None:
    parser = actions.add(
        "report",
        "a month as a page and a table, with a proof of each row",
        run,
        parents=[log],
        description="Write a month of the log to OUT: report.html, its tables as CSV "
        "(report.csv has the permits), and the proof of each row in proofs/. The log is verified "
        "first, as by `audit verify`.",
    )
    parser.text("--month YYYY-MM", "which month, in UTC", required=True)
    parser.path("--archive FOLDER", ARCHIVE)
    parser.path("--out OUT", "a new folder", required=True)


def run(args: argparse.Namespace) -> int:
    """Verify, add up, write; 1 if the log does not verify."""
    from edge.audit.proofs.tiled import prove_from_tiles, size_of
    from edge.audit.proofs.verify import verify_log
    from edge.report.month import Month, MonthCounter
    from edge.report.month_csv import tables
    from edge.report.month_page import page, proof_name, proven

    key = log_key(args)
    say_whose_key(args)
    counter = MonthCounter(Month.parse(args.month))
    if args.out.exists():
        raise UsageError(f"{args.out} is there already: nothing is overwritten")
    checkpoint = _checkpoint(args.log / "checkpoint")
    entries: dict[int, bytes] = {}  # with an archive, whose bundles are not in the log

    def on_entry(index: int, entry: bytes, fields: dict[str, Any]) -> None:
        counter.take(index, fields)
        if args.archive is not None:
            entries[index] = entry

    try:
        found = verify_log(
            args.log, key, seen=checkpoint.encode(), on_entry=on_entry, archive=args.archive
        )
        report = counter.finish()
        if found.receipt is not None and found.pruned and counter.touches(found.receipt.until):
            report.pruned = found.receipt.words
        covered = size_of(checkpoint)
        indices = [index for index in proven(report) if index < covered]
        proofs = {
            i: prove_from_tiles(args.log / "tile", checkpoint, i, entries.get(i, b""))
            for i in indices
        }
    except AuditError as err:
        return complain(f"{args.log} does not verify, so nothing was reported: {err}")
    notes = _notes(rule for flow in report.flows for rule in flow.rules)
    files = {proof_name(index): text for index, text in proofs.items()}
    files |= tables(report, notes, proofs)
    files["report.html"] = page(report, notes, checkpoint, covered)
    with named_by_user("write", args.out):
        (args.out / "proofs").mkdir(parents=True)
        for name, text in files.items():
            write_whole(args.out / name, text.encode())
    print(
        f"{report.month.name}: {len(report.flows)} permits, {report.seconds:.1f} s, "
        f"{report.released} frames released; {len(report.events)} unusual events; "
        f"{args.out / 'report.html'}"
    )
    if report.pruned:
        complain(
            f"the report is not whole: {report.pruned}; --archive FOLDER reads them where they "
            "were moved to"
        )
    if not report.entries:
        complain(f"the log has no entry of {report.month.name}")
    return 0


def _notes(rules: Any) -> dict[str, RuleNote]:
    """What the product's rules say; those of other packs are named alone."""
    from edge.policy.engine import Policy
    from edge.policy.shipped import DEFAULT
    from edge.report.rule_notes import notes_for

    return notes_for(Policy.load(DEFAULT), rules)


def _checkpoint(path: Path) -> str:
    try:
        return read_named(path, 1 << 16).decode()
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(f"cannot read {path}: {err}") from err
