"""The emulated device's chapters: power cuts, without starting one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.device import chapters, inside, machines, suite
from bench.device.power import PREFIX, Tally, _line
from bench.device.within.checks import Checks, expect
from bench.device.within.power import SEGMENT_ENTRIES, roots, write
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.cli import main
from edge.errors import AuditError

DRIVES = machines.Drives("k", "i", "r.img", "p.tar", "res.tar")
PI_4 = machines.machine("pi-4-class")
ROOT = "ab" * 32


def tally(*lines: str) -> Tally:
    made = Tally()
    for line in lines:
        made.take(PREFIX + line)
    made.cuts = 1
    return made


def test_a_start_that_finds_all_that_was_durable_is_counted_and_holds() -> None:
    good = tally(f"durable 5 {ROOT}", f"found 7 {ROOT}")

    assert (good.durable, good.root, good.verified, good.faults) == (5, ROOT, 1, [])
    assert _line(good, True, 1, 9.0).holds


@pytest.mark.parametrize(
    "line",
    [f"found 4 {ROOT}", f"found 7 {'cd' * 32}", "refused expected 5 entries, found 4"],
    ids=["an entry is gone", "an entry is another", "the log refuses"],
)
def test_a_start_that_finds_less_or_other_than_was_durable_fails_the_line(line: str) -> None:
    bad = tally(f"durable 5 {ROOT}", line)

    assert len(bad.faults) == 1
    assert not _line(bad, True, 1, 9.0).holds


def test_a_report_that_the_cut_tore_counts_as_none() -> None:
    assert tally(f"durable 5 {ROOT}", "durable 6 abab", "durable 7").durable == 5


def test_too_few_cuts_or_a_log_that_does_not_go_on_fail_the_line() -> None:
    good = tally(f"found 7 {ROOT}".replace(ROOT, "-"))

    assert _line(good, True, 1, 9.0).holds
    assert not _line(good, True, 2, 9.0).holds
    assert not _line(good, False, 1, 9.0).holds


def test_the_writer_reports_the_roots_of_the_log_that_is_then_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[str] = []
    monkeypatch.setattr("bench.device.within.power._say", printed.append)
    key = Signer.generate("framegate-test/log")

    log = AuditLog.create_or_open(tmp_path / "log", key, segment_entries=SEGMENT_ENTRIES)
    write(log, 3)
    log.close()

    held = roots(tmp_path / "log", key.verifier)
    for line in printed:
        _, size, root = line.split()
        assert held[int(size) - 1] == root
    assert len(printed) == 3
    with pytest.raises(AuditError):
        AuditLog.create_or_open(tmp_path / "log", key, floor=len(held) + 9)


def test_a_chapters_start_adds_its_clock_words_and_disk_to_the_usual_one() -> None:
    start = machines.Start(clock_s=0, words=("fgdata",), data="data.img", cores=1)
    command = machines.command(PI_4, DRIVES, host_cores=2, now_s=5, start=start)
    line = command[command.index("-append") + 1]

    assert "fgtime=0" in line.split() and "fgdata" in line.split()
    assert [word for word in command if "file=data.img" in word and "snapshot" not in word]
    assert command[command.index("-smp") + 1] == "1"
    usual = machines.command(PI_4, DRIVES, host_cores=2, now_s=5)
    assert not [word for word in usual if "data.img" in word or "icount" in word]


def test_checks_count_as_pytest_does_and_one_that_fails_does_not_stop_the_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    checks = Checks()

    def bad() -> str:
        expect(False, "something else")
        return ""

    assert not checks.check("one", bad)
    assert checks.check("other", lambda: "well")
    assert checks.end() == 1
    assert capsys.readouterr().out.splitlines() == [
        "FAILED one: expected something else",
        "ok     other: well",
        "1 passed, 1 failed",
    ]
    assert Checks().end() == 1  # nothing was checked


def test_an_unknown_chapter_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["device", "test", "--only", "flood"])

    printed = capsys.readouterr().err
    assert code == 2
    assert printed.count("\n") == 1 and all(name in printed for name in chapters.CHAPTERS)


def test_a_row_that_fails_shows_its_last_lines_at_once_and_one_that_holds_does_not(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    rows = [
        {"name": "bad", "command": ["sh", "-c", "seq 40; echo why; exit 3"]},
        {"name": "good", "command": ["sh", "-c", "echo well"]},
        {"name": "none", "command": ["/no/such/program"]},
    ]

    report = inside.work({"rows": rows}, tmp_path)

    printed = capfdbinary.readouterr().out.decode().splitlines()
    shown = [line for line in printed if line.startswith("device:   |")]
    assert [row["code"] for row in report["rows"][:2]] == [3, 0]
    assert shown[-1] == "device:   | why" and len(shown) == 12
    assert printed.index("40") < printed.index("device:   | why"), "the output itself comes first"
    assert "well" in printed and (tmp_path / "01.log").read_text() == "well\n"
    assert report["rows"][2]["code"].startswith("FileNotFoundError")
    line = suite.judge(
        [suite.Row(suite.Kind.TESTS, "bad", ())], report, {"00.log": "1 failed\n"}, {}
    )[0]
    assert not line.holds and line.found == "exit code 3: 1 failed; see 00.log"


def test_rows_that_may_run_beside_others_come_last_and_fail_alone(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    rows: list[dict[str, object]] = [
        {"name": name, "command": ["sh", "-c", f"printf {name}; exit {code}"], "beside": True}
        for name, code in (("a", 0), ("b", 3), ("c", 0))
    ]

    report = inside.work({"rows": [*rows, {"name": "alone", "command": ["true"]}]}, tmp_path)

    printed = capfdbinary.readouterr().out.decode().splitlines()
    assert report["rows"][0]["name"] == "alone"
    codes = {row["name"]: row["code"] for row in report["rows"]}
    assert codes == {"alone": 0, "a": 0, "b": 3, "c": 0}
    ends = [line for line in printed if ": exit code " in line]
    assert len(ends) == 4 and all(line.startswith("device: ") for line in ends), printed
    assert json.loads((tmp_path / "report.json").read_text()) == report
