"""How fast a machine starts and reads evidence: what is said, before a guard is installed on it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from edge.cli import main
from edge.clock import MS
from edge.diagnosis import pace, rates
from edge.diagnosis.findings import State
from edge.diagnosis.pace import Pace
from tests.daemon.test_settings import GOOD as GUARD_TOML

QUICK = Pace(1280, 720, 0.5, 10 * MS, 3 * MS, 3 * MS, 6 * MS)
SLOW = Pace(1280, 720, 20.0, 400 * MS, 60 * MS, 40 * MS, 200 * MS)


def test_a_quick_machine_is_told_its_rates_and_what_is_needed() -> None:
    found = rates.rates(QUICK)

    assert found.state is State.OK
    assert "people 100/s of 5 needed" in found.found
    assert "together 12% of one processor" in found.found
    assert rates.start(QUICK, 30).state is State.OK


def test_what_will_not_keep_up_is_named_and_stops() -> None:
    found = rates.rates(SLOW)

    assert found.stops
    for name in ("view will not keep up", "people will not keep up", "a frame waits 500 ms"):
        assert name in found.found
    assert "will not keep up" not in rates.rates(QUICK).found


def test_a_machine_with_no_room_left_is_called_so_before_it_fails() -> None:
    costs = {"people_ns": 100 * MS, "view_ns": 20 * MS, "motion_ns": 20 * MS, "scene_ns": 100 * MS}
    busy = dataclasses.replace(QUICK, **costs)  # people and scene are looked at in two frames

    found = rates.rates(busy)

    assert found.state is State.DEGRADED
    assert not found.stops
    assert "people 10/s of 5 needed" in found.found


def test_only_a_frame_that_waits_for_later_evidence_needs_a_look_in_time() -> None:
    slow_look = dataclasses.replace(QUICK, people_ns=310 * MS)

    assert "a frame waits" in rates.rates(slow_look).found
    assert "a frame waits" not in rates.rates(slow_look, bracketed=False).found


@pytest.mark.parametrize(
    ("ready_s", "limit_s", "state", "todo"),
    [
        (5.0, 30, State.OK, ""),
        (15.5, 30, State.DEGRADED, "start_limit_s = 31"),
        (31.0, 30, State.MISSING, "start_limit_s = 62"),
        (31.0, 90, State.OK, ""),
        (400.0, 30, State.MISSING, "start_limit_s = 600"),
    ],
)
def test_a_slow_start_is_told_with_the_limit_that_then_works(
    ready_s: float, limit_s: float, state: State, todo: str
) -> None:
    found = rates.start(dataclasses.replace(QUICK, ready_s=ready_s), limit_s)

    assert found.state is state
    assert (found.todo.startswith("set " + todo) if todo else found.todo) == (True if todo else "")


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    return {row["part"]: row for row in json.loads(capsys.readouterr().out)}


@pytest.mark.slow
def test_the_command_measures_this_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor", "--place", str(tmp_path), "--size", "320x240", "--json"])

    found = rows(capsys)
    if "speed" in found:
        pytest.skip(str(found["speed"]["found"]))
    assert "at 320x240: people " in str(found["evidence rates"]["found"])
    assert "the limit is 30 s" in str(found["start time"]["found"])


@pytest.mark.slow
def test_the_command_fails_where_evidence_will_not_keep_up_unless_not_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "measure", lambda width, height, *, masked: SLOW)

    assert main(["doctor", "--place", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "evidence rates" in printed.splitlines()[-1]
    main(["doctor", "--place", str(tmp_path), "--quick"])
    assert "evidence rates" not in capsys.readouterr().out


@pytest.mark.slow
def test_the_start_limit_of_the_site_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "guard.toml"
    config.write_bytes(b"start_limit_s = 90\n" + GUARD_TOML)
    monkeypatch.setattr(pace, "measure", lambda width, height, *, masked: SLOW)

    main(["doctor", "--place", str(tmp_path), "--config", str(config), "--json"])

    assert rows(capsys)["start time"]["state"] == "ok"


@pytest.mark.slow
def test_without_models_the_reason_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    found = pace.measure(320, 240)

    assert isinstance(found, str)
    assert "framegate models pull" in found


@pytest.mark.parametrize("size", ["1280", "0x0", "1280x", "99999x1", "-1x5", "12x800"])
def test_a_size_that_is_none_is_bad_usage(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", f"--size={size}"])

    assert ended.value.code == 2
    assert "expected" in capsys.readouterr().err
