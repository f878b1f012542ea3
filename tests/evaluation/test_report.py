"""What the evaluation says to readers who do not know the guard, and its exit code."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.audit.schema import Release
from edge.cameras.opencv import Shot
from edge.cli import main
from edge.evaluation import availability
from edge.evaluation.availability import Availability, Lost
from edge.evaluation.figures import figures
from edge.evaluation.manifest import Clip, Mount
from edge.evaluation.report import figure, still, text, words
from edge.evaluation.report.figure import Figure, Question, State, asked, not_tried, reported
from edge.evaluation.report.page import head_of, render
from edge.evaluation.run import Findings
from edge.evaluation.splices import Splice
from edge.evaluation.transitions import Kind
from edge.evaluation.trials import Footage, Trial, View
from edge.reasons import Reason
from edge.view.box import Box

HELD = asked(Question.FORGED, "frames that passed", 0, "0", "frames", holds=True)
MISSED = asked(Question.OWN, "own frames", 80.0, ">= 95", "%", holds=False)
PLAIN = reported(Question.COST, "the slow loop, people", 12.0, "ms")
UNSAFE = not_tried(Question.FORGED, "frames that passed", "0", "frames", "no recording")
UNTRIED = not_tried(Question.OWN, "own frames", ">= 95", "%", "too short")


@pytest.mark.parametrize(
    "rows,skipped,code",
    [
        ([HELD, PLAIN], [], 0),
        ([HELD, UNTRIED], [], 0),
        ([UNSAFE], [], 0),
        ([HELD, MISSED], [], 1),
        ([UNSAFE, MISSED], [], 1),
        ([HELD], ["a.mp4: no video"], 1),
    ],
)
def test_only_a_missed_goal_or_a_skipped_recording_fails(rows, skipped, code):
    assert figure.exit_code(rows, skipped) == code


def test_no_safety_without_a_trial_reads_as_success():
    assert words.verdict([UNSAFE], []).startswith("No goal was tried. Not tried at all, so not ")
    assert 'not shown to be safe: "Does a picture' in words.verdict([UNSAFE, PLAIN], [])
    assert "Not tried in part" in words.verdict([HELD, UNSAFE], [])
    assert "(no recording)" in words.verdict([HELD, UNSAFE], [])


def test_the_twin_what_was_tried_and_held_reads_as_success():
    stated = words.verdict([HELD, replace(HELD, name="another"), PLAIN], [])

    assert stated == "All 2 goals tried are reached."
    assert "safe" not in words.verdict([HELD, UNTRIED], [])
    assert words.verdict([HELD, MISSED], ["a"]) == (
        '1 of 2 goals missed: "Does the enrolled place itself pass?". '
        "1 recording could not be used."
    )


@pytest.mark.parametrize(
    "row,found,goal",
    [
        (HELD, "0 frames", "0"),
        (MISSED, "80 %", "at least 95 %"),
        (PLAIN, "12 ms", "no goal"),
        (UNSAFE, "not tried", "0"),
        (replace(HELD, value=0.1234, target="> 0", unit="share"), "12.34 %", "more than 0 %"),
        (replace(HELD, value=0.5, target="< 0.80", unit="share"), "50 %", "less than 80 %"),
        (replace(HELD, value="none", target="none", unit=""), "none", "none"),
        (replace(HELD, value=1234567, target="0"), "1,234,567 frames", "0"),
        (
            replace(MISSED, target=">= 99 or VIEW_FADED or CAM_STALLED"),
            "80 %",
            "at least 99 %, or a cause that is clear: VIEW_FADED, CAM_STALLED",
        ),
    ],
)
def test_numbers_and_goals_are_said_in_words(row, found, goal):
    assert (words.found_text(row), words.goal_text(row)) == (found, goal)


def test_json_keeps_its_keys_and_tells_the_state():
    keys = {"name", "value", "target", "unit", "holds", "state"}

    assert keys <= set(HELD.as_json())
    states = [(row.as_json()["holds"], row.as_json()["state"]) for row in _ALL]
    assert states == [(True, "held"), (False, "missed"), (True, "reported"), (False, "not tried")]


_ALL = [HELD, MISSED, PLAIN, UNSAFE]


def test_every_question_says_how_it_was_tried():
    assert set(words.HOW) == set(Question)


def _trial(clip: str, view: str, passed: int, **other: object) -> Trial:
    trial = Trial(
        clip,
        view,
        frames=100,
        passed=passed,
        due=50,
        due_passed=min(passed, 50),
        reasons={Reason.VIEW_FOREIGN: 100 - passed},
        due_reasons={},
        scores=(0.4, 0.5) if passed == 0 else (0.95,),
        margin=-0.2 if passed == 0 else 0.1,
        decisions=tuple(number >= 100 - passed for number in range(100)),
        availability=Availability(
            8_000_000_000,
            7_900_000_000,
            (Lost(3, Reason.VIEW_PARTIAL, 100_000_000, 0, ()),),
        ),
    )
    return replace(trial, **other)


def _view(name: str) -> View:
    clip = Clip(Path(name), name, True, Mount.STATIONARY, name)
    return View(clip, object(), "", object())  # type: ignore[arg-type]


@pytest.fixture
def found() -> Findings:
    """Two rooms and a street."""
    return Findings(
        views=[_view("till"), _view("<door>")],
        foreign=[_trial("street", "till", 0), _trial("street", "<door>", 0)],
        strangers=[_trial("<door>", "till", 0), _trial("till", "<door>", 0)],
        twins=[_trial("till", "till", 80), _trial("<door>", "<door>", 80)],
        daily=[_trial("till", "till", 80), _trial("<door>", "<door>", 80)],
        honest=[_trial("street", "", 0)],
        splices=[
            Splice(kind, "till", "street", release, 40, 30, True, 1, 0, 0.3)
            for kind in Kind
            for release in Release
        ],
        outside=[(0.9, True), (0.2, False)],
        verified={("as it is", "till"): (100, 100), ("flicker", "till"): (99, 100)},
        cost_ms={"view": 20.0, "people": 60.0},
        stills=dict.fromkeys(("till", "<door>", "street"), _JPEG),
    )


_JPEG = cv2.imencode(".jpg", np.zeros((9, 16, 3), np.uint8))[1].tobytes()


def test_every_row_can_be_read_alone_and_has_its_words_explained(found):
    rows = figures(found, 14)

    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.startswith("...") or "_" in name]
    stated = dict(words.explained(rows))
    assert {"dwell", "splice", "forbidden", "margin", "VIEW_PARTIAL"} <= set(stated)
    assert stated["VIEW_PARTIAL"] == Reason.VIEW_PARTIAL.happened
    assert "p99" not in stated  # nobody used it


class _Outline(HTMLParser):
    """The headings, and which tags are left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.heads: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img", "wbr", "rect", "line", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line", "circle"):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Nothing is left open."""

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.heads.append(data)


def test_the_page_has_pictures_first_then_questions_then_details(found):
    rows = figures(found, 14)
    page = render(found, rows, head_of(found, rows))

    outline = _Outline()
    outline.feed(page)
    asked_in = [outline.heads.index(question.value) for question in words.questions(rows)]
    details = [i for i, head in enumerate(outline.heads) if head.startswith("Details")]
    assert outline.open == []
    assert outline.heads[:2] == ["The recordings", "Scores of single frames"]
    assert asked_in == sorted(asked_in)
    assert 1 < min(asked_in) <= max(asked_in) < min(details)
    assert page.count("data:image/jpeg") == 3
    assert "<door>" not in page.replace("&lt;door&gt;", "")
    assert "<script" not in page
    assert not re.search(r"(src|href)=.?https?:", page)
    assert "does not" not in re.sub(r"<dd>.*?</dd>", "", page)


def test_the_head_says_what_was_asked_tried_and_found(found):
    rows = figures(found, 14)
    head = head_of(found, rows)

    assert "does the picture of the enrolled place pass" in head.asked
    assert "3 recordings: 2 of fixed places, 1 uncontrolled" in head.tried
    assert head.found.startswith("Found: All ")
    page = render(found, rows, head)
    assert page.index(head.asked[:20]) < page.index(head.tried[:20]) < page.index("<main>")


def test_the_terminal_says_the_same_words_as_the_page(found):
    rows = [*figures(found, 0), MISSED]
    head = head_of(found, rows)

    page, lines = render(found, rows, head), text.lines(head, rows)
    for row in rows:
        (line,) = (line for line in lines if re.search(rf"  {re.escape(row.name)}(:| \(|$)", line))
        assert ("MISSED" in line) == (row.state is State.MISSED)
        assert ("NOT TRIED" in line) == (row.state is State.NOT_TRIED)
        assert row.name.replace("<", "&lt;").replace(">", "&gt;") in page
    assert any("NOT TRIED" in line and "--splices 0" in line for line in lines)


def test_a_recording_that_is_over_before_the_dwell_blocked_nothing_and_served_nobody(found):
    short = Availability(0, 0, ())
    found.daily = [replace(trial, availability=short) for trial in found.daily]

    rows = figures(found, 14)
    page = render(found, rows, head_of(found, rows))

    served = [row for row in rows if row.question is Question.AVAILABLE]
    assert {row.state for row in served} == {State.NOT_TRIED}
    assert "Nothing was blocked" not in page
    assert availability.table([short]) != availability.table([Availability(9, 9, ())])
    assert availability.table([Availability(9, 9, ())]) == ["nothing was blocked"]


@pytest.mark.parametrize(("true", "state"), [(True, State.HELD), (False, State.MISSED)])
def test_only_time_that_is_falsely_blocked_misses_the_goal_of_every_recording(found, true, state):
    """A place that enrolment refuses is blocked for a true cause, and its time is no fault."""
    half = Availability(10, 5, (Lost(3, Reason.VIEW_COVERED, 5, 0, (), true),))
    found.daily = [replace(trial, availability=half) for trial in found.daily]

    every = [
        row for row in figures(found, 14) if row.name.endswith("every recording of a fixed place")
    ]
    served = [row for row in every if row.question is Question.AVAILABLE]

    assert [row.state for row in served] == [State.REPORTED, State.REPORTED, state]


def test_own_recordings_alone_claim_nothing_of_other_places(found):
    rows = figures(found, 14, own_only=True)

    assert {row.state for row in rows if row.question.safety} == {State.NOT_TRIED}
    stated = words.verdict(rows, [])
    assert all(f'"{q.value}" (--own' in stated for q in (Question.FORGED, Question.SPLICES))


def _run(found: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("edge.evaluation.run.evaluate", lambda *_: found)
    monkeypatch.setattr("edge.models.pull.asset", lambda name: tmp_path / name)
    (tmp_path / "MANIFEST.csv").write_text(
        "file,kind,camera,setting\ntill.mp4,video,stationary,controlled\n"
    )
    return main(["evaluate", str(tmp_path), *words])


def test_the_command_fails_for_a_forged_frame_and_not_for_what_was_not_tried(
    found, tmp_path, monkeypatch, capsys
):
    assert _run(found, tmp_path, monkeypatch) == 0
    assert "safe" not in capsys.readouterr().out.splitlines()[-1]

    assert _run(found, tmp_path, monkeypatch, "--splices", "0") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert 'not shown to be safe: "What passes while the picture turns' in last

    found.foreign.append(_trial("street", "till", 1))
    assert _run(found, tmp_path, monkeypatch) == 1
    out = capsys.readouterr().out
    assert 'goals missed: "Does a picture of another place ever pass?"' in out.splitlines()[-1]
    assert re.search(r"^  MISSED +frames of uncontrolled recordings that passed", out, re.M)


def test_a_day_in_which_nothing_was_due_is_no_success():
    """An empty account has no cause, and so none that could be wrong."""
    empty = Availability(0, 0, ())
    row = _lived(empty)

    assert row.state is State.NOT_TRIED
    assert _lived(Availability(10, 10, ())).state is State.HELD


def _lived(found: Availability) -> Figure:
    from edge.evaluation.day.changes import CHANGES
    from edge.evaluation.day.play import Lived
    from edge.evaluation.own_figures import day_figures

    change = next(change for change in CHANGES if change.causes)
    (row,) = day_figures([Lived("till", change.name, change.causes, found)])
    return row


@pytest.mark.parametrize("boxes", [(), (Box(230, 150, 290, 230, 0.9),)], ids=["nobody", "somebody"])
def test_a_still_is_small_and_hides_who_is_in_it(boxes):
    frame = np.tile(np.array([[0, 255]], np.uint8).repeat(8, 1), (480, 40))[..., None].repeat(3, 2)
    shot = Shot(np.ascontiguousarray(frame), 0)
    clip = Clip(Path("a"), "a", True, Mount.STATIONARY, "a")
    footage = Footage(clip, (shot,), {id(shot.frame): boxes}, None)  # type: ignore[arg-type]

    picture = cv2.imdecode(np.frombuffer(still.still(footage), np.uint8), cv2.IMREAD_COLOR)

    assert picture.shape == (120, still.WIDTH, 3)
    face = picture[38:58, 58:72]  # stripes are two pixels wide here, a cell is wider
    assert (face.std() > 60) == (not boxes)
    assert picture[:, 140:].std() > 60  # the place itself is left to be seen
