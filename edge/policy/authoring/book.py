"""The rulebook: one HTML page with every rule of a pack, for people who read no code.

Needs nothing else: no script, nothing fetched; it prints on paper as it stands.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from edge.policy.authoring.reach import elements, holding
from edge.policy.catalogue import catalogue
from edge.policy.engine import Policy
from edge.policy.facts import JURISDICTION, Value
from edge.policy.outcome import Decision, Outcome, Verdict
from edge.policy.rules import Effect, Rule, named
from edge.policy.scenario import Scenario

_FAMILIES = {
    "azure_face": "Microsoft: Azure AI Face, Limited Access",
    "canada": "Law of the Canadian provinces",
    "eu_ai_act": "European Union",
    "guard": "The guard's own rules",
    "microsoft": "Microsoft: code of conduct",
    "permits": "What is permitted when nothing forbids it",
    "united_states": "United States: federal memoranda, state and city law",
}
_QUESTIONS = {
    "user": "who operates the camera",
    "by_or_for": "whether it is done by or for police",
    JURISDICTION: "where",
    "camera": "what kind of camera",
    "mount": "how it is mounted",
    "setting": "whether the place is controlled",
    "publicly_accessible": "whether anybody may come there",
    "operation": "what is done with faces",
    "gallery": "whom faces are compared with",
    "source": "live or recorded",
    "session_open": "whether the recording still runs",
    "active_involvement": "whether the person takes part",
    "consent": "what the person agreed to",
    "authorisation": "which order or leave is shown",
    "inference_backend": "where the comparison runs",
    "result_sink": "where the result goes",
    "injected_fault": "what is wrong with the evidence",
    "unread": "what could not be read",
}
_SHOWN = 12  # values listed for one question
_ANSWER = {
    Outcome.PERMITTED: "permitted by a rule",
    Outcome.NOT_COVERED: "allowed, because no rule covers it",
    Outcome.FORBIDDEN: "forbidden",
}
_STYLE = """
body { font: 16px/1.5 Georgia, serif; margin: 2rem auto; max-width: 52rem; padding: 0 1rem;
  color: #1c1c1c; background: #fff; }
h1, h2, h3, nav, dt, .badge, footer { font-family: system-ui, sans-serif; line-height: 1.25; }
h2 { margin-top: 3rem; border-bottom: 2px solid #1c1c1c; padding-bottom: .25rem; }
h3 { margin: 0 0 .5rem; font-size: 1.15rem; }
nav a { display: inline-block; margin: 0 .6rem .2rem 0; }
a { color: #1b4f8f; }
article { border: 1px solid #c8c8c8; border-radius: 4px; padding: 1rem 1.25rem; margin: 1rem 0; }
article.off { border-style: dashed; color: #4a4a4a; }
.says { font-size: 1.05rem; margin: .25rem 0 .75rem; }
dl { display: grid; grid-template-columns: 9.5rem 1fr; gap: .3rem 1rem; margin: 0; }
dt { font-size: .85rem; color: #4a4a4a; padding-top: .15rem; }
dd { margin: 0; overflow-wrap: anywhere; }
dd ul { margin: 0; padding-left: 1.1rem; }
.badge { font-size: .8rem; font-weight: 600; border-radius: 3px; padding: .15rem .45rem;
  margin-left: .5rem; border: 1px solid; white-space: nowrap; }
.forbid { background: #f7dedc; } .permit { background: #dcefde; } .none { background: #eee; }
.warn { background: #fbf1cf; }
@media (max-width: 36rem) {
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
}
@media print {
  body { font-size: 10.5pt; margin: 0; max-width: none; }
  article { break-inside: avoid; } h2, h3 { break-after: avoid; } nav { display: none; }
  a { color: inherit; text-decoration: none; }
  .badge { background: none; }
}
"""


def book(policy: Policy, scenarios: Sequence[Scenario] = ()) -> str:
    """The page: every rule, its words, source, dates and status, and what it decides.

    Args:
        scenarios: cases to name beside the rules that decide them.
    """
    decided = _decided(policy, scenarios)
    families = dict.fromkeys(rule.family for rule in policy.pack.rules)
    held = sum(rule in policy.rules for rule in policy.pack.rules)
    body = [_family(policy, family, decided) for family in families]
    jumps = "".join(
        f'<a href="#{_text(rule_id)}">{_text(rule_id)}</a> '
        for rule_id in dict.fromkeys(rule.id for rule in policy.pack.rules)
    )
    title = _text(policy.pack.title)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Rulebook: {title}</title>\n<style>{_STYLE}</style>\n"
        f"<h1>{title}</h1>\n"
        f"<p>The pack <b>{_text(policy.pack.name)}</b> on {policy.day}: {held} of "
        f"{len(policy.pack.rules)} rules decide on that day. These are published rules that a "
        "device adopts as its own. They are not legal advice.</p>\n"
        "<p>A face is compared only if some rule permits it and none forbids it. Every rule that "
        "forbids a case is named, so the list of rules is the whole answer. What is unknown counts "
        "as its strictest value.</p>\n"
        f"<nav aria-label='Rules'>{jumps}</nav>\n"
        + "\n".join(body)
        + _weighed()
        + f"\n<footer><p>Digest of this pack and day: {policy.digest.hex()}</p></footer>\n</html>\n"
    )


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
    name = _FAMILIES.get(family, family.replace("_", " ").capitalize())
    seen: set[str] = set()
    cards = []
    for rule in rules:
        anchor = "" if rule.id in seen or _elsewhere(policy, rule) else f' id="{_text(rule.id)}"'
        seen.add(rule.id)
        cards.append(_card(policy, rule, anchor, decided.get(rule.id, [])))
    return f"<h2>{_text(name)}</h2>\n" + "\n".join(cards)


def _elsewhere(policy: Policy, rule: Rule) -> bool:
    """Whether an earlier family has a rule of this id, which has the anchor."""
    first = next(other for other in policy.pack.rules if other.id == rule.id)
    return first.family != rule.family


def _card(policy: Policy, rule: Rule, anchor: str, cases: list[str]) -> str:
    held = rule in policy.rules
    rows = [
        ("Source", f"{_text(rule.source)}, version {_text(rule.version)}"),
        ("How well known", _text(rule.status.value)),
        ("In force", f"{_since(rule.effective_from)} {_until(rule)}"),
        ("Decides here", _since(rule.adopted_from) + ("" if held else f"; not on {policy.day}")),
        ("Last checked", _checked(policy, rule)),
        ("For a device", _device(policy, rule)),
    ]
    if example := _example(policy, rule):
        rows.append(("For example", example))
    if cases:
        rows.append(("Scenarios", "<ul>" + "".join(f"<li>{case}" for case in cases) + "</ul>"))
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
        return '<span class="warn">nobody has said</span>'
    days = rule.stale_days(policy.day)
    late = f' <span class="warn">{days} days ago: read the source again</span>' if days else ""
    return f"{rule.checked}{late}"


def _device(policy: Policy, rule: Rule) -> str:
    """What the rule looks at, as questions, with the values it names."""
    looked = elements(policy.pack, rule)
    if not looked:
        return "It looks at nothing else than the lane."
    items = []
    for key, values in looked.items():
        question = _QUESTIONS.get(key, key.replace("_", " "))
        if key == JURISDICTION:
            values = _places(rule)
        words = [_word(value) for value in values]
        more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
        named = f": {_text(', '.join(words[:_SHOWN]))}{more}" if words else ""
        items.append(f"<li>{_text(question)}{named}")
    return "It looks at<ul>" + "".join(items) + "</ul>"


def _places(rule: Rule) -> tuple[str, ...]:
    """The places a rule names itself, not those that lie in them."""
    nodes = [node for node in named(rule.body) if not isinstance(node, str)]
    return tuple(dict.fromkeys(name for kind, name in nodes if kind == "Place"))


def _example(policy: Policy, rule: Rule) -> str:
    """The plainest case found that the rule holds for, and the answer to it."""
    verdict = Verdict.BLOCK if rule.effect is Effect.FORBID else Verdict.ALLOW
    # what permits is found less often: everything else must leave the case alone as well
    permits = rule.effect is Effect.PERMIT
    found = (
        holding(policy.pack, rule, 200, tried=5000) if permits else holding(policy.pack, rule, 20)
    )
    answers = policy.decide_many(facts.values for facts in found)
    for facts, decision in zip(found, answers, strict=True):
        if decision.verdict is verdict and rule.id in decision.rules:
            return f"{_text(_case(facts.values))}: {_answer(decision)}"
    return ""


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
        f"<dt>Why no rule<dd>{_text(_sentence(note.why))}</dl></article>"
        for name, note in catalogue().items()
    ]
    return "<h2>Texts that were weighed and decide nothing</h2>\n" + "\n".join(cards)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else _plain(str(value))


def _plain(word: str) -> str:
    return {
        "us_state_local_police": "US state or local police",
        "us_federal_law_enforcement": "US federal law enforcement",
        "us_federal_non_police": "another US federal agency",
        "non_us_police": "police outside the US",
        "private_business": "a private business",
        "individual": "a private person",
        "for": "for police",
        "by": "by the operator itself",
        "identify_1_n": "search among many (1:N)",
        "reidentify": "follow somebody unknown",
        "redact_selective": "blur all but one",
        "verify_1_1": "check one claim (1:1)",
        "rt_rbi_valid": "real-time leave, valid",
        "rt_rbi_expired": "real-time leave, expired",
        "post_rbi_valid": "leave for recordings, valid",
        "na": "not asked",
    }.get(word, word if word.isupper() or "-" in word else word.replace("_", " "))


def _text(text: str) -> str:
    return html.escape(text, quote=True)
