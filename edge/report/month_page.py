"""`report.html` of a month: for a lawyer, with the proof of each row beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from edge.report.month import MonthReport, plain_reason
from edge.report.record import RuleNote
from edge.report.style import CSS

MOST_ROWS = 2000  # permits on the page; all of them are in the CSV


def proof_name(index: int) -> str:
    """The file that proves entry `index`, beside the page."""
    return f"proofs/entry-{index}.proof"


def proven(report: MonthReport) -> list[int]:
    """The entries that a row of the page rests on."""
    indices = {event.index for event in report.events}
    for flow in report.flows[:MOST_ROWS]:
        indices |= {flow.permit} | ({flow.end} if flow.end is not None else set())
    return sorted(indices)


def page(report: MonthReport, rules: Mapping[str, RuleNote], checkpoint: str, covered: int) -> str:
    """The month as one HTML page without scripts and links out.

    Args:
        rules: notes of the clauses that are known.
        checkpoint: of the log, as signed.
        covered: entries that it covers, which can be proven.
    """
    title = f"framegate, {report.month.name}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{CSS}</style></head><body><header><h1>{title}</h1>"
        f"<p>{_summary(report)}</p></header><main>"
        + _section("How long frames flowed, by clause", _clauses(report.flow_s, rules))
        + _section("Why frames were blocked", _blocked(report))
        + _section("Unusual events", _events(report, covered))
        + _section("Every permit", _flows(report, covered))
        + "</main><footer><p>Times are UTC. Where several clauses or reasons hold at once, each "
        "counts in full. A link leads to the proof that the entry is in the signed log: "
        "<code>framegate audit verify-proof FILE --key log.pub</code>. No picture, name or "
        f"face is in the log or on this page.</p><pre>{escape(checkpoint)}</pre></footer>"
        "</body></html>\n"
    )


def _summary(report: MonthReport) -> str:
    unknown = sum(flow.released is None for flow in report.flows)
    words = (
        f"Frames could reach the matcher for {_long(report.seconds)} in {len(report.flows)} "
        f"permits; {report.released} frames were released. The log has {report.entries} entries "
        f"of this month and {len(report.events)} unusual events."
    )
    if unknown:
        words += f" Of {unknown} permits the log does not say how many frames were released."
    for handing, count in sorted(report.handings.items()):
        words += f" Consent, {handing.replace('_', ' ')}: {count}."
    if report.unbegun:
        words += f" Of {report.unbegun} permits only the end is in the log, so they add no time."
    if report.pruned:
        words += f" This report is not whole: {report.pruned}."
    return escape(words)


def _clauses(seconds: Mapping[str, float], rules: Mapping[str, RuleNote]) -> str:
    rows = []
    for rule, found_s in longest_first(seconds):
        note = rules.get(rule)
        says = f"{note.says} ({note.source})" if note else "a rule of a pack of its own"
        rows.append([escape(rule), escape(_long(found_s)), escape(says)])
    return _table(["Clause", "Frames flowed for", "It says"], rows)


def _blocked(report: MonthReport) -> str:
    rows = [
        [
            escape(code),
            escape(_long(seconds)),
            str(report.denials[code]),
            escape(plain_reason(code)),
        ]
        for code, seconds in longest_first(report.blocked_s)
    ]
    return _table(["Code", "Blocked for", "Denials logged", "It means"], rows)


def _events(report: MonthReport, covered: int) -> str:
    rows = [
        [escape(event.at), escape(event.words), _link(event.index, covered)]
        for event in report.events
    ]
    return _table(["When", "What", "Proof"], rows)


def _flows(report: MonthReport, covered: int) -> str:
    rows = []
    for flow in report.flows[:MOST_ROWS]:
        end = "no end in the log" if flow.end is None else _link(flow.end, covered)
        rows.append(
            [
                escape(flow.began),
                escape(_long(flow.seconds)),
                "not known" if flow.released is None else str(flow.released),
                str(flow.results),
                escape(", ".join(flow.rules)),
                escape(", ".join(flow.why_ended)),
                f"{_link(flow.permit, covered)}, {end}",
            ]
        )
    heads = ["Began", "Lasted", "Frames", "Results", "Clauses", "Ended because", "Proof"]
    more = len(report.flows) - len(rows)
    return _table(heads, rows) + (f"<p>{more} more are in report.csv.</p>" if more else "")


def _link(index: int, covered: int) -> str:
    if index >= covered:
        return f"entry {index}, not published yet"
    return f'<a href="{proof_name(index)}">entry {index}</a>'


def _section(head: str, body: str) -> str:
    return f"<section><h2>{escape(head)}</h2>{body}</section>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are HTML already."""
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-head="{escape(name)}">{cell}</td>'
            for name, cell in zip(heads, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def longest_first(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda row: -row[1])


def _long(seconds: float) -> str:
    """A duration for the eye."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(whole, 3600)
    minutes = f"{rest // 60} min {rest % 60:02d} s"
    return f"{hours} h {minutes}" if hours else minutes
