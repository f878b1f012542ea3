"""Reason texts use no word in a narrow sense that `framegate explain` does not define."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge.cli import main
from edge.commands.explain import WORDS, words_in
from edge.reasons import Reason

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "glossary.md"
# Words of ours that reason texts may use; each must be in the glossary.
NARROW = re.compile(
    r"\b(bundle|checkpoint|dock|dwell|enrolled view|interlock|lane|lease|permit|sandbox|"
    r"session claim|slow loop|epoch|sentinel|ring|decider|bracket|sign map)s?\b"
)


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_explain_defines_every_word_of_ours_that_a_reason_uses(
    reason: Reason, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join((reason.happened, reason.stays_off, reason.next_step))

    assert set(NARROW.findall(text)) <= set(words_in(text))
    assert main(["explain", reason.value]) == 0
    printed = capsys.readouterr().out
    assert "What to do next" in printed
    assert all(WORDS[word] in printed for word in words_in(text))


def test_the_page_has_the_same_definitions() -> None:
    page = " ".join(PAGE.read_text().split())

    assert [
        w for w, text in WORDS.items() if f"**{w[0].upper()}{w[1:]}.** {text}" not in page
    ] == []


def test_a_word_is_explained_by_itself_and_a_wrong_one_names_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", "Dwell"]) == 0
    assert capsys.readouterr().out == f"dwell: {WORDS['dwell']}\n"
    assert main(["explain", "lease", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"word": "lease", "means": WORDS["lease"]}

    assert main(["explain", "sandbx"]) == 2
    assert "did you mean sandbox?" in capsys.readouterr().err
