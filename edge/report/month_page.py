"""`report.html` of a month: for a lawyer, with the proof of each row beside it."""

from __future__ import annotations

from collections.abc import Mapping

from edge.report.html import Markup, escape, file_page, section, table, table_of
from edge.report.month import MonthReport, plain_reason
from edge.report.record import RuleNote

_NONE = "<p>None.</p>"
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
    return file_page(
        title,
        f"<header><h1>{title}</h1><p>{_summary(report)}</p></header><main>"
        + section("How long frames flowed, by clause", _clauses(report.flow_s, rules))
        + section("Why frames were blocked", _blocked(report))
        + section("Unusual events", _events(report, covered))
        + section("Every permit", _flows(report, covered))
        + "</main><footer><p>Times are UTC. Where several clauses or reasons hold at once, each "
        "counts in full. A link leads to the proof that the entry is in the signed log: "
        "<code>framegate audit verify-proof FILE --key log.pub</code>. No picture, name or "
        f"face is in the log or on this page.</p><pre>{escape(checkpoint)}</pre></footer>",
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
        rows.append([rule, _long(found_s), says])
    return _table_or_none(["Clause", "Frames flowed for", "It says"], rows)


def _blocked(report: MonthReport) -> str:
    rows = [
        [code, _long(seconds), str(report.denials[code]), plain_reason(code)]
        for code, seconds in longest_first(report.blocked_s)
    ]
    return _table_or_none(["Code", "Blocked for", "Denials logged", "It means"], rows)


def _events(report: MonthReport, covered: int) -> str:
    rows = [[event.at, event.words, _link(event.index, covered)] for event in report.events]
    return _table_or_none(["When", "What", "Proof"], rows)


def _flows(report: MonthReport, covered: int) -> str:
    rows = []
    for flow in report.flows[:MOST_ROWS]:
        end = "no end in the log" if flow.end is None else _link(flow.end, covered)
        rows.append(
            {
                "Began": flow.began,
                "Lasted": _long(flow.seconds),
                "Frames": "not known" if flow.released is None else str(flow.released),
                "Results": str(flow.results),
                "Clauses": ", ".join(flow.rules),
                "Ended because": ", ".join(flow.why_ended),
                "Proof": Markup(f"{_link(flow.permit, covered)}, {end}"),
            }
        )
    more = len(report.flows) - len(rows)
    body = table_of(rows) if rows else _NONE
    return body + (f"<p>{more} more are in report.csv.</p>" if more else "")


def _link(index: int, covered: int) -> Markup:
    if index >= covered:
        return Markup(f"entry {index}, not published yet")
    return Markup(f'<a href="{proof_name(index)}">entry {index}</a>')


def _table_or_none(heads: list[str], rows: list[list[str]]) -> str:
    return table(heads, rows) if rows else _NONE


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
