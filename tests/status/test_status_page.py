"""The status page: what it says of a guard, and what it never says."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.audit.schema import Context
from edge.clock import S
from edge.commands.live import status
from edge.decision.judge import Outlook
from edge.decision.monitor import Wrote
from edge.frames.messages import Resolved
from edge.guard.recorder import Recorder
from edge.reasons import Reason
from edge.report.record import FrameDecision, Outcome
from edge.status.scales import STRIP_S
from edge.status.snapshot import Ledger
from tests.support.status_pages import NOW, PASSED, STOPPED, WALL_S, Page, ask, sample, signed

pytestmark = pytest.mark.slow


def test_a_blocking_guard_says_why_by_which_clause_and_what_to_do() -> None:
    _, _, page = ask(sample())

    assert "Everything is blocked" in page
    assert "VIEW_FOREIGN" in page
    assert "Point the camera at the enrolled view" in page
    assert "No &lt;mobile&gt; cameras &amp; crowds" in page
    assert "0.5 s" in page
    assert "framegate audit prove" in page


def test_a_passing_guard_says_so() -> None:
    _, _, page = ask(sample(permitted=True))

    assert "Frames pass" in page
    assert "Everything is blocked" not in page


def test_what_the_gate_withholds_is_not_shown_as_passing() -> None:
    """The decider permits, and no matcher takes the frames: nothing is released."""
    lost = sample(permitted=True, lost=Reason.MATCHER_LOST)
    page, scraped = ask(lost)[2], ask(lost, "/metrics")[2]

    assert lost["permitted"] is False
    assert [reason["code"] for reason in lost["reasons"]] == ["MATCHER_LOST"]
    assert lost["transitions"][0]["reasons"] == ["MATCHER_LOST"]
    assert "Everything is blocked" in page and "Restart the matcher" in page
    assert "framegate_permitted 0.0" in scraped
    assert "framegate_permitted 1.0" in ask(sample(permitted=True), "/metrics")[2]


def test_changes_follow_the_frames_and_name_the_entry_of_the_decider_only() -> None:
    """A permit, the matcher lost and back, a refusal; the log has the first and the last."""
    book = Ledger(WALL_S)
    recorder = Recorder()
    word = {
        True: Outlook(Context.CONTROLLED, True, (), ("FA-03",)),
        False: Outlook(Context.CONTROLLED, False, (Reason.POLICY_DENY,), ()),
    }

    def second(at: int, permitted: bool, why: Reason | None) -> None:
        now_ns = NOW + at * S
        if recorder.outlook is not word[permitted]:
            recorder.outlook, recorder.permit_ns = word[permitted], now_ns
            recorder.wrote.append(Wrote(at, permitted))
            book.note(recorder, now_ns, WALL_S + at)  # nothing has passed under it yet
        recorder.resolved([Resolved(at, now_ns, why, 1, 1000)])
        book.note(recorder, now_ns, WALL_S + at)

    lost, denied = (True, Reason.MATCHER_LOST), (False, Reason.POLICY_DENY)
    for at, (permitted, why) in enumerate(
        ((True, None), (True, None), lost, lost, (True, None), denied, denied)
    ):
        second(at, permitted, why)

    changes = [(c["permitted"], c["reasons"], c.get("entry")) for c in book.transitions[::-1]]
    assert changes == [
        (True, [], 0),
        (False, ["MATCHER_LOST"], None),
        (True, [], None),
        (False, ["POLICY_DENY"], 5),
    ]


def test_an_entry_leads_to_its_proof_once_the_log_has_signed_it(tmp_path: Path) -> None:
    found = signed(tmp_path / "audit")

    assert '<a href="/proof/1" download="1.proof"' in ask(found)[2]
    assert (
        "<a"
        not in ask({**found, "checkpoint": ""})[2].partition("Changes")[2].partition("Health")[0]
    )


@pytest.mark.parametrize("number", ["2", "-1", "", "1.0", "0x1", "9" * 4000, "../1", "\u0661"])
def test_a_proof_of_what_is_no_entry_is_one_line(tmp_path: Path, number: str) -> None:
    status_, _, body = ask(signed(tmp_path / "audit"), f"/proof/{number}")

    assert (status_, body) == ("404 Not Found", "expected /proof/N, N from 0 to 1\n")


def test_a_proof_of_a_log_that_is_gone_or_not_begun_says_so(tmp_path: Path) -> None:
    gone = ask(signed(tmp_path / "audit"), "/proof/1")
    empty = ask(sample(), "/proof/1")

    assert (gone[0], gone[2]) == ("503 Service Unavailable", "the log's files are gone\n")
    assert empty[0] == "404 Not Found" and empty[2].count("\n") == 1


def test_a_silent_daemon_is_never_shown_as_passing() -> None:
    status_, _, page = ask(sample(permitted=True), age_s=30)

    assert status_.startswith("200")
    assert "Everything is blocked" in page
    assert "reported nothing for 30 s" in page


@pytest.mark.parametrize(("age_s", "passes"), [(0.6, True), (1.1, False), (2.9, False)])
def test_no_surface_says_that_frames_pass_for_longer_than_two_periods(
    age_s: float, passes: bool, tmp_path: Path
) -> None:
    found = sample(permitted=True)
    file = tmp_path / "status.json"
    file.write_text(json.dumps(found))

    page = ask(found, age_s=age_s)[2]
    data = json.loads(ask(found, "/status.json", age_s=age_s)[2])
    metrics = ask(found, "/metrics", age_s=age_s)[2]
    read = status.read(file, found["at_s"] + age_s)

    assert read is not None
    assert ("Frames pass" in page) is passes
    assert data["permitted"] is passes
    assert f"framegate_permitted {float(passes)}" in metrics
    assert status.lines(read)[0].startswith("frames pass") is passes


@pytest.mark.parametrize("silent_s", [0.1, 12.0])
def test_every_surface_says_since_when_the_camera_is_silent(silent_s: float) -> None:
    found = sample(frame_ago_s=silent_s)
    silent = silent_s > 1
    at = datetime.fromtimestamp(WALL_S - silent_s, timezone.utc)
    sentence = f"No frame has come from the camera for 12 s, since {at:%H:%M:%S} UTC."

    assert (sentence in ask(found)[2]) is silent
    assert (f"  {sentence}" in status.lines(found)) is silent
    assert f"framegate_camera_silent_seconds {silent_s}" in ask(found, "/metrics")[2]
    assert "No frame has come" not in ask({**found, "phase": "waiting"})[2]


@pytest.mark.parametrize(
    ("kind", "at", "named"),
    [
        ("real", "/dev/ttyACM0", ""),
        ("virtual", "virtual", "virtual board"),
        ("virtual", "/dev/ttyACM0", "possibly simulated board at /dev/ttyACM0"),
        ("none", "virtual", ""),
    ],
)
def test_the_board_that_is_there_is_the_one_that_is_named(kind: str, at: str, named: str) -> None:
    found = sample()
    found["facts"] = {**found["facts"], "board_kind": kind, "board_at": at}

    words, page = "\n".join(status.lines(found)), ask(found)[2]

    assert ("prove nothing" in words) is bool(named)
    assert f"  a {named} is in use; its sensors prove nothing" in words or not named
    assert ("virtual board" in words + page) is (named == "virtual board")
    assert f">{named or kind}<" in page


def test_a_lost_guard_is_shown_with_its_trouble() -> None:
    _, _, page = ask(sample(phase="waiting", trouble="the gate process was ended by signal 9"))

    assert "Everything is blocked" in page
    assert "ended by signal 9" in page


@pytest.mark.parametrize("tried", ["", "connect to <x>"])
def test_what_a_matcher_tried_is_shown_wherever_the_state_is(tried: str) -> None:
    found = sample(escape=tried)
    _, _, page = ask(found)
    _, _, data = ask(found, "/status.json")

    assert json.loads(data)["escape"] == tried
    assert ("The matcher tried: <b>connect to &lt;x&gt;</b>." in page) is bool(tried)
    assert ("  the matcher tried: connect to <x>" in status.lines(found)) is bool(tried)


def test_nothing_is_fetched_from_anywhere_and_no_picture_is_shown() -> None:
    _, headers, page = ask(sample())
    parsed = Page(page)

    assert parsed.fetched == []
    assert not {"img", "video", "canvas", "iframe", "object"} & set(parsed.tags)
    assert "http://" not in page and "https://" not in page
    assert len(parsed.ids) == len(set(parsed.ids))
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


def test_no_score_of_the_view_leaves_the_guard() -> None:
    everything = json.dumps(sample()) + ask(sample())[2] + ask(sample(), "/metrics")[2]

    assert "score" not in everything.replace("no score of the view", "")


def test_the_page_refreshes_itself_without_scripts() -> None:
    assert '<noscript><meta http-equiv="refresh"' in ask(sample())[2]


def test_a_second_is_drawn_as_the_worst_of_its_frames_and_forgotten_in_time() -> None:
    book = Ledger(WALL_S)
    for decision in (PASSED, STOPPED):
        book.add([decision], [])
    book.add([FrameDecision(3, NOW - 2 * S, Outcome.PASS, Context.CONTROLLED, (), ())], [])

    drawn = book.strip(NOW)

    assert len(drawn) == STRIP_S
    assert drawn[-3:] == "b.g"
    assert set(book.strip(NOW + 2 * STRIP_S * S)) == {"."}
    assert book.strip(NOW) == "." * STRIP_S


def test_the_terminal_tells_the_same(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    file.write_text(json.dumps(sample()))

    found = status.read(file, WALL_S + 1)

    assert found is not None
    body = "\n".join(status.lines(found))
    assert "everything is blocked" in body
    assert "VIEW_FOREIGN" in body
    assert status.read(file, WALL_S + 60) is None  # an old word is no word


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_file_is_no_word(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "status.json"
    file.write_bytes(content)

    assert status.read(file, WALL_S) is None
