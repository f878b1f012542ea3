"""What `framegate status` makes of a file that holds no state: not running, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.commands.live.status import read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"at_s": "now"}',
        '{"at_s": null}',
        '{"at_s": NaN}',
        '{"at_s": 1}',
        "[" * 9000,
    ],
)
def test_what_is_no_state_is_none(text: str, tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    file.write_text(text)

    assert read(file, 1000.0) is None


def test_a_fresh_state_is_read(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    file.write_text('{"at_s": 1000.0}')

    assert read(file, 1000.5) == {"at_s": 1000.0, "age_s": 0.5}
