"""Each layout of the camera in each form that a record may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import scenery
from edge.cameras.layout import Layout
from edge.frames.output_format import OutputFormat
from edge.reasons import Reason
from tests.support import render
from tests.support.gate_harness import HEIGHT, WIDTH, Harness

FORMS = [
    OutputFormat(),
    OutputFormat(grey=True),
    OutputFormat(crop=(0.25, 0.25, 0.75, 0.75)),
    OutputFormat(crop=(0.5, 0.0, 1.0, 0.5), shrink=2),
    OutputFormat(grey=True, shrink=2),
]


@pytest.fixture
def shaped(tmp_path, layout: Layout, form: OutputFormat) -> Iterator[Harness]:
    harness = Harness(str(tmp_path / "m"), layout, form)
    yield harness
    if harness.matcher is not None:
        harness.matcher.close()


@pytest.mark.slow
@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_each_layout_is_released_in_each_form_and_wiped_by_a_foreign_frame(shaped):
    assert shaped.passes()
    matcher = shaped.matcher
    reported = (matcher.height, matcher.width, matcher.channels)
    assert (*shaped.shaper.shape, 1)[:3] == reported
    assert matcher.ring.pixels.any()

    foreign = scenery.view(HEIGHT, WIDTH, seed=9)
    if shaped.layout is not Layout.BGR:
        foreign = render.planar(foreign, shaped.layout)
    words = shaped.deliver(foreign)

    assert [word.reason for word in words] == [Reason.VIEW_FOREIGN]
    assert not matcher.ring.pixels.any()
    assert matcher.read(timeout_s=0) is None


@pytest.mark.slow
@pytest.mark.parametrize("layout", [Layout.NV12, Layout.I420])
@pytest.mark.parametrize("form", [OutputFormat()], ids=str)
@pytest.mark.parametrize("size", [(HEIGHT * 3 // 2, WIDTH), (HEIGHT, WIDTH - 2), (0, 0)])
def test_a_halved_frame_of_another_size_is_blocked_and_the_next_good_one_passes(shaped, size):
    shaped.connect()
    shaped.grant()

    words = shaped.deliver(height=size[0], width=size[1])

    assert [word.reason for word in words] == [Reason.FRAME_MALFORMED]
    assert shaped.matcher.read(timeout_s=0) is None
    assert shaped.passes()
