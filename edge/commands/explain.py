"""`framegate explain`: what a code, a rule or a word means, and what a policy says of a case."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands._options import SEVERAL, Actions
from edge.errors import UsageError, wrong_in
from edge.files import read_given
from edge.reasons import Reason

if TYPE_CHECKING:
    import datetime

    from edge.policy.engine import Policy
    from edge.policy.rules import Rule

# what words mean that reason texts use in a narrow sense; docs/glossary.md has the same, and more
WORDS: dict[str, str] = json.loads(files("edge.commands").joinpath("words.json").read_bytes())
_FORMS = {word: re.compile(rf"\b{word}(?:s|es)?\b", re.IGNORECASE) for word in WORDS}
EXAMPLES = """\
examples:
  framegate explain VIEW_FOREIGN                        a reason code
  framegate explain dwell                               a word that messages use
  framegate explain MS-02                               a rule: source, words, when it holds
  framegate explain cases.yaml --pack police --json     the policy alone, without sensors
  framegate explain cases.yaml --id till --set camera=handheld
                                                        one case, changed, in full
  framegate explain cases.yaml --pack own               by a pack of your own, in a folder
  framegate explain --set camera=body_worn operation=identify_1_n
                                                        a case made up on the spot
  framegate explain out/audit --entry 12                a past decision in a log
"""


def register(subparsers: Actions) -> None:
    parser = subparsers.add(
        "explain",
        "explain a reason code, a rule, a word, or what a policy decides",
        _explain,
        description="Explain a reason code, a rule, a word, a past decision, or what a policy "
        "decides in a case. A fact that a case leaves out gets its strictest value.",
        epilog=EXAMPLES,
    )
    parser.text("target CODE|RULE|WORD|FILE.yaml|AUDIT-DIR", "what to explain", nargs="?")
    parser.text(
        "--pack PACK|DIR|BUNDLE",
        "strict (default), police, a directory with a pack's files, or a bundle",
        default="strict",
    )
    parser.text("--as-of DATE", "decide under the rules of that day")
    parser.text(
        "--set KEY=VALUE",
        "facts of one case; with a file they replace the file's",
        action="extend",
        **SEVERAL,
    )
    parser.text("--id ID", "only this scenario of the file, in full")
    parser.number("--entry N", "which entry of an audit log")
    parser.path("--key PUB", "the log's public key, if known")
    parser.flag("--json", "print data instead of text")


def _explain(args: argparse.Namespace) -> int:
    if args.target is None:
        if not args.set:
            raise UsageError("expected a reason code, a rule id, a .yaml file, or --set KEY=VALUE")
        return _cases([("facts", {})], args, in_full=True)
    if args.target in Reason.__members__:
        _plain_only(args)
        load_policy(args.pack, args.as_of)  # a pack that is none is a mistake here too
        return _reason(Reason[args.target], args.json)
    if args.target.lower() in WORDS:
        _plain_only(args)
        return _word(args.target.lower(), args.json)
    path = Path(args.target)
    if path.is_dir():
        return _entry(path, args)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return _file(path, args)
    return _rule(args)


def load_policy(pack: str, as_of: str | None) -> Policy:
    """The pack, by name or place, under the rules of the day given as YYYY-MM-DD, or of today."""
    from edge.policy.signed.files import policy_in

    return policy_in(pack, as_of)


def _rule_book(args: argparse.Namespace) -> Policy:
    """The pack asked for; of the shipped ones the one that takes every rule."""
    from edge.policy.shipped import DEFAULT, names

    shared = args.pack in names() and not _own_rule(args)
    return load_policy(DEFAULT if shared else args.pack, args.as_of)


def _own_rule(args: argparse.Namespace) -> bool:
    """Whether the pack named has a rule that the default one lacks, and it is asked for."""
    pack = load_policy(args.pack, args.as_of).pack
    default = load_policy("strict", args.as_of).pack
    return args.target in {rule.id for rule in pack.rules} - {rule.id for rule in default.rules}


def _plain_only(args: argparse.Namespace) -> None:
    """A code, a rule or a word needs no options of a case."""
    for option in ("set", "id", "entry"):
        if getattr(args, option) not in (None, []):
            raise UsageError(
                f"--{option} belongs to a case or a log; {args.target} is explained without"
            )


def _reason(reason: Reason, as_json: bool) -> int:
    if as_json:
        texts = {key: getattr(reason, key) for key in ("happened", "stays_off", "next_step")}
        print_json({"code": reason.value, "family": reason.family.value, **texts})
        return 0
    print(f"{reason.value} ({reason.family.value})")
    print(f"  What happened    {reason.happened}")
    print(f"  What stays off   {reason.stays_off}")
    print(f"  What to do next  {reason.next_step}")
    used = words_in(reason.happened, reason.stays_off, reason.next_step)
    if used:
        print("\nWords used here")
    for word, meaning in used.items():
        print(f"  {word:15}  {meaning}")
    return 0


def words_in(*texts: str) -> dict[str, str]:
    """The words of the glossary that `texts` use, with their meaning, in alphabetical order."""
    text = " ".join(texts)
    return {word: WORDS[word] for word in WORDS if _FORMS[word].search(text)}


def _word(word: str, as_json: bool) -> int:
    if as_json:
        print_json({"word": word, "means": WORDS[word]})
    else:
        print(f"{word}: {WORDS[word]}")
    return 0


def _rule(args: argparse.Namespace) -> int:
    from edge.policy.catalogue import catalogue
    from edge.policy.shipped import names

    policy = _rule_book(args)
    rules = [rule for rule in policy.pack.rules if rule.id == args.target]
    note = catalogue().get(args.target)
    if not rules and note is None:
        known = [*(reason.value for reason in Reason), *(rule.id for rule in policy.pack.rules)]
        near = get_close_matches(args.target.upper(), [*known, *catalogue()], n=1)
        near = near or get_close_matches(args.target.lower(), WORDS, n=1)
        raise UsageError(
            "expected a reason code, a rule id, a word of the glossary, a .yaml file or an audit "
            f"log, got {args.target!r}"
            + (f"; did you mean {near[0]}?" if near else "")
            + ("" if args.pack not in names() else "; a rule of your own pack needs --pack DIR")
        )
    _plain_only(args)
    if args.json:
        found = [rule_data(rule, policy.day) for rule in rules]
        print_json(
            found or [{"id": args.target, "effect": "none", **asdict(note)}] if note else found
        )
        return 0
    for rule in rules:
        data = rule_data(rule, policy.day)
        print(f"{rule.id} {rule.effect.value}s ({rule.family}.cedar)")
        print(f"  Source   {rule.source}, version {rule.version}")
        print(f"  Says     {rule.says}")
        print(f"  Status   {rule.status.value}")
        lapsed = "" if rule.in_force(policy.day) else f"; decides nothing on {policy.day}"
        print(f"  Holds    {data['effective_from']} to {data['effective_to']}{lapsed}")
        print(f"  Adopted  {data['adopted_from']}: since then this pack decides by it")
        print(f"  Checked  {rule.checked or 'never'}{_stale(rule)}")
    if note and not rules:
        print(f"{args.target} decides nothing: {note.why_not}")
        print(f"  Source   {note.source}")
        print(f"  Says     {note.says}")
        print(f"  Status   {note.status}")
        print(f"  Checked  {note.checked}")
    return 0


def _stale(rule: Rule) -> str:
    from edge.policy.engine import utc_today

    days = rule.stale_days(utc_today())
    return f" ({days} days ago: read the source again)" if days else ""


def rule_data(rule: Rule, day: datetime.date) -> dict[str, Any]:
    """A rule as data: everything but its Cedar body."""
    return {
        "id": rule.id,
        "effect": rule.effect.value,
        "source": rule.source,
        "version": rule.version,
        "effective_from": str(rule.effective_from or "always"),
        "adopted_from": str(rule.adopted_from or "always"),
        "checked": str(rule.checked or "never"),
        "effective_to": str(rule.effective_to or "none"),
        "in_force": rule.in_force(day),
        "status": rule.status.value,
        "says": rule.says,
        "family": rule.family,
    }


def _file(path: Path, args: argparse.Namespace) -> int:
    from edge.policy.facts import JURISDICTION
    from edge.policy.scenario import MAX_BYTES, read_scenarios, unknown_keys

    text = read_given(path, MAX_BYTES + 1)
    with wrong_in(path, UsageError):
        scenarios = read_scenarios(text)
    terms = load_policy(args.pack, args.as_of).pack.vocabulary.terms
    known = [*(term.key for term in terms), JURISDICTION]
    for scenario in scenarios:
        for key in unknown_keys(scenario, known):
            near = get_close_matches(str(key), known, n=1)
            raise UsageError(
                f"{path}: scenario {scenario.id}: unknown key {key!r}"
                + (f"; did you mean {near[0]}?" if near else "")
            )
    cases = [(s.id, dict(s.facts)) for s in scenarios if args.id in (None, s.id)]
    if not cases:
        raise UsageError(f"{path} holds no scenario {args.id!r}")
    return _cases(cases, args, in_full=args.id is not None)


def _cases(
    cases: list[tuple[str, dict[str, object]]], args: argparse.Namespace, *, in_full: bool
) -> int:
    from edge.policy.authoring.text import case_data, case_text
    from edge.policy.signed.files import facts_of

    policy = load_policy(args.pack, args.as_of)
    changes = facts_of(args.set)
    decided = [(name, {**facts, **changes}) for name, facts in cases]
    answers = [(name, facts, policy.decide(facts)) for name, facts in decided]
    if args.json:
        print_json(
            [
                {
                    "id": name,
                    "verdict": answer.verdict.value,
                    "outcome": answer.outcome.value,
                    "rules": list(answer.rules),
                    **(case_data(policy, facts) if in_full else {}),
                }
                for name, facts, answer in answers
            ]
        )
    elif in_full:
        for name, facts, answer in answers:
            print(case_text(policy, name, facts, answer))
    else:
        width = max(len(name) for name, _ in cases)
        for name, _, answer in answers:
            line = f"{answer.verdict.value:5}  {answer.outcome.value:11}"
            print(f"{name:{width}}  {line}  {' '.join(answer.rules)}")
    return 0


def _entry(path: Path, args: argparse.Namespace) -> int:
    from edge.audit.proofs.verify import verify_log
    from edge.commissioning.keys import read_verifier
    from edge.errors import AuditError
    from edge.policy.authoring.text import entry_text

    if not (path / "segments").is_dir():
        raise UsageError(f"{path} holds no audit log (expected a directory with segments/)")
    if args.entry is None:
        raise UsageError("name the entry of the log with --entry N")
    found: dict[int, dict[str, Any]] = {}

    def keep(index: int, _: bytes, fields: dict[str, Any]) -> None:
        if index == args.entry:
            found[index] = fields

    with wrong_in(f"{path} does not verify, so its entries cannot be explained", AuditError):
        verified = verify_log(path, read_verifier(args.key or path / "log.pub"), on_entry=keep)
    if not found:
        raise UsageError(f"expected an entry of 0 to {verified.entries - 1}, got {args.entry}")
    if args.json:
        print_json(found[args.entry])
    else:
        print(entry_text(_rule_book(args), args.entry, found[args.entry]))
    return 0


def print_json(data: object) -> None:
    """Print data as JSON that a person can read too."""
    print(json.dumps(data, indent=1, ensure_ascii=False))
