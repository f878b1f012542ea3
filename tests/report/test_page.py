"""The report: one page, no scripts, and every picture said in words as well."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from edge.audit.schema import Context
from edge.clock import S
from edge.commands.explain import load_policy
from edge.evidence.readings import Reading, Source
from edge.reasons import Reason
from edge.report.page import render, write_report
from edge.report.record import (
    FrameDecision,
    GateTimes,
    Outcome,
    RuleNote,
    SceneRecord,
    summarise,
)
from edge.report.rule_notes import notes_for
from edge.report.timeline import (
    Mark,
    Run,
    Span,
    axis,
    describe,
    evidence_runs,
    reason_runs,
    span_of,
    verdict_runs,
)

PERIOD_NS = S // 25
VOID = {"meta", "br", "rect", "line", "circle", "link", "img"}


def frame(i: int, *reasons: Reason, rules: tuple[str, ...] = ()) -> FrameDecision:
    verdict = Outcome.BLOCK if reasons else Outcome.PASS
    context = Context.UNCONTROLLED if reasons else Context.CONTROLLED
    return FrameDecision(i, i * PERIOD_NS, verdict, context, reasons, rules)


def scene(name: str = "kiosk", **changes: object) -> SceneRecord:
    decisions = [frame(i, Reason.DWELL) for i in range(25)]
    decisions += [frame(i, rules=("FA-03",)) for i in range(25, 50)]
    decisions += [frame(i, Reason.VIEW_FOREIGN, rules=("MS-02",)) for i in range(50, 75)]
    fields: dict[str, object] = {
        "name": name,
        "footage": "single_face.mp4",
        "must_happen": "frames pass, then none",
        "decisions": decisions,
        "summary": summarise(decisions, dwell_s=1, gate_us=GateTimes(31, 55, 80)),
        "readings": [
            Reading(Source.VIEW, i * PERIOD_NS, (Reason.VIEW_FOREIGN,) if i >= 50 else ())
            for i in range(0, 75, 5)
        ],
        "received": 25,
        "ok": True,
        "rules": {"MS-02": RuleNote("MS-02", "forbid", "not in the wild", "a page", "verified")},
    }
    return SceneRecord(**{**fields, **changes})  # type: ignore[arg-type]


class Page(HTMLParser):
    """Collects what the tests ask about, and fails on tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.refs: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._within: list[str] = []
        self.feed(text)
        assert self._within == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.ids += [found["id"]] if found.get("id") else []
        self.refs += (found.get("aria-labelledby") or "").split()
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        assert not [k for k in found if k.startswith("on")]
        if tag not in VOID:
            self._within.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._within.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._within and self._within[-1] not in ("style",):
            self.text += data


def test_the_page_runs_nothing_and_loads_nothing():
    page = Page(render([scene()]))

    assert not {"script", "iframe", "object", "embed", "img", "link"} & set(page.tags)
    assert all(link.startswith("#") for link in page.links)
    assert "default-src 'none'" in render([scene()])


def test_every_id_is_unique_and_every_reference_finds_one():
    page = Page(render([scene(), scene(), scene("forged")]))

    assert len(page.ids) == len(set(page.ids))
    assert set(page.refs) <= set(page.ids)
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_every_source_of_evidence_can_be_drawn():
    page = Page(render([scene(readings=[Reading(source, 0) for source in Source])]))

    assert set(page.refs) <= set(page.ids)
    for source in Source:
        assert f"Evidence: {source.value}" in page.text


def test_the_notes_on_rules_come_from_the_policy_itself():
    notes = notes_for(load_policy("strict", None), ["MS-02", "FA-03"])

    assert notes["MS-02"].effect == "forbid"
    assert "in the wild" in notes["MS-02"].says
    assert notes["FA-03"].effect == "permit"


def test_every_picture_has_a_title_and_every_table_a_caption():
    page = Page(render([scene()]))
    text = render([scene()])

    pictures = len(re.findall('<svg role="img"', text))
    assert pictures >= 4  # verdict, context, two reasons, one source
    assert page.tags.count("title") == pictures + 1  # the page's own
    assert page.tags.count("desc") == pictures
    assert page.tags.count("caption") == page.tags.count("table")


def test_the_page_names_counts_reasons_help_and_rules():
    text = Page(render([scene()])).text

    for part in ("75", "25 passed", "VIEW_FOREIGN", Reason.VIEW_FOREIGN.happened):
        assert part in text
    for part in ("MS-02", "forbids", "not in the wild", "a page, verified"):
        assert part in text
    assert "as expected" in text


def test_several_scenes_are_listed_first_and_a_single_one_is_not():
    assert "All scenes" in Page(render([scene("kiosk"), scene("street")])).text
    assert "All scenes" not in Page(render([scene("kiosk")])).text


def test_a_scene_that_went_wrong_is_marked_in_words():
    assert "unexpected" in Page(render([scene(ok=False)])).text
    assert "unexpected" not in Page(render([scene(ok=True)])).text


def test_names_from_outside_cannot_become_markup():
    evil = '<script>alert("x")</script>'

    text = render([scene(evil, footage=evil, must_happen=evil, notes=(evil,))])

    assert "<script" not in text
    assert evil in Page(text).text


def test_a_scene_without_frames_or_evidence_still_makes_a_page():
    page = Page(render([scene(decisions=[], summary=summarise([], dwell_s=3), readings=())]))

    assert "No frame was blocked" in page.text


def test_it_is_written_whole_and_twice_the_same(tmp_path):
    path = tmp_path / "out" / "report.html"
    write_report(path, [scene()])
    first = path.read_bytes()

    write_report(path, [scene()])

    assert path.read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_the_verdict_strip_tells_waiting_from_a_cause():
    decisions = scene().decisions
    span = span_of(decisions)

    runs = verdict_runs(decisions, span)

    assert [(r.mark, r.from_ns // PERIOD_NS, r.to_ns // PERIOD_NS) for r in runs] == [
        (Mark.WAIT, 0, 25),
        (Mark.GOOD, 25, 50),
        (Mark.BAD, 50, 75),
    ]


def test_a_reason_is_drawn_only_while_it_holds():
    decisions = scene().decisions
    span = span_of(decisions)

    (run,) = reason_runs(decisions, Reason.VIEW_FOREIGN, span)

    assert (run.from_ns, run.to_ns) == (50 * PERIOD_NS, 75 * PERIOD_NS)


def test_silence_of_a_source_is_not_drawn_as_good():
    span = Span(0, 10 * S)
    readings = [Reading(Source.VIEW, i * S // 10) for i in range(10)]

    runs = evidence_runs(readings, span)

    assert [run.mark for run in runs] == [Mark.GOOD, Mark.NONE]
    assert runs[0].to_ns <= 2 * S


def test_a_steady_source_is_drawn_as_good_to_its_end():
    span = Span(0, S)
    readings = [Reading(Source.VIEW, i * S // 10) for i in range(10)]

    assert evidence_runs(readings, span) == [Run(0, S, Mark.GOOD, "good")]


def test_readings_from_outside_the_picture_are_left_out():
    span = Span(S, 2 * S)
    readings = [Reading(Source.VIEW, i * S // 10) for i in range(40)]

    assert evidence_runs(readings, span) == [Run(S, 2 * S, Mark.GOOD, "good")]


@pytest.mark.parametrize(("seconds", "last"), [(0.4, "0.4 s"), (3, "3 s"), (95, "80 s")])
def test_the_time_axis_has_few_round_ticks(seconds, last):
    drawn = re.findall(r">([\d.]+ s)<", axis(Span(0, int(seconds * S))))

    assert 2 <= len(drawn) <= 7
    assert drawn[0] == "0 s"
    assert drawn[-1] == last


def test_a_long_strip_is_described_shortly():
    runs = [Run(i * S, (i + 1) * S, Mark.GOOD if i % 2 else Mark.BAD, "") for i in range(30)]

    words = describe(runs, Span(0, 30 * S))

    assert words.endswith("and 18 more.")
    assert describe([], Span(0, S)) == "No data."


def test_pictures_of_masked_frames_are_shown_and_said() -> None:
    shown = render([scene(pictures=(b"\x89PNG one", b"\x89PNG two"))])
    without = render([scene()])

    assert shown.count("data:image/png;base64,") == 2
    assert shown.count('alt="Frame ') == 2
    assert "img-src data:" in shown
    assert "masked frames of public demo footage" in shown
    assert "data:" not in without
    assert "holds no picture, face or position" in without
