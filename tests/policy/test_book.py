"""The rulebook holds every rule with its words, source, dates and what it decides."""

from __future__ import annotations

import datetime
import html
import re
from pathlib import Path

import pytest

from edge.cli import main
from edge.policy.authoring.book import book
from edge.policy.authoring.reach import elements, holding, turning
from edge.policy.catalogue import catalogue
from edge.policy.engine import Policy
from edge.policy.scenario import read_scenarios

STRICT = Policy.load("strict", datetime.date(2026, 11, 28))
CASES = read_scenarios((Path(__file__).parents[2] / "examples" / "cases.yaml").read_bytes())
PAGE = book(STRICT, CASES)
CARDS = re.findall("<article.*?</article>", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(STRICT.pack.rules)))
def test_each_rule_has_a_card_with_words_source_status_and_dates(number):
    rule, card = STRICT.pack.rules[number], html.unescape(CARDS[number])

    assert f"<h3>{rule.id}<" in card
    for text in (rule.says[1:], rule.source, rule.version, rule.status.value, str(rule.checked)):
        assert text in card
    assert ("decides nothing today" in card) is (rule not in STRICT.rules)
    assert ("For example" in card) is (rule in STRICT.rules), "each rule in force has an example"


def test_each_text_that_decides_nothing_says_why():
    rest = html.unescape("".join(CARDS[len(STRICT.pack.rules) :]))

    assert all(note.why_not[1:] in rest for note in catalogue().values())


def test_a_scenario_stands_beside_each_rule_that_decides_it():
    for case in CASES:
        for rule in STRICT.decide(case.facts).rules:
            cards = [card for card in CARDS if f"<h3>{rule}<" in card]
            assert all(f"<b>{case.id}</b>" in card for card in cards)


def test_the_page_needs_nothing_else_and_every_jump_lands():
    anchors = re.findall(r' id="([^"]+)"', PAGE)

    assert len(anchors) == len(set(anchors))
    assert set(re.findall('href="#([^"]+)"', PAGE)) <= set(anchors)
    assert not re.search(r"<script|src=|url\(|https?:", PAGE)
    assert "@media print" in PAGE


def test_a_rule_is_said_to_look_at_what_its_text_names_and_nothing_else():
    rule = next(r for r in STRICT.pack.rules if r.id == "FA-08")

    assert elements(STRICT.pack, rule) == {
        "operation": ["verify_1_1"],
        "consent": ["forced", "none", "opted_out", "withdrawn"],
    }


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "FA-02",
            {
                "user": {
                    "non_us_police",
                    "us_federal_law_enforcement",
                    "us_state_local_police",
                },
                "by_or_for": {"for"},
                "setting": {"uncontrolled", "unknown"},
                "operation": {"identify_1_n", "verify_1_1"},
            },
        ),
        ("FA-08", {"consent": {"forced", "none", "opted_out", "withdrawn"}}),
        ("ST-PDX", {"jurisdiction": {"US-OR-Portland"}, "user": {"private_business"}}),
    ],
)
def test_the_page_says_what_each_fact_must_be(name, wanted):
    """Not the words in the rule's text: FA-02 names "controlled" to say where it does not hold."""
    rule = next(r for r in STRICT.pack.rules if r.id == name)

    turned = turning(STRICT.pack, rule, holding(STRICT.pack, rule, 8))

    assert {key: set(turned[key]) for key in wanted} == wanted


@pytest.mark.long
def test_what_nobody_checked_for_half_a_year_is_marked():
    late = Policy.load("police", datetime.date(2027, 11, 28))

    assert "read the source again" in book(late)
    assert "read the source again" not in PAGE


@pytest.mark.slow
def test_the_command_writes_it_and_bad_cases_are_one_line(tmp_path, capsys):
    page = tmp_path / "rules.html"
    assert main(["policy", "book", "police", "--out", str(page)]) == 0
    assert "Rulebook of the pack police" in page.read_text()
    bad = tmp_path / "bad.yaml"
    bad.write_text("7")
    capsys.readouterr()

    assert main(["policy", "book", "--out", str(page), "--scenarios", str(bad)]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert "bad.yaml: expected a list of scenarios" in line
