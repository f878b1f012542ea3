"""The live display and the table at the end, on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from edge.audit.schema import Context
from edge.clock import S
from edge.reasons import Reason
from edge.report.live import Live, LiveState, result_table
from edge.report.record import (
    FrameDecision,
    GateTimes,
    Outcome,
    SceneRecord,
    summarise,
)

PERIOD_NS = S // 25


def frame(i: int, *reasons: Reason, rules: tuple[str, ...] = ()) -> FrameDecision:
    verdict = Outcome.BLOCK if reasons else Outcome.PASS
    context = Context.UNCONTROLLED if reasons else Context.CONTROLLED
    return FrameDecision(i, i * PERIOD_NS, verdict, context, reasons, rules)


RUN = [frame(i, Reason.DWELL) for i in range(25)]
RUN += [frame(i) for i in range(25, 50)]
RUN += [frame(i, Reason.POLICY_DENY, rules=("MS-02",)) for i in range(50, 75)]


def scene(**changes: object) -> SceneRecord:
    fields: dict[str, object] = {
        "name": "kiosk",
        "footage": "single_face.mp4",
        "must_happen": "frames pass",
        "decisions": RUN,
        "summary": summarise(
            RUN, dwell_s=1, gate_us=GateTimes(31.4, 55.2, 80), audit_verified=True
        ),
        "received": 24,
        "ok": True,
    }
    return SceneRecord(**{**fields, **changes})  # type: ignore[arg-type]


def show(*, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, highlight=False)
    with Live(console) as live:
        live.scene("kiosk: frames pass")
        for i in range(len(RUN)):
            live.update(LiveState(RUN[: i + 1], i + 1, 7, fps=25.0, gate_us=GateTimes(31, 55, 80)))
    return out.getvalue()


def test_a_pipe_gets_one_plain_line_for_each_change():
    lines = show(terminal=False).splitlines()

    assert lines == [
        "kiosk: frames pass",
        "     0.00 s  frame 0     blocked  uncontrolled  DWELL",
        "     1.00 s  frame 25    passes  controlled",
        "     2.00 s  frame 50    blocked  uncontrolled  POLICY_DENY  rules MS-02",
    ]


def test_a_terminal_shows_strip_reason_clause_rate_and_gate_times():
    text = show(terminal=True)

    for part in ("█", "POLICY_DENY", "MS-02", "25 fps", "31 µs p50", "55 µs p99"):
        assert part in text


def test_the_terminal_is_left_as_it_was_found_even_after_an_error():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)

    with pytest.raises(RuntimeError), Live(console) as live:
        live.scene("kiosk")
        live.update(LiveState(RUN[:1], 1, 0))
        raise RuntimeError

    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


def test_a_state_without_frames_shows_nothing():
    out = io.StringIO()
    live = Live(Console(file=out, width=100))
    live.scene("kiosk")

    live.update(LiveState([], 0, 0))
    live.close()
    live.close()

    assert out.getvalue() == "kiosk\n"


def table(*scenes: SceneRecord, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(result_table(scenes))
    return out.getvalue()


def test_the_table_says_what_was_released_received_and_blocked():
    text = table(scene())

    for part in (
        "kiosk",
        "75",
        "25",
        "24",
        "25 POLICY_DENY",
        "25 DWELL",
        "31 p50",
        "55 p99",
        "holds",
    ):
        assert part in text
    assert "MS-02" in text
    assert "yes" in text


def test_no_reason_of_the_table_is_cut_at_eighty_columns():
    longest = max(Reason, key=lambda reason: len(reason.value))
    run = [frame(i, longest) for i in range(250)]

    text = table(scene(name="cut away", decisions=run, summary=summarise(run, dwell_s=1)))

    assert f"250 {longest.value}" in text
    assert "released" in text
    assert "received" in text


def test_a_long_list_of_reasons_is_cut_short_on_a_line():
    out = io.StringIO()
    live = Live(Console(file=out, width=100))
    live.scene("street")

    live.update(LiveState([frame(0, *list(Reason)[:9])], 1, 0))

    assert out.getvalue().rstrip().endswith("and 5 more")


def test_a_failed_scene_and_a_bad_log_stand_out():
    bad = scene(ok=False, summary=summarise(RUN, dwell_s=1, audit_verified=False))

    assert "NO" in table(bad)
    assert "BAD" in table(bad)
    assert "NO" not in table(scene())


def test_the_table_fits_eighty_columns():
    assert max(len(line) for line in table(scene(), scene(name="cut away")).splitlines()) <= 80
