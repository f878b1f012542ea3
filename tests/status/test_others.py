"""Several matchers on one camera: every surface says of each whether frames pass, and why not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.audit.schema import Context
from edge.clock import S
from edge.commands.live import status
from edge.decision.judge import Outlook
from edge.decision.monitor import Wrote
from edge.frames.messages import Resolved
from edge.guard.plan import Plan
from edge.guard.recorder import Recorder
from edge.lease import Lane
from edge.reasons import Reason
from edge.status.others import Others
from tests.support.status_pages import NOW, WALL_S, ask, sample

FORBIDDEN = Outlook(Context.UNCONTROLLED, False, (Reason.POLICY_DENY,), ("EU-01",))
ALLOWED = Outlook(Context.UNCONTROLLED, True, (), ("FA-03",))


def other(
    name: str, *, permitted: bool, frames: int = 3, lane: Lane = Lane.DETECT, **matcher: Any
) -> Any:
    """What is read of a guard, without its processes."""
    recorder = Recorder(
        Context.UNCONTROLLED, outlook=ALLOWED if permitted else FORBIDDEN, outlook_ns=NOW
    )
    why = None if permitted else Reason.POLICY_DENY
    recorder.resolved([Resolved(n, NOW, why, 1, 1000) for n in range(frames)])
    return SimpleNamespace(
        plan=Plan("0", Path("D.toml"), Path("S.toml"), name=name, audit=Path("/a")),
        session=SimpleNamespace(operation=lane),
        recorder=recorder,
        matcher=SimpleNamespace(**{"attempt": "", "lost": 0, "lines_left_out": 0, **matcher}),
    )


def shown(*others: Any) -> list[dict[str, Any]]:
    book = Others(WALL_S, [one.plan.name for one in others])
    book.note(others, NOW, WALL_S)
    return book.shown(others, NOW)


def test_one_that_is_forbidden_and_one_that_is_not_are_told_apart_on_every_surface() -> None:
    also = shown(
        other("counting", permitted=True), other("mood", permitted=False, lane=Lane.INFER_EMOTION)
    )
    found = sample(permitted=True, also=also)
    page, scraped = ask(found)[2], ask(found, "/metrics")[2]
    words = status.lines(found)

    assert [(o["name"], o["permitted"], o["frames"]["released"]) for o in also] == [
        ("counting", True, 3),
        ("mood", False, 0),
    ]
    assert [reason["code"] for reason in also[1]["reasons"]] == ["POLICY_DENY"]
    assert also[1]["by_reason"] == {"POLICY_DENY": 3} and also[0]["by_reason"] == {}
    assert words[0].startswith("frames pass to the first matcher  (")
    assert "matcher counting, lane detect: frames pass" in words
    assert "matcher mood, lane infer_emotion: blocked" in words
    assert any(line.strip().startswith("POLICY_DENY") for line in words)
    assert "Frames pass to the first matcher" in page
    assert "Other matchers on this camera" in page and "<b>POLICY_DENY</b>" in page
    assert 'framegate_also_permitted{lane="detect",matcher="counting"} 1.0' in scraped
    assert 'framegate_also_permitted{lane="infer_emotion",matcher="mood"} 0.0' in scraped
    assert 'framegate_also_frames_total{matcher="counting",verdict="released"} 3.0' in scraped
    assert 'framegate_also_blocked_total{matcher="mood",reason="POLICY_DENY"} 3.0' in scraped


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        (True, True, "frames pass  ("),
        (True, False, "frames pass to the first matcher  ("),
        (False, True, "the first matcher is blocked  ("),
        (False, False, "everything is blocked  ("),
    ],
)
def test_the_headline_is_true_of_all(first: bool, second: bool, word: str) -> None:
    found = sample(permitted=first, also=shown(other("counting", permitted=second)))

    assert status.lines(found)[0].startswith(word)
    assert f">{word.removesuffix('  (').capitalize()}<" in ask(found)[2]


def test_one_matcher_looks_as_it_did() -> None:
    found = sample(permitted=True)

    assert found["also"] == []
    assert "framegate_also" not in ask(found, "/metrics")[2]
    assert "Other matchers" not in ask(found)[2]
    assert not [line for line in status.lines(found) if line.startswith("matcher ")]


@pytest.mark.parametrize(("age_s", "passes"), [(0.6, True), (1.1, False)])
def test_an_old_state_says_of_none_that_frames_pass(
    age_s: float, passes: bool, tmp_path: Path
) -> None:
    found = sample(permitted=True, also=shown(other("counting", permitted=True)))
    file = tmp_path / "status.json"
    file.write_text(json.dumps(found))

    read = status.read(file, found["at_s"] + age_s)
    data = json.loads(ask(found, "/status.json", age_s=age_s)[2])

    assert read is not None
    assert read["also"][0]["permitted"] is data["also"][0]["permitted"] is passes
    assert ("matcher counting, lane detect: frames pass" in status.lines(read)) is passes
    assert ("frames pass</div></td>" in ask(found, age_s=age_s)[2]) is passes
    assert (" 1.0" in _metric(ask(found, "/metrics", age_s=age_s)[2])) is passes


def _metric(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("framegate_also_permitted{"))


def test_counts_outlast_a_guard_and_a_matcher_that_does_not_run_is_blocked() -> None:
    seen = other("counting", permitted=True, lost=2)
    book = Others(WALL_S, ["counting"])
    book.note([seen], NOW, WALL_S)
    book.end([seen])

    (entry,) = book.shown([], NOW)

    assert (entry["permitted"], entry["lane"], entry["reasons"]) == (False, "", [])
    assert (entry["frames"]["released"], entry["matcher_lost"]) == (3, 2)
    (entry,) = book.shown([other("counting", permitted=True, frames=1, lost=1)], NOW)
    assert (entry["permitted"], entry["lane"], entry["matcher_lost"]) == (True, "detect", 3)


def test_a_matcher_that_a_reload_took_away_is_not_shown_nor_missed() -> None:
    gone, stays = other("gone", permitted=True), other("stays", permitted=True)
    book = Others(WALL_S, ["gone", "stays"])
    book.note([gone, stays], NOW, WALL_S)

    book.keep(["stays", "new"])
    book.end([gone, stays])  # the guard in force ends after the files were read

    entries = {entry["name"]: entry["frames"]["released"] for entry in book.shown([], NOW)}
    assert entries == {"stays": 3, "new": 0}


def test_a_guard_that_runs_for_good_keeps_nothing_that_grows() -> None:
    book = Others(WALL_S, ["counting"])
    seen = other("counting", permitted=True)
    for second in range(2000):
        seen.recorder.resolved([Resolved(second, NOW + second * S, None, 1, 1000)])
        seen.recorder.wrote.append(Wrote(second, True))
        book.note([seen], NOW + second * S, WALL_S + second)
        book.shown([seen], NOW + second * S)

    assert not seen.recorder.decisions and not seen.recorder.held
    assert len(seen.recorder.wrote) <= 2
    assert len(book._ledgers["counting"]._seconds) <= 301


def test_an_escape_attempt_is_told_of_the_matcher_that_made_it() -> None:
    also = shown(other("mood", permitted=False, attempt="connect() <x>"))
    found = sample(permitted=True, also=also)

    assert "  the matcher tried: connect() <x>" in status.lines(found)
    assert "It tried: <b>connect() &lt;x&gt;</b>" in ask(found)[2]
    assert "the matcher tried" not in "".join(
        status.lines(sample(permitted=True, also=shown(other("mood", permitted=False))))
    )
