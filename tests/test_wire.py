"""What the processes say to each other arrives as it was sent, or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.attempts import Attempt
from edge.audit.schema import Context
from edge.cameras.identity import CameraIdentity, Dating
from edge.cameras.layout import Layout
from edge.decision import monitor
from edge.decision.judge import Outlook
from edge.decision.monitor import Account, Readings, Seen, Signed, Wrote
from edge.errors import GuardError
from edge.evidence.readings import Reading, Source
from edge.frames import lifecycle
from edge.frames.lifecycle import (
    CameraHello,
    Escape,
    Failed,
    Go,
    MatcherConnected,
    MatcherResult,
    Over,
    Ready,
    ResultRefused,
    StreamState,
    Token,
)
from edge.frames.settings import Picture, PoolSize
from edge.reasons import Reason
from edge.wire import Tag, from_json, pack, to_json, unpack

PICTURE = Picture(480, 640, 30.0, Layout.BGR)
LIFECYCLE = [
    CameraHello(CameraIdentity("v4l2", "uvcvideo", "HD cam", "usb-1"), PICTURE, Dating.ARRIVAL),
    PoolSize(8, 921_600),
    Go(),
    Ready("SCHED_FIFO 10"),
    Failed("no such camera: käm\udcff"),
    Token("t" * 32),
    Escape(),
    Escape(Attempt.SOCKETS),
    Over(),
    MatcherConnected(),
    StreamState(False, (("VIEW_COVERED", "Parts of the view are covered.", "Clear it."),)),
    MatcherResult("ab" * 32, 0.25, 1),
    MatcherResult(None, -1.0, 0),
    ResultRefused("too many results"),
    ResultRefused("expected a report", True),
]
OUTLOOK = Outlook(Context.UNCONTROLLED, False, (Reason.NOT_DOCKED,), ("FA-03",))
MONITOR = [
    Readings((Reading(Source.DOCK, 5, (Reason.NOT_DOCKED,)), Reading(Source.VIEW, 6))),
    Seen(7, OUTLOOK),
    Account(3, Context.UNCONTROLLED, (Reason.MOTION,), ()),
    Wrote(12, True),
    Signed("framegate/log\n5\nAAAA\n"),
]


@dataclass(frozen=True, slots=True)
class Sample:
    """A field of every kind that a message may have."""

    count: int
    share: float
    name: str
    raw: bytes
    layout: Layout
    path: Path | None
    crop: tuple[float, float] | None
    reasons: tuple[Reason, ...]
    picture: Picture


SAMPLES = st.builds(
    Sample,
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.sampled_from(Layout),
    st.none() | st.just(Path("/a/b")),
    st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.lists(st.sampled_from(Reason)).map(tuple),
    st.just(PICTURE),
)


@pytest.mark.slow
@given(SAMPLES)
def test_a_dataclass_comes_back_as_it_went(sample: Sample) -> None:
    assert from_json(Sample, to_json(sample)) == sample


@pytest.mark.parametrize("message", LIFECYCLE, ids=lambda m: type(m).__name__)
def test_every_word_of_a_start_and_an_end_comes_back_as_it_went(message: object) -> None:
    assert lifecycle.decode(lifecycle.encode(message)) == message


@pytest.mark.parametrize("message", MONITOR, ids=lambda m: type(m).__name__)
def test_what_the_decider_shows_comes_back_as_it_went(message: object) -> None:
    assert monitor.parse(pack(monitor._TAGS[type(message)], message)) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"slots": 8}',
        '{"slots": 8, "slot_bytes": 5, "more": 1}',
        '{"slots": "8", "slot_bytes": 5}',
        '{"slots": true, "slot_bytes": 5}',
        '{"slots": 8.0, "slot_bytes": 5}',
        '{"slots": null, "slot_bytes": 5}',
    ],
)
def test_a_field_that_is_missing_unknown_or_of_another_type_is_refused(text: str) -> None:
    with pytest.raises(GuardError, match="PoolSize"):
        from_json(PoolSize, text)


@given(st.binary(max_size=64))
def test_whatever_bytes_come_they_are_a_message_or_a_guard_error(data: bytes) -> None:
    for decode in (lifecycle.decode, monitor.parse):
        try:
            decode(data)
        except GuardError as err:
            assert "between processes" in str(err)


def test_a_message_of_another_channel_is_refused_by_name() -> None:
    with pytest.raises(GuardError, match=f"expected a message of GO .*got tag {Tag.WROTE.value}"):
        unpack(pack(Tag.WROTE, Wrote(1, True)), {Tag.GO: Go})


def test_settings_are_plain_json_for_whoever_looks_at_them() -> None:
    assert json.loads(to_json(PICTURE)) == {
        "height": 480,
        "width": 640,
        "rate_hz": 30.0,
        "layout": "BGR",
    }
