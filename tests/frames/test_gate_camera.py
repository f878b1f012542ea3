"""A bad camera: frames of impossible size, time, place or form, and pictures that come again."""

from __future__ import annotations

import pytest

from bench import scenery
from edge.clock import MS
from edge.reasons import Reason
from tests.support.gate_harness import HEIGHT, WIDTH


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width"),
    [(0, 0), (0, WIDTH), (16_000, 16_000), (65_535, 65_535), (47, 64), (48, 63)],
)
def test_a_frame_of_an_impossible_size_is_blocked_and_the_next_good_one_passes(
    harness, height, width
):
    harness.connect()
    harness.grant()

    words = harness.deliver(height=height, width=width)

    assert [word.reason for word in words] == [Reason.FRAME_MALFORMED]
    assert harness.matcher.read(timeout_s=0) is None
    assert harness.passes()


@pytest.mark.slow
@pytest.mark.parametrize("shift_ms", [-10_000, 10_000], ids=["backwards", "future"])
def test_a_frame_of_an_impossible_time_is_blocked_and_the_next_good_one_passes(harness, shift_ms):
    harness.connect()
    harness.grant(from_ns=-(10**18))
    harness.deliver()

    words = harness.deliver(captured_ns=harness.clock.now_ns() + shift_ms * MS)

    assert [word.reason for word in words] == [Reason.FRAME_MALFORMED]
    assert harness.passes()


def test_a_slot_that_does_not_exist_ends_the_lease_and_touches_nothing(harness):
    harness.connect()
    harness.grant()

    words = harness.deliver(slot=60_000)

    assert [word.reason for word in words] == [Reason.FRAME_MALFORMED]
    assert harness.gate.lease is None
    assert harness.passes()


def test_a_slot_that_is_still_in_use_ends_the_lease(harness):
    harness.grant(to_ns=2)  # so that the first frame waits
    harness.deliver(slot=1)

    words = harness.deliver(slot=1)

    assert {word.reason for word in words} == {Reason.FRAME_MALFORMED}
    assert harness.gate.lease is None


@pytest.mark.slow
@pytest.mark.parametrize("data", [b"\x01", b"\x01" * 7, b"\xff" * 40, b"\x02\x09" + bytes(8)])
def test_a_broken_message_from_the_camera_ends_the_lease_and_not_the_gate(harness, data):
    harness.grant()

    harness.send(data)

    assert harness.gate.lease is None
    assert harness.passes()


def test_a_foreign_frame_blocks_and_leaves_no_pixels(harness):
    matcher = harness.connect()
    harness.grant()
    harness.deliver()

    words = harness.deliver(scenery.view(HEIGHT, WIDTH, seed=9))

    assert [word.reason for word in words] == [Reason.VIEW_FOREIGN]
    assert not matcher.ring.pixels.any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width"), [(HEIGHT + 1, WIDTH), (HEIGHT, WIDTH - 1), (HEIGHT // 2, WIDTH * 2)]
)
def test_a_picture_of_another_size_than_at_the_start_is_refused_and_the_ring_is_whole(
    harness, height, width
):
    matcher = harness.connect()
    harness.grant()
    harness.deliver()
    matcher.read(timeout_s=0)
    before = bytes(matcher.ring.pixels)

    words = harness.deliver(height=height, width=width)

    assert [word.reason for word in words] == [Reason.FRAME_MALFORMED]
    assert bytes(matcher.ring.pixels) == before
    assert harness.passes()


def test_a_picture_that_comes_again_is_not_released_and_the_next_new_one_is(harness):
    matcher = harness.connect()
    harness.grant()

    words = harness.deliver() + harness.deliver(harness.picture) + harness.deliver(harness.picture)

    assert [word.reason for word in words] == [None, Reason.CAM_FROZEN, Reason.CAM_FROZEN]
    assert matcher.read(timeout_s=0) is not None
    assert matcher.read(timeout_s=0) is None
    assert harness.passes()
