"""The `[mask]` table: polygons that make sense are read, the others are one line that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main
from edge.commissioning.records import parse_device
from edge.errors import RecordError
from edge.frames.settings import GateSettings
from edge.masking.polygons import MaskRules
from edge.wire import from_json, to_json

HALF = "[[0.0, 0.0], [1.0, 0.0], [1.0, 0.5], [0.0, 0.5]]"
REST = "[[0.0, 0.5], [1, 0.5], [1, 1], [0.0, 1]]"


def read(text: str) -> MaskRules:
    return parse_device(f'camera = "fixed"\n{text}'.encode(), Path("D.toml")).masks


def test_polygons_and_bodies_are_read_and_travel() -> None:
    rules = read(f"[mask]\npolygons = [{HALF}]\nbodies = true")

    assert rules == MaskRules((((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5)),), bodies=True)
    assert from_json(MaskRules, to_json(rules)) == rules
    assert "masks" in GateSettings.__dataclass_fields__


def test_a_record_without_the_table_masks_no_place() -> None:
    assert read("") == MaskRules()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("polygons = [[[0.0, 0.0], [1.5, 0.0], [1.0, 0.5]]]", "must lie in 0 to 1"),
        ("polygons = [[[0, 0], [1, 1], [1, 0], [0, 1]]]", "crosses itself"),
        (f"polygons = [{HALF}, {REST}]", "cover the whole picture"),
        ("polygons = [[[0, 0], [1, 0]]]", "3 to 32 corners, got 2"),
        ("polygons = [[0, 0, 1, 1]]", "expected a list of polygons"),
        ("polygons = 7", "expected a list of polygons"),
        ('polygons = [[["0", 0], [1, 0], [1, 1]]]', "expected a list of polygons"),
        ("polygons = [[[nan, 0], [1, 0], [1, 1]]]", "must lie in 0 to 1"),
        ("bodies = 1", "bodies must be true or false"),
        ("polygon = []", "unknown key 'polygon'; allowed: polygons, bodies"),
    ],
)
def test_what_makes_no_sense_is_one_line(text: str, expected: str) -> None:
    with pytest.raises(RecordError, match=expected) as found:
        read(f"[mask]\n{text}")

    assert "\n" not in str(found.value)
    assert str(found.value).startswith("D.toml [mask]: ")


def test_a_command_refuses_it_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = tmp_path / "D.toml"
    device.write_text(f'camera = "fixed"\n[mask]\npolygons = [{HALF}, {REST}]\n')
    (tmp_path / "S.toml").write_text('operation = "detect"\ngallery = "none"\n')

    code = main(
        ["replay", "none.mp4", "--device", str(device), "--session", str(tmp_path / "S.toml")]
    )

    assert code == 2
    output = capsys.readouterr().err.strip()
    assert len(output.splitlines()) == 1
    assert "cover the whole picture" in output
