"""The quick cases, and the table itself; `make cases` runs them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.case import Case, Found, Outcome, Skipped, Workshop
from tests.cases.table import families

pytestmark = pytest.mark.slow

QUICK = [case for cases in families().values() for case in cases if case.quick]


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name)
def test_a_quick_case_is_right(case: Case, tmp_path: Path, face_model: Path) -> None:
    try:
        found = case.run(Workshop(tmp_path))
    except Skipped as why:
        pytest.skip(str(why))

    assert case.right(found), found


def test_a_case_is_right_only_with_its_outcome_and_its_words() -> None:
    case = Case("x", lambda shop: Found(Outcome.REFUSED, "no"), Outcome.REFUSED, "interlaced")

    assert case.right(Found(Outcome.REFUSED, "is interlaced H.264 video"))
    assert not case.right(Found(Outcome.REFUSED, "check the driver"))
    assert not case.right(Found(Outcome.FAULT, "is interlaced H.264 video"))
