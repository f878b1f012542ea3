"""The witness's benchmark runs, checks what it measures, and a witness keeps little of a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fleet.witness import run


@pytest.mark.slow
def test_every_request_of_the_benchmark_is_cosigned_and_little_is_kept(tmp_path: Path) -> None:
    found = run(12, 2, 3, tmp_path)

    assert found["requests"] == 24
    assert isinstance(found["stored_bytes_a_log"], int)
    assert found["stored_bytes_a_log"] < 8192
