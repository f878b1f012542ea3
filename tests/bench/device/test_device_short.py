"""When CI's short part runs on an emulated device, and what its board rows may be excused for."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.device import busy, host, machines, short, suite
from bench.device.image.build import Builder
from bench.device.image.cache import Cache, step_name
from bench.device.machines import Pages
from edge.errors import UsageError
from firmware_bridge.checks import duties

ROOT = Path(__file__).resolve().parents[3]
ROWS = short.rows()
BOARD = "board duties"
RED = suite.Line(BOARD, False, "the line went down", 9.0)
GREEN = suite.Line(BOARD, True, "10 passed, 0 failed", 9.0)
OTHERS = [suite.Line(row.name, True, "", 1.0) for row in ROWS if row.name != BOARD]
FULL = host.Host("linux", frozenset({"qemu-system-aarch64"}), False, 9000, 9000)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of an account that has none yet, on a host with the emulators."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "left"))
    (tmp_path / "left").mkdir()
    monkeypatch.setattr(host, "look", lambda folder: FULL)
    monkeypatch.setattr("bench.device.short.lm3s6965.available", lambda: True)
    folder = tmp_path / "framegate/arm64"
    folder.mkdir(parents=True)
    return folder


def complete(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every step of a build under its name, made empty; their names in order."""
    made: list[Path] = []

    def has(self: Cache, name: str, inputs: object) -> bool:
        made.append(folder / step_name(name, inputs))
        return True

    with monkeypatch.context() as patched:
        patched.setattr(Cache, "has", has)
        assert Builder(Cache(folder, print), None).built(Pages.KIB_4)
    for path in made:
        path.touch()
    return [path.name for path in made]


def test_without_a_device_or_with_a_part_of_one_it_is_skipped_in_a_line_that_says_why(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[object] = []
    monkeypatch.setattr(short, "run", lambda *words: ran.append(words) or [GREEN])
    monkeypatch.setattr(Builder, "build", lambda self, pages: "built")
    reason = f"emulated device: skipped: no complete device in {cache}: run `make arm64`\n"

    assert short.main() == 0
    assert capsys.readouterr().out == reason
    names = complete(cache, monkeypatch)
    for name in names:  # what an interrupted build leaves has another name
        (cache / name).rename(cache / f".part-{name}")
        assert short.main() == 0
        assert capsys.readouterr().out == reason, name
        (cache / f".part-{name}").rename(cache / name)
    assert not ran

    assert short.main() == 0  # the twin: all of it is there
    assert len(ran) == 1 and GREEN.found in capsys.readouterr().out


@pytest.mark.parametrize(
    ("look", "board", "reason"),
    [
        (replace(FULL, tools=frozenset()), True, "apt-get install qemu-system-arm"),
        (replace(FULL, memory_mib=512), True, "512 are available"),
        (FULL, False, "qemu-system-arm is not installed"),
    ],
)
def test_a_host_that_cannot_emulate_it_is_named(
    look: host.Host, board: bool, reason: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "look", lambda folder: look)
    monkeypatch.setattr("bench.device.short.lm3s6965.available", lambda: board)
    complete(cache, monkeypatch)
    builder = Builder(Cache(cache, print), None)

    found = short.why_not(machines.MACHINES[0], builder, cache)

    assert found is not None and reason in found and "\n" not in found


@pytest.mark.parametrize("line", [RED, GREEN], ids=["fails", "holds"])
def test_a_failed_or_broken_short_part_fails_ci(
    line: suite.Line,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    complete(cache, monkeypatch)
    monkeypatch.setattr(Builder, "build", lambda self, pages: "built")
    monkeypatch.setattr(short, "run", lambda *words: [*OTHERS, line])
    assert short.main() == (0 if line is GREEN else 1)

    def broken(*words: object) -> list[suite.Line]:
        raise UsageError("the device ended without a report")

    monkeypatch.setattr(short, "run", broken)
    assert short.main() == 1
    assert "without a report" in capsys.readouterr().err
    left = cache.parents[1] / "left"
    assert len(list(left.iterdir())) == (line is RED)  # only where logs are named


def played(answers: Sequence[tuple[suite.Line, float]]) -> tuple[list[suite.Line], list[int]]:
    """The verdict if the board's rows answer so, one after the other; how many rows each ran."""
    left, ran = list(answers), []

    def work(rows: Sequence[suite.Row]) -> tuple[list[suite.Line], float]:
        ran.append(len(rows))
        line, late_ms = left.pop(0)
        return ([line] if len(rows) == 1 else [*OTHERS, line]), late_ms

    return short.judged(work, ROWS, print), ran


LATE, IN_TIME = duties.LATE_MS + 1.0, duties.LATE_MS - 1.0


def test_a_duty_that_fails_in_time_is_final_and_one_on_a_busy_host_is_tried_again() -> None:
    lines, ran = played([(RED, IN_TIME)])
    assert [line.name for line in lines if not line.holds] == [BOARD] and ran == [3]

    lines, ran = played([(RED, LATE), (RED, IN_TIME)])
    assert [line.name for line in lines if not line.holds] == [BOARD] and ran == [3, 1]

    lines, ran = played([(RED, LATE), (GREEN, LATE)])
    assert all(line.holds for line in lines) and GREEN in lines and ran == [3, 1]


def test_a_host_that_stays_busy_is_named_and_the_board_is_not_judged() -> None:
    lines, ran = played([(RED, LATE)] * 3)

    assert ran == [3, 1, 1]
    unjudged = next(line for line in lines if line.name == BOARD)
    assert unjudged.holds and unjudged.found.startswith("NOT JUDGED, this host kept an emulator")
    assert RED.found in unjudged.found


def test_a_busy_host_excuses_no_other_row() -> None:
    bad = replace(OTHERS[0], holds=False)

    lines = short.judged(lambda rows: ([bad, *OTHERS[1:], GREEN], LATE), ROWS, print)

    assert [line.name for line in lines if not line.holds] == [bad.name]


def test_a_wait_counts_within_the_life_of_a_lease_and_for_one_thread_alone() -> None:
    steady = [{"1": at * 10.0, "2": at * 10.0} for at in range(40)]
    assert busy.longest_ms(steady) == 40.0  # in four samples, however long it goes on
    assert busy.longest_ms([*steady, {"1": 390.0 + 170.0, "3": 900.0}]) == 200.0
    assert busy.longest_ms(steady[:1]) == 0.0


def test_the_waits_of_this_process_are_read_and_a_process_that_is_gone_has_none() -> None:
    assert str(os.getpid()) in busy.waited([os.getpid()])
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert busy.waited([gone.pid]) == {}


@pytest.mark.parametrize(
    ("test", "retry", "called"),
    [(0, 1, ["test", "device"]), (1, 0, ["test", "retry", "device"]), (1, 1, ["test", "retry"])],
    ids=["passed", "passed when tried again", "failed"],
)
def test_ci_runs_it_after_the_tests_have_passed(
    test: int, retry: int, called: list[str], tmp_path: Path
) -> None:
    script = (ROOT / ".ci/run").read_text()
    end = script[script.index("\nmake test") :]
    for path, name, code in (
        ("bin/make", "test", test),
        (".ci/retry", "retry", retry),
        (".venv/bin/python", "device", 0),
    ):
        program = tmp_path / path
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\necho {name} >> called\nexit {code}\n")
        program.chmod(0o755)
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", end], cwd=tmp_path, env=environment, check=False
    )

    assert (tmp_path / "called").read_text().split() == called
    assert (done.returncode == 0) == ("device" in called)
