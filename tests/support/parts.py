"""A quick part in `make test`, the rest in `make long`."""

from __future__ import annotations

import pytest
from _pytest.mark.structures import ParameterSet


def long(*values: object) -> list[ParameterSet]:
    """Each value as a parameter that only `make long` tries; a tuple is several of one test."""
    several = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*each, marks=pytest.mark.long) for each in several]
