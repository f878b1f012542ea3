"""The rulebook: one HTML page with every rule of a pack, for people who read no code.

Needs nothing else: no script, nothing fetched; it prints on paper as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape as _text

from edge.files import packaged
from edge.policy.authoring.reach import holding, turning
from edge.policy.catalogue import catalogue
from edge.policy.engine import Policy
from edge.policy.facts import JURISDICTION, Facts, Value
from edge.policy.outcome import Decision, Outcome, Verdict
from edge.policy.rules import Effect, Rule, named
from edge.policy.scenario import Scenario

_STYLE = packaged("edge.policy.authoring").joinpath("book.css").read_text()
# plain English for families of rules, the facts that are asked for, and their values
_WORDS: dict[str, dict[str, str]] = json.loads(
    packaged("edge.policy.authoring").joinpath("book_words.json").read_bytes()
)
_TURNED = 8  # cases from which each fact is turned, to see what it must be
_SHOWN = 12  # values listed for one question
_ANSWER = {
    Outcome.PERMITTED: "permitted by a rule",
    Outcome.NOT_COVERED: "allowed, because no rule covers it",
    Outcome.FORBIDDEN: "forbidden",
}


def book(policy: Policy, scenarios: Sequence[Scenario] = ()) -> str:
    """The page: every rule, its words, source, dates and status, and what it decides.

    Args:
        scenarios: cases to name beside the rules that decide them.
    """
    decided = _decided(policy, scenarios)
    families = dict.fromkeys(rule.family for rule in policy.pack.rules)
    held = sum(rule in policy.rules for rule in policy.pack.rules)
    body = [_family(policy, family, decided) for family in families]
    jumps = "".join(_jumps(policy, family) for family in families)
    title = _text(policy.pack.title)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Rulebook: {title}</title>\n<style>{_STYLE}</style>\n"
        f"<h1>Rulebook of the pack {_text(policy.pack.name)}</h1>\n"
        f'<p class="says">{title}.</p>\n'
        f"<p>On {policy.day}, {held} of {len(policy.pack.rules)} rules decide. These are published "
        "rules that a device adopts as its own. They are not legal advice.</p>\n"
        "<p>A face is compared only if some rule permits it and none forbids it. Every rule that "
        "forbids a case is named, so the list of rules is the whole answer. What is unknown counts "
        "as its strictest value. Each line of what a rule forbids or permits is one fact, with the "
        "values that make it hold while the rest of a case stays as it is.</p>\n"
        f"<nav aria-label='Rules'>{jumps}</nav>\n"
        + "\n".join(body)
        + _weighed()
        + f"\n<footer><p>Digest of this pack and day: {policy.digest.hex()}</p></footer>\n</html>\n"
    )


def _jumps(policy: Policy, family: str) -> str:
    """A line of the contents: the family and its rules."""
    ids = dict.fromkeys(rule.id for rule in policy.pack.rules if rule.family == family)
    links = " ".join(f'<a href="#{_text(name)}">{_text(name)}</a>' for name in ids)
    return f"<p>{_text(_family_name(family))}<br>{links}</p>"


def _family_name(family: str) -> str:
    return _WORDS["families"].get(family, family.replace("_", " ").capitalize())


def _decided(policy: Policy, scenarios: Iterable[Scenario]) -> Mapping[str, list[str]]:
    """For each rule id, the scenarios it decides, as HTML."""
    scenarios = list(scenarios)
    answers = policy.decide_many(scenario.facts for scenario in scenarios)
    found: dict[str, list[str]] = {}
    for scenario, decision in zip(scenarios, answers, strict=True):
        title = str(scenario.facts.get("title", ""))
        line = f"<b>{_text(scenario.id)}</b> {_text(title)}: {_ANSWER[decision.outcome]}"
        for rule in decision.rules:
            found.setdefault(rule, []).append(line)
    return found


def _family(policy: Policy, family: str, decided: Mapping[str, list[str]]) -> str:
    rules = [rule for rule in policy.pack.rules if rule.family == family]
    seen: set[str] = set()
    cards = []
    for rule in rules:
        anchor = "" if rule.id in seen or _elsewhere(policy, rule) else f' id="{_text(rule.id)}"'
        seen.add(rule.id)
        cards.append(_card(policy, rule, anchor, decided.get(rule.id, [])))
    return f"<h2>{_text(_family_name(family))}</h2>\n" + "\n".join(cards)


def _elsewhere(policy: Policy, rule: Rule) -> bool:
    """Whether an earlier family has a rule of this id, which has the anchor."""
    first = next(other for other in policy.pack.rules if other.id == rule.id)
    return first.family != rule.family


def _card(policy: Policy, rule: Rule, anchor: str, cases: list[str]) -> str:
    held = rule in policy.rules
    decides = _since(rule.adopted_from) + ("" if held else f", not on {policy.day}")
    found = _found(policy, rule)
    holds = "Forbids where" if rule.effect is Effect.FORBID else "Permits where"
    rows = [
        ("Source", f"{_text(rule.source)}, version {_text(rule.version)}"),
        ("How well known", f"{_text(rule.status.value)}; last checked {_checked(policy, rule)}"),
        ("In force", f"{_since(rule.effective_from)} {_until(rule)}; decides here {decides}"),
        (holds, _device(policy, rule, found[:_TURNED])),
    ]
    if example := _example(policy, rule, found):
        rows.append(("For example", example))
    if cases:
        listed = "".join(f"<li>{case}" for case in cases)
        rows.append(("Scenarios", f'<ul class="cases">{listed}</ul>'))
    badge = "none" if not held else rule.effect.value
    word = {"none": "decides nothing today", "forbid": "forbids", "permit": "permits"}[badge]
    listed = "".join(f"<dt>{name}<dd>{text}" for name, text in rows)
    return (
        f'<article{anchor} class="{"on" if held else "off"}"><h3>{_text(rule.id)}'
        f'<span class="badge {badge}">{word}</span></h3>\n'
        f'<p class="says">{_text(_sentence(rule.says))}</p>\n<dl>{listed}</dl></article>'
    )


def _since(day: object) -> str:
    return "always" if day is None else f"since {day}"


def _until(rule: Rule) -> str:
    return "without an end" if rule.effective_to is None else f"until {rule.effective_to}"


def _checked(policy: Policy, rule: Rule) -> str:
    if rule.checked is None:
        return '<span class="warn">not recorded</span>'
    days = rule.stale_days(policy.day)
    late = f' <span class="warn">{days} days ago: read the source again</span>' if days else ""
    return f"{rule.checked}{late}"


def _device(policy: Policy, rule: Rule, cases: Sequence[Facts]) -> str:
    """What each fact that the rule looks at must be, where that fact decides."""
    items = []
    for key, values in turning(policy.pack, rule, cases).items():
        question = _WORDS["facts"].get(key, key.replace("_", " "))
        words = [_word(value) for value in values]
        if key == JURISDICTION and values:
            own = _places(rule)
            words = [p for p in own if p in values] or [f"elsewhere than {', '.join(own)}"]
        more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
        if words:
            items.append(f"<li>{_text(f'{question}: ' + ', '.join(words[:_SHOWN]))}{more}")
    return "<ul>" + "".join(items) + "</ul>" if items else "whatever the case"


def _places(rule: Rule) -> tuple[str, ...]:
    """The places a rule names itself, not those that lie in them."""
    nodes = [node for node in named(rule.body) if not isinstance(node, str)]
    return tuple(dict.fromkeys(name for kind, name in nodes if kind == "Place"))


def _found(policy: Policy, rule: Rule) -> tuple[Facts, ...]:
    """Cases that the rule holds for, the plainest first."""
    if rule.effect is Effect.FORBID:
        return holding(policy.pack, rule, 20)
    # what permits is found less often: everything else must leave the case alone as well
    return holding(policy.pack, rule, 80, tried=5000)


def _example(policy: Policy, rule: Rule, found: Sequence[Facts]) -> str:
    """The plainest likely case that the rule holds for, and the answer to it."""
    verdict = Verdict.BLOCK if rule.effect is Effect.FORBID else Verdict.ALLOW
    likely = sorted(found, key=_oddities)
    answers = policy.decide_many(facts.values for facts in likely)
    for facts, decision in zip(likely, answers, strict=True):
        if decision.verdict is verdict and rule.id in decision.rules:
            return f"{_text(_case(facts.values))}: {_answer(decision)}"
    return ""


def _oddities(facts: Facts) -> int:
    """How unrealistic a case is: American police in New Zealand, an unknown place."""
    at_home = str(facts.values[JURISDICTION]).startswith("US")
    american = str(facts.values["user"]).startswith("us_")
    foreign = facts.values["user"] == "non_us_police"
    return sum((american and not at_home, foreign and at_home, "unknown" in facts.values.values()))


def _case(facts: Mapping[str, Value]) -> str:
    acting = ", acting for police" if facts["by_or_for"] == "for" else ""
    parts = (
        f"{_word(facts['user'])}{acting}",
        f"in {_word(facts[JURISDICTION])}",
        f"{_word(facts['camera'])} camera, {_word(facts['setting'])} place",
        f"{_word(facts['source'])}: {_word(facts['operation'])}",
        f"compared with {_word(facts['gallery'])}",
        f"consent {_word(facts['consent'])}",
        f"authorisation {_word(facts['authorisation'])}",
    )
    return "; ".join(parts)


def _answer(decision: Decision) -> str:
    return f"<b>{_ANSWER[decision.outcome]}</b> by {_text(', '.join(decision.rules))}"


def _weighed() -> str:
    """Texts that decide nothing, and why."""
    cards = [
        f'<article class="off" id="{_text(name)}"><h3>{_text(name)}'
        '<span class="badge none">no rule</span></h3>'
        f'<p class="says">{_text(_sentence(note.says))}</p><dl><dt>Source<dd>{_text(note.source)}'
        f"<dt>How well known<dd>{_text(note.status)}<dt>Last checked<dd>{_text(note.checked)}"
        f"<dt>Why no rule<dd>{_text(_sentence(note.why_not))}</dl></article>"
        for name, note in catalogue().items()
    ]
    return "<h2>Texts that were weighed and decide nothing</h2>\n" + "\n".join(cards)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    word = str(value)
    plain = word if word.isupper() or "-" in word else word.replace("_", " ")
    return _WORDS["values"].get(word, plain)
