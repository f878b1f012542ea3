"""Every shipped rule says when its law begins, since when it is adopted and when it was checked."""

from __future__ import annotations

import datetime
import json
import re
from importlib.resources import files

import pytest

from edge.cli import main
from edge.commands import explain
from edge.policy import engine
from edge.policy.catalogue import catalogue
from edge.policy.engine import Policy
from edge.policy.rules import CHECK_DAYS, Effect, parse
from edge.policy.shipped import shared_files

RULES = [
    rule
    for name, text in sorted(shared_files().items())
    if name.endswith(".cedar")
    for rule in parse(name.removesuffix(".cedar"), text)
]
EU_ACT = json.loads(files("edge.policies").joinpath("eu_act_dates.json").read_bytes())
ARTICLE = re.compile(r"Regulation \(EU\) 2024/1689, Art (\d+)")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.key)
def test_a_shipped_rule_has_a_source_and_all_its_dates(rule):
    notes = rule.body["annotations"]

    assert {"source", "version", "effective_from", "adopted_from", "effective_to"} <= set(notes)
    assert rule.checked is not None
    assert rule.checked >= datetime.date(2026, 11, 22)
    assert rule.adopted_from is None or rule.adopted_from <= rule.checked  # none is a promise


@pytest.mark.parametrize(
    "rule", [r for r in RULES if ARTICLE.search(r.source)], ids=lambda rule: rule.key
)
def test_the_dates_of_the_eu_act_are_those_of_its_article_113(rule):
    article = f"Art {ARTICLE.search(rule.source).group(1)}"

    assert str(rule.effective_from) == EU_ACT["applies_from"][article]


def test_a_duty_that_is_kept_before_its_day_says_both_dates(capsys):
    assert main(["explain", "EU-05"]) == 0

    out = capsys.readouterr().out
    assert "Holds    2027-12-02 to none" in out
    assert "Adopted  2025-02-02: since then this pack decides by it" in out
    assert "Checked  2026-11-28" in out
    forbid = next(r for r in RULES if r.id == "EU-05" and r.effect is Effect.FORBID)
    assert forbid.in_force(datetime.date(2025, 2, 2))
    assert not forbid.in_force(datetime.date(2025, 2, 1))


def test_a_text_that_decides_nothing_says_when_it_was_checked(capsys):
    assert main(["explain", "UK-01"]) == 0

    out = capsys.readouterr().out
    assert "decides nothing: in consultation" in out
    assert "Checked  2026-11-28" in out
    assert all(datetime.date.fromisoformat(note.checked) for note in catalogue().values())


@pytest.mark.slow
@pytest.mark.parametrize(("days", "warned"), [(CHECK_DAYS, False), (CHECK_DAYS + 1, True)])
def test_a_rule_that_nobody_has_checked_for_half_a_year_is_named(days, warned, monkeypatch, capsys):
    oldest = min(rule.checked for rule in RULES)
    monkeypatch.setattr(engine, "utc_today", lambda: oldest + datetime.timedelta(days=days))

    assert main(["policy", "lint"]) == 0
    out = capsys.readouterr().out
    assert (f"its source was last checked {days} days ago" in out) is warned
    assert main(["policy", "lint", "--warnings"]) == 0  # what `make check` runs
    assert capsys.readouterr().out.startswith("warning: ") is warned
    assert main(["explain", "GD-01"]) == 0
    assert ("read the source again" in capsys.readouterr().out) is warned


def test_a_rule_of_an_older_bundle_needs_none_of_the_newer_dates():
    (rule,) = parse(
        "x",
        b'@id("X-1") @source("s") @version("1") @effective_from("2026-02-01") '
        b'@effective_to("none") @status("own") @says("w") '
        b"forbid (principal, action, resource) when { context.live };",
    )

    assert (rule.adopted_from, rule.checked) == (datetime.date(2026, 2, 1), None)
    assert explain.rule_data(rule, datetime.date(2026, 2, 1))["checked"] == "never"


def test_the_shipped_packs_take_every_rule_or_the_police_clauses():
    strict, police = Policy.load("strict").pack, Policy.load("police").pack

    assert len(strict.rules) == len(RULES)
    assert {rule.id for rule in police.rules if rule.effect is Effect.FORBID} == {
        "MS-01",
        "MS-02",
        *(rule.id for rule in RULES if rule.id.startswith("GD") and rule.effect is Effect.FORBID),
    }
