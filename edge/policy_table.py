"""How `framegate policy show` and `diff` look: a text table, an HTML page, a list."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence

from edge.decision.outcome import Decision, Outcome
from edge.decision.policy import Policy
from edge.decision.rules import Rule
from edge.decision.survey import LANES, PLACINGS, USUAL, Row, differences

_SIGN = {Outcome.PERMITTED: "+", Outcome.NOT_COVERED: "o", Outcome.FORBIDDEN: "#"}
_LEGEND = "+ permitted by a rule   o allowed, no rule covers it   # forbidden"

_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem; color: #1c1c1c; background: #fff; }
table { border-collapse: collapse; margin: 1.5rem 0; }
th, td { border: 1px solid #bbb; padding: .3rem .5rem; text-align: left; vertical-align: top; }
thead th { position: sticky; top: 0; background: #f2f2f2; }
td { min-width: 5.5rem; font-size: 12px; }
.permitted { background: #d8efdb; }
.not_covered { background: #fbf1cf; }
.forbidden { background: #f4d9d7; }
.note { max-width: 60rem; }
"""


def table(policy: Policy, changes: Mapping[str, object], rows: Sequence[Row]) -> str:
    """The matrix as text: one sign a lane, and which rules forbid in each line."""
    width = max(len(row.who) for row in rows)
    place = max(len(name) for name in PLACINGS)
    lines = [_heading(policy, changes), _LEGEND, ""]
    lines += [
        f"{'':{width + place + 4}}{_column(number)}{lane}" for number, lane in enumerate(LANES)
    ]
    for row in rows:
        signs = " ".join(_SIGN[decision.outcome] for decision in row.decisions)
        rules = sorted(
            {rule for d in row.decisions if d.outcome is Outcome.FORBIDDEN for rule in d.rules}
        )
        lines.append(
            f"{row.who:{width}}  {row.placing:{place}}  {signs}  {' '.join(rules)}".rstrip()
        )
    return "\n".join(lines)


def _column(number: int) -> str:
    return "| " * number


def _heading(policy: Policy, changes: Mapping[str, object]) -> str:
    given = {key: value for key, value in USUAL.items() if key not in changes} | dict(changes)
    said = ", ".join(f"{key}={_word(value)}" for key, value in given.items())
    return f"Pack {policy.pack.name} on {policy.day}: {said}"


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


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
        f"<title>framegate policy: {_text(policy.pack.name)}</title>\n<style>{_STYLE}</style>\n"
        f"<h1>{_text(policy.pack.title)}</h1>\n"
        f'<p class="note">{_text(_heading(policy, changes))}.</p>\n'
        '<p class="note">Published rules adopted as device policy; not legal advice. '
        "<span class=permitted>Permitted by a rule</span>, "
        "<span class=not_covered>allowed because no rule covers it</span>, "
        "<span class=forbidden>forbidden</span>.</p>\n"
        f"<table><thead><tr><th>user<th>camera{heads}</thead>\n<tbody>\n"
        + "\n".join(body)
        + "\n</tbody></table>\n<h2>Rules</h2>\n<table><thead><tr><th>rule<th>does<th>says<th>source"
        f"<th>version<th>status<th>from<th>to</thead>\n<tbody>{rules}</tbody></table>\n</html>\n"
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


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def difference(before: Policy, after: Policy, count: int, as_json: bool) -> str:
    """Which rules differ between two policies, and what changes for `count` cases."""
    old, new = ({rule.key: rule for rule in policy.pack.rules} for policy in (before, after))
    added = sorted(new.keys() - old.keys())
    removed = sorted(old.keys() - new.keys())
    edited = sorted(key for key in old.keys() & new.keys() if old[key] != new[key])
    changes = differences(before, after, count)
    if as_json:
        cases = [
            {"facts": dict(c.facts), "before": _data(c.before), "after": _data(c.after)}
            for c in changes
        ]
        return json.dumps(
            {"added": added, "removed": removed, "changed": edited, "of": count, "cases": cases},
            indent=1,
        )
    lines = [f"+ {key}" for key in added]
    lines += [f"- {key}" for key in removed]
    lines += [f"~ {key}" for key in edited]
    lines.append(f"{len(changes)} of {count} cases change their answer")
    for change in changes[:3]:
        said = ", ".join(f"{key}={_word(value)}" for key, value in change.facts.items())
        lines += [
            f"  {said}",
            f"    before: {_line(change.before)}",
            f"    after:  {_line(change.after)}",
        ]
    return "\n".join(lines)


def _data(decision: Decision) -> dict[str, object]:
    return {
        "verdict": decision.verdict.value,
        "outcome": decision.outcome.value,
        "rules": list(decision.rules),
    }


def _line(decision: Decision) -> str:
    return f"{decision.verdict.value} {decision.outcome.value} {' '.join(decision.rules)}"
