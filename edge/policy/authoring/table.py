"""How `framegate policy show` and `diff` look: a text table, an HTML page, a list."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from html import escape as _text

from edge.files import packaged
from edge.policy.authoring.matrix import LANES, PLACINGS, USUAL, Row
from edge.policy.engine import Policy
from edge.policy.facts import JURISDICTION, written
from edge.policy.outcome import Decision, Outcome
from edge.policy.rules import Rule

_SIGN = {Outcome.PERMITTED: "+", Outcome.NOT_COVERED: "o", Outcome.FORBIDDEN: "#"}
_PLACE = (
    f"No rule names {USUAL[JURISDICTION]}, so this is what holds everywhere; "
    "--set jurisdiction=US-WA adds the law of a place"
)
_LEGEND = "+ permitted by a rule   o allowed, no rule covers it   # forbidden"

_STYLE = packaged("edge.policy.authoring").joinpath("table.css").read_text()


def table(
    policy: Policy, changes: Mapping[str, object], rows: Sequence[Row], columns: int = 0
) -> str:
    """The matrix as text: one sign a lane, and which rules forbid in each line.

    Args:
        columns: of the terminal, 26 or more; text is folded to them and, where one
            line is too narrow for a row, a row takes several. 0: as wide as it is.
    """
    width = max(len(row.who) for row in rows)
    place = max(len(name) for name in PLACINGS)
    signs_at = width + place + 4
    rules_at = signs_at + 2 * len(LANES) + 1
    lines = [*_folded(_heading(policy, changes), columns), *_folded(_LEGEND, columns), ""]
    if columns and columns < rules_at + 20:
        return "\n".join([*lines, *_narrow(rows, columns)])
    lines += [f"{'':{signs_at}}{'| ' * number}{lane}" for number, lane in enumerate(LANES)]
    for row in rows:
        head = f"{row.who:{width}}  {row.placing:{place}}  {_signs(row)}  {_forbidding(row)}"
        lines += _folded(head.rstrip(), columns, rules_at)
    return "\n".join(lines)


def _narrow(rows: Sequence[Row], columns: int) -> list[str]:
    """A row below its name, the lanes by letters that stand over its signs."""
    letters = "abcdefghijklmnopqrstuvwxyz"[: len(LANES)]
    lines = [f"{letter} {lane}" for letter, lane in zip(letters, LANES, strict=True)]
    for row in rows:
        lines += ["", *_folded(f"{row.who}, {row.placing}", columns)]
        lines += [" ".join(letters), _signs(row), *_folded(_forbidding(row), columns)]
    return lines


def _signs(row: Row) -> str:
    return " ".join(_SIGN[decision.outcome] for decision in row.decisions)


def _forbidding(row: Row) -> str:
    found = {rule for d in row.decisions if d.outcome is Outcome.FORBIDDEN for rule in d.rules}
    return " ".join(sorted(found))


def _folded(text: str, columns: int, indent: int = 0) -> list[str]:
    """The text in lines of at most so many columns; unchanged if that is 0."""
    if not columns:
        return [text]
    return textwrap.wrap(
        text,
        columns,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )


def _heading(policy: Policy, changes: Mapping[str, object]) -> str:
    given = {key: value for key, value in USUAL.items() if key not in changes} | dict(changes)
    facts = ", ".join(f"{key}={written(value)}" for key, value in given.items())
    place = "" if JURISDICTION in changes else f". {_PLACE}"
    return f"Pack {policy.pack.name} on {policy.day}: {facts}{place}"


def page(policy: Policy, changes: Mapping[str, object], rows: Sequence[Row]) -> str:
    """The matrix as a page that needs nothing else: every rule in every cell."""
    says = {rule.id: rule.says for rule in reversed(policy.pack.rules)}
    body = []
    for row in rows:
        cells = "".join(_cell(decision, says) for decision in row.decisions)
        body.append(f"<tr><th>{_text(row.who)}<td>{_text(row.placing)}{cells}")
    heads = "".join(f"<th>{lane}" for lane in LANES)
    rules = "".join(_rule(rule, policy) for rule in policy.pack.rules)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>framegate policy: {_text(policy.pack.name)}</title>\n<style>{_STYLE}</style>\n"
        f"<h1>{_text(policy.pack.title)}</h1>\n"
        f'<p class="note">{_text(_heading(policy, changes))}.</p>\n'
        '<p class="note">Published rules adopted as device policy; not legal advice. '
        "<span class=permitted>Permitted by a rule</span>, "
        "<span class=not_covered>allowed because no rule covers it</span>, "
        "<span class=forbidden>forbidden</span>.</p>\n"
        f"<div class=wide><table><thead><tr><th>user<th>camera{heads}</thead>\n<tbody>\n"
        + "\n".join(body)
        + "\n</tbody></table></div>\n<h2>Rules</h2>\n<div class=wide><table><thead><tr><th>rule"
        "<th>does<th>says<th>source<th>version<th>status<th>from<th>to</thead>\n"
        f"<tbody>{rules}</tbody></table></div>\n</html>\n"
    )


def _cell(decision: Decision, says: Mapping[str, str]) -> str:
    rules = " ".join(
        f'<abbr title="{_text(says.get(rule, "no permit held"))}">{_text(rule)}</abbr>'
        for rule in decision.rules
    )
    return f"<td class={decision.outcome.value}>{rules}"


def _rule(rule: Rule, policy: Policy) -> str:
    words = (
        rule.id,
        rule.effect.value,
        rule.says,
        rule.source,
        rule.version,
        rule.status.value,
        str(rule.effective_from or "always"),
        str(rule.effective_to or "no end")
        + ("" if rule.in_force(policy.day) else f" (decides nothing on {policy.day})"),
    )
    return "\n<tr>" + "".join(f"<td>{_text(word)}" for word in words)
