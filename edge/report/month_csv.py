"""The tables of a month as CSV, for a spreadsheet: what the page shows, a file each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from edge.report.month import MonthReport, plain_reason
from edge.report.month_page import longest_first, proof_name
from edge.report.record import RuleNote

PERMITS = (
    "began_utc",
    "seconds",
    "frames_released",
    "results",
    "clauses",
    "ended_because",
    "permit_entry",
    "end_entry",
)


def tables(
    report: MonthReport, rules: Mapping[str, RuleNote], proofs: Iterable[int]
) -> dict[str, str]:
    """Each table by the name of its file.

    Args:
        rules: notes of the clauses that are known.
        proofs: the entries whose proof lies beside it.
    """
    return {
        "report.csv": _text(PERMITS, _permits(report)),
        "clauses.csv": _text(
            ("clause", "seconds", "it_says", "source"),
            (
                (
                    rule,
                    f"{found_s:.3f}",
                    *((n.says, n.source) if (n := rules.get(rule)) else ("",) * 2),
                )
                for rule, found_s in longest_first(report.flow_s)
            ),
        ),
        "blocked.csv": _text(
            ("code", "seconds", "denials_logged", "it_means"),
            (
                (code, f"{found_s:.3f}", report.denials[code], plain_reason(code))
                for code, found_s in longest_first(report.blocked_s)
            ),
        ),
        "events.csv": _text(
            ("when_utc", "kind", "what", "entry", "proof"), _events(report, proofs)
        ),
    }


def _permits(report: MonthReport) -> Iterable[Sequence[object]]:
    for flow in report.flows:
        yield (
            flow.began,
            f"{flow.seconds:.3f}",
            "" if flow.released is None else flow.released,
            flow.results,
            " ".join(flow.rules),
            " ".join(flow.why_ended),
            flow.permit,
            "" if flow.end is None else flow.end,
        )


def _events(report: MonthReport, proofs: Iterable[int]) -> Iterable[Sequence[object]]:
    there = frozenset(proofs)
    for event in report.events:
        proof = proof_name(event.index) if event.index in there else ""
        yield event.at, event.kind, event.words, event.index, proof


def _text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(columns)
    table.writerows(rows)
    return out.getvalue()
