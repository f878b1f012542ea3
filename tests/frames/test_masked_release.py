"""No clear pixel of a masked place is in ring or pool after a release, whatever is told.

The real gate process, turn by turn. Each frame has a noise of its own, so a pixel that
got through is found.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import ipc
from edge.cameras.layout import Layout
from edge.clock import MS, VirtualClock
from edge.frames.messages import Ended, Resolved, decode
from edge.frames.output_format import OutputFormat
from edge.lease import Lane
from edge.masking import people
from edge.masking.blocks import BLOCK_PX, CELLS
from edge.masking.message import encode
from edge.masking.people import PeopleMask, Place
from edge.masking.polygons import MaskRules, levels
from edge.reasons import Reason
from edge.wire import Tag
from tests.support.gate_harness import HEIGHT, WHOLE, WIDTH, Harness

POLYGON = ((0.5, 0.25), (0.75, 0.25), (0.75, 0.75), (0.5, 0.75))
FIXED = MaskRules((POLYGON,))
FILLED = np.kron(levels(FIXED.polygons, HEIGHT, WIDTH), np.ones((BLOCK_PX, BLOCK_PX))) > 0
FACE = Place(2, 96.0, 64.0, 128.0, 96.0)
START_NS = 1_000 * MS


def speckled(seed: int) -> np.ndarray:
    """A picture in which hardly any two pixels are alike."""
    return np.random.default_rng(seed).integers(1, 256, (HEIGHT, WIDTH, 3), np.uint8)


class Rig(Harness):
    """A gate under a clock that the test moves; in the masked lane unless told otherwise."""

    def __init__(
        self,
        folder: Path,
        rules: MaskRules = FIXED,
        lane: Lane = Lane.VIEW_MASKED,
        layout: Layout = Layout.BGR,
        form: OutputFormat = WHOLE,
    ) -> None:
        self.time = VirtualClock(START_NS)
        path = str(folder / "matcher.sock")
        super().__init__(path, layout, form, clock=self.time, masks=rules, lane=lane)
        self.connect()
        self.lease()

    def lease(self) -> None:
        """A fresh lease over everything so far and a while to come."""
        now_ns = self.time.now_ns()
        self.grant(from_ns=1, to_ns=now_ns + 900 * MS, expires_ns=now_ns + 900 * MS)

    def tell(self, mask: PeopleMask | bytes) -> None:
        ipc.send(self.decider, mask if isinstance(mask, bytes) else encode(mask))
        self.gate.turn()

    def words(self) -> list[Resolved]:
        """Nothing: final words are sent by a clock that only the test moves."""
        return []

    def shown(self) -> list[np.ndarray]:
        """The frames that the matcher gets now."""
        assert self.matcher is not None
        found = []
        while (frame := self.matcher.read(0.0)) is not None:
            found.append(frame.view(np.ndarray))
        return found


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    yield Rig(tmp_path)


def cells(picture: np.ndarray) -> tuple[int, int]:
    """Of how many rows and columns of one colour a picture is made."""
    rows = 1 + int((picture[1:] != picture[:-1]).any(axis=(1, 2)).sum())
    columns = 1 + int((picture[:, 1:] != picture[:, :-1]).any(axis=(0, 2)).sum())
    return rows, columns


@pytest.mark.slow
@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize(
    "form",
    [
        OutputFormat(),
        OutputFormat(grey=True),
        OutputFormat(crop=(0.25, 0.1, 0.9, 0.9)),
        OutputFormat(shrink=2),
        OutputFormat(crop=(0.25, 0.0, 1.0, 1.0), grey=True, shrink=3),
    ],
    ids=str,
)
def test_a_fixed_mask_is_black_in_every_lane_layout_and_form(
    tmp_path: Path, layout: Layout, form: OutputFormat
) -> None:
    rig = Rig(tmp_path, FIXED, Lane.VERIFY, layout, form)
    rig.time.advance(ms=10)
    rig.deliver()
    rig.gate.turn()

    (frame,) = rig.shown()
    left, top, right, bottom = form.crop or (0, 0, 1, 1)
    rows = slice(int(top * HEIGHT), int(bottom * HEIGHT))
    filled = FILLED[rows, int(left * WIDTH) : int(right * WIDTH)]
    step = form.shrink
    whole = filled[: filled.shape[0] // step * step, : filled.shape[1] // step * step]
    inside = whole.reshape(whole.shape[0] // step, step, whole.shape[1] // step, step)
    inside = inside.all(axis=(1, 3))[: frame.shape[0], : frame.shape[1]]
    seen = frame[: inside.shape[0], : inside.shape[1]]
    dark = 16 if layout.planar and form.grey else 3
    assert inside.mean() > 0.1
    assert seen[inside].max() <= dark
    assert seen[~inside].mean() > 40  # the twin: the rest is to be seen


def test_without_masks_a_frame_leaves_as_it_is(tmp_path: Path) -> None:
    rig = Rig(tmp_path, MaskRules(), Lane.VERIFY)
    rig.time.advance(ms=10)
    rig.deliver()
    rig.gate.turn()

    (frame,) = rig.shown()
    assert np.array_equal(frame, rig.pool.frame(0, HEIGHT, WIDTH))


def test_a_frame_waits_for_the_mask_that_covers_it_and_leaves_through_it(rig: Rig) -> None:
    rig.time.advance(ms=10)
    rig.deliver(speckled(1))
    at_ns = rig.time.now_ns()
    rig.tell(PeopleMask(at_ns - 80 * MS, at_ns - 5 * MS, (FACE,)))  # not up to this frame
    early = rig.shown()
    rig.time.advance(ms=50)
    rig.tell(PeopleMask(at_ns - 5 * MS, at_ns + 40 * MS, (FACE,)))

    assert not early
    (frame,) = rig.shown()
    head = frame[64:128, 96:160]
    assert cells(head) == (2, 2)
    assert np.array_equal(frame[:48], speckled(1)[:48])  # the twin: nobody is there
    assert (frame[FILLED] == 0).all()


@pytest.mark.slow
def test_a_frame_for_which_no_mask_comes_leaves_as_a_grid(rig: Rig) -> None:
    rig.time.advance(ms=10)
    rig.deliver(speckled(1))

    for _ in range(8):
        rig.time.advance(ms=50)
        rig.gate.turn()
    early = rig.shown()
    rig.time.advance(ms=50)
    rig.gate.turn()

    assert not early
    (frame,) = rig.shown()
    rows, columns = cells(frame)
    assert rows <= CELLS
    assert columns <= CELLS


def test_a_mask_that_begins_after_a_frame_leaves_it_a_grid(rig: Rig) -> None:
    """No look lies before it."""
    rig.time.advance(ms=10)
    rig.deliver(speckled(1))
    at_ns = rig.time.now_ns()
    rig.time.advance(ms=100)

    rig.tell(PeopleMask(at_ns + 1, at_ns + 90 * MS, ()))

    (frame,) = rig.shown()
    assert max(cells(frame)) <= CELLS


@pytest.mark.slow
@pytest.mark.parametrize(
    "bad",
    [
        bytes([Tag.MASK]),
        bytes([Tag.MASK]) + bytes(40),
        encode(PeopleMask(0, 10**12, ()))[:-1],
        encode(PeopleMask(0, 10**12, (FACE,)))[:-1],
        encode(PeopleMask(5, 5, ())),
        encode(PeopleMask(0, 10**12, (Place(9, 0, 0, 9, 9),))),
        encode(PeopleMask(0, 10**12, (Place(0, 0, 0, 9, 9),))),
    ],
    ids=lambda bad: f"{len(bad)} bytes",
)
def test_a_mask_that_makes_no_sense_blocks_what_waits(rig: Rig, bad: bytes) -> None:
    rig.time.advance(ms=10)
    rig.deliver(speckled(1))

    rig.tell(bad)

    reports = [decode(data) for data in ipc.drain(rig.decider)]
    assert Reason.LEASE_MALFORMED in [r.reason for r in reports if isinstance(r, Ended)]
    assert not rig.shown()


def test_after_a_release_the_pool_holds_nothing_of_the_frame(rig: Rig) -> None:
    rig.time.advance(ms=10)
    rig.deliver(speckled(1))
    at_ns = rig.time.now_ns()
    rig.time.advance(ms=50)
    rig.tell(PeopleMask(at_ns - 1, at_ns + 10 * MS, (FACE,)))
    rig.deliver(speckled(2))  # the newest frame is kept until the one after it
    rig.deliver(speckled(3))
    rig.give_back()
    rig.gate.turn()

    assert not rig.pool.frame(0, HEIGHT, WIDTH).any()


mask_steps = st.tuples(
    st.integers(-120, 60),  # ms from now to its beginning
    st.integers(1, 200),  # how long it covers
    st.none() | st.lists(st.tuples(st.integers(0, 300), st.integers(0, 220)), max_size=3),
)
steps = st.lists(st.integers(5, 60) | mask_steps, min_size=4, max_size=16)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(steps)
def test_under_any_sequence_of_masks_a_frame_shows_no_more_than_a_mask_that_covers_it(
    steps: list[int | tuple[int, int, list[tuple[int, int]] | None]],
) -> None:
    """Frames come at any time, masks of any time between them; all that leaves is looked at."""
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder))
        sent: list[PeopleMask] = []
        sources: dict[int, np.ndarray] = {}
        for number, step in enumerate(steps):
            if isinstance(step, int):
                rig.time.advance(ms=step)
                sources[rig.time.now_ns()] = speckled(number)
                rig.deliver(speckled(number))
            else:
                begin_ms, long_ms, corners = step
                from_ns = rig.time.now_ns() + begin_ms * MS
                places = corners and tuple(Place(1, x, y, x + 40, y + 40) for x, y in corners)
                sent.append(PeopleMask(from_ns, from_ns + long_ms * MS, places))
                rig.tell(sent[-1])
            rig.lease()
            assert rig.matcher is not None
            while (frame := rig.matcher.read(0.0)) is not None:
                _look_at(frame, sources[frame.captured_ns], frame.captured_ns, sent)


def _look_at(
    frame: np.ndarray, source: np.ndarray, captured_ns: int, sent: list[PeopleMask]
) -> None:
    """See that this frame is a grid, or masked as one of the masks that cover it says."""
    clear = (frame == source).all(axis=2)
    assert not clear[FILLED].any()
    if clear.mean() < 0.02:  # a grid
        assert max(cells(frame)) <= CELLS + 2  # and the fixed mask's edges
        return
    allowed = False
    for mask in sent:
        if mask.places is not None and mask.from_ns <= captured_ns <= mask.to_ns:
            found = people.levels(mask, HEIGHT, WIDTH)
            hidden = np.kron(found, np.ones((BLOCK_PX, BLOCK_PX), np.uint8))[:HEIGHT, :WIDTH] > 0
            allowed |= clear[hidden].mean() < 0.01 if hidden.any() else True
    assert allowed
