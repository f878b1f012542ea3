"""The gate that the tests of its process share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gate_harness import Harness


@pytest.fixture
def harness(tmp_path) -> Iterator[Harness]:
    harness = Harness(str(tmp_path / "m"))
    yield harness
    harness.close()
