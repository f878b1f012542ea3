"""A matcher that ends: one line says how and why, as far as it can be known."""

from __future__ import annotations

import select
import subprocess
import sys

import pytest

from edge.guard.matcher import MatcherSupervisor
from edge.guard.matcher_output import relays_of
from edge.guard.processes import Child

CASES = {
    "a missing library": ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
    "an unreadable model": ("open('/nowhere/model.onnx')", "No such file or directory"),
    "a crash": ("import os; os.abort()", "ended by signal 6"),
    "an error": (
        "raise ValueError('the model has 2 inputs')",
        "ValueError: the model has 2 inputs",
    ),
    "a wrong interpreter": ("raise SystemExit(127)", "name the interpreter itself"),
    "a code of its own": ("raise SystemExit(3)", "ended with code 3;"),
    "no word": ("raise SystemExit(4)", "ended with code 4;"),
}


def ended(code: str) -> list[str]:
    return lost(code)[0]


def lost(code: str) -> tuple[list[str], MatcherSupervisor]:
    """What a guard says of a matcher that ran `code`, relayed as one in the sandbox is."""
    lines: list[str] = []
    matcher = MatcherSupervisor((), None, lines.append)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    matcher.child = Child("matcher", process)
    matcher._relays = relays_of(matcher.child, lambda line: "")
    select.select([matcher.child.pidfd], [], [], 30)
    matcher.turn({matcher.child.pidfd}, 1, over=False)
    matcher.close()
    return lines, matcher


@pytest.mark.parametrize("name", CASES)
def test_a_matcher_that_ends_is_one_line_with_its_cause(name: str) -> None:
    code, expected = CASES[name]
    (line,), matcher = lost(code)
    assert matcher.lost == 1
    assert line.startswith("MATCHER_LOST: ")
    assert line.endswith("no frames until it is started again")
    assert expected in line
    assert "\n" not in line


def test_a_matcher_that_ends_in_good_order_is_no_loss() -> None:
    lines, matcher = lost("print('done')")

    assert lines == []
    assert matcher.lost == 0


def test_lines_beyond_the_rate_are_counted() -> None:
    _, quiet = lost("print('one line')")
    _, loud = lost("import sys; sys.stdout.write(('x' * 99 + chr(10)) * 30_000); sys.exit(3)")

    assert quiet.lines_left_out == 0
    assert loud.lines_left_out > 10_000
    assert loud.lost == 1


def test_last_words_are_bounded() -> None:
    (line,) = ended("import sys; sys.exit('x' * 100_000)")

    assert 160 < len(line) < 300
