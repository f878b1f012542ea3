"""A month of the log: what flowed, under which clause, why not; each row with its proof."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.schema import Entry
from edge.cli import main
from edge.errors import UsageError
from edge.report.month import Month, MonthCounter, MonthReport
from tests.support.audit_helpers import DAY, deny, end, permit, start, stop

NAME = "framegate-5f4e70b5/log"
REPORT = ["audit", "report", "audit", "--key", "log.pub", "--month", "2026-01", "--out", "january"]
TO_MIDNIGHT_S = 12 * 3600  # DAY begins at noon of 2026-01-01


def counted(month: str, entries: list[Entry]) -> MonthReport:
    counter = MonthCounter(Month.parse(month))
    for index, entry in enumerate(entries):
        counter.take(index, entry.fields())
    return counter.finish()


def test_a_month_adds_up_what_flowed_and_why_it_did_not() -> None:
    report = counted("2026-01", DAY)

    assert [(f.seconds, f.released, f.permit, f.end) for f in report.flows] == [
        (60.0, 900, 2, 3),
        (60.0, 0, 5, 6),
    ]
    assert (report.seconds, report.released, report.entries) == (120.0, 900, len(DAY))
    assert dict(report.flow_s) == {"FA-03": 120.0}
    assert sum(report.denials.values()) >= 4
    assert all(seconds > 0 for seconds in report.blocked_s.values())
    assert {event.kind for event in report.events} == {"start"}  # of a recording, a virtual board


def test_a_permit_over_midnight_counts_in_each_month_for_its_part() -> None:
    month_s = 31 * 24 * 3600 - TO_MIDNIGHT_S  # to the first of February
    entries: list[Entry] = [start(0), permit(month_s - 10, 1), end(month_s + 20, 1, released=9)]

    january, february = counted("2026-01", entries), counted("2026-02", entries)

    assert (january.seconds, february.seconds) == (10.0, 20.0)
    assert counted("2026-03", entries).flows == []


def test_a_permit_without_an_end_counts_to_the_next_entry_and_says_so() -> None:
    report = counted("2026-01", [start(0), permit(60, 1), start(90, boot=2), deny(100)])

    (flow,) = report.flows
    assert (flow.seconds, flow.end, flow.released) == (30.0, None, None)


def test_what_goes_on_counts_to_the_newest_entry() -> None:
    report = counted("2026-01", [start(0), deny(10), permit(60, 1)])

    assert report.blocked_s
    assert set(report.blocked_s.values()) == {50.0}
    assert report.flows[0].seconds == 0.0


def test_nothing_is_blocked_while_no_guard_runs() -> None:
    report = counted("2026-01", [start(0), deny(10), stop(20, released=0), start(5000), deny(5001)])

    assert set(report.blocked_s.values()) == {10.0}


@pytest.mark.parametrize("text", ["2026", "2026-13", "26-01", "2026-1", "", "2026-01-01", "x"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a month"):
        Month.parse(text)
    assert Month.parse("2026-12").bounds_ns[1] == Month.parse("2027-01").bounds_ns[0]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    key = Signer.generate(NAME)
    written = AuditLog.create_or_open(tmp_path / "audit", key)
    for entry in DAY:
        written.append(entry, durable=True)
    written.close()
    (tmp_path / "log.pub").write_text(key.verifier.text)
    return tmp_path / "audit"


class Links(HTMLParser):
    """The links of a page, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag != "meta"
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1


def test_each_row_of_the_page_leads_to_a_proof_that_verifies(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "audit",
                "report",
                "audit",
                "--key",
                "log.pub",
                "--month",
                "2026-01",
                "--out",
                "january",
            ]
        )
        == 0
    )

    text = Path("january/report.html").read_text()
    links = Links()
    links.feed(text)
    assert links.depth == 0
    assert len(links.links) >= 4
    assert "FA-03" in text
    for link in links.links:
        assert main(["audit", "verify-proof", f"january/{link}", "--key", "log.pub"]) == 0
    with Path("january/report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["seconds"], row["frames_released"]) for row in rows] == [
        ("60.000", "900"),
        ("60.000", "0"),
    ]
    with Path("january/events.csv").open() as file:
        events = list(csv.DictReader(file))
    assert events
    for event in events:
        assert event["proof"] in links.links
        assert event["what"] in text
    for name, word in (("clauses", "clause"), ("blocked", "code")):
        with Path(f"january/{name}.csv").open() as file:
            table = list(csv.DictReader(file))
        assert table
        assert all(row[word] in text and float(row["seconds"]) > 0 for row in table), table
    assert not re.search("<script|http:|https:", text)
    assert "120" in capsys.readouterr().out or "permits" in text


def test_a_log_that_does_not_verify_gives_no_report(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (journal, *_) = sorted((log / "segments").glob("*.log"))
    journal.write_bytes(journal.read_bytes().replace(b'"released":900', b'"released":100'))

    assert (
        main(
            [
                "audit",
                "report",
                "audit",
                "--key",
                "log.pub",
                "--month",
                "2026-01",
                "--out",
                "january",
            ]
        )
        == 1
    )
    assert "nothing was reported" in capsys.readouterr().err
    assert not Path("january").exists()


def test_a_report_overwrites_nothing(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("january").mkdir()

    assert (
        main(
            [
                "audit",
                "report",
                "audit",
                "--key",
                "log.pub",
                "--month",
                "2026-01",
                "--out",
                "january",
            ]
        )
        == 2
    )
    assert len(capsys.readouterr().err.splitlines()) == 1
