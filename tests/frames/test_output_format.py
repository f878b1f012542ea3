"""The released form: a crop, a smaller picture or brightness alone, from whatever layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench import scenery
from edge.cameras.layout import Layout
from edge.commissioning.records import parse_device
from edge.errors import RecordError, RingError
from edge.frames.output_format import OutputFormat
from edge.frames.ring import Ring
from edge.frames.shaper import Shaper
from edge.masking.blocks import FILLED
from edge.masking.mask import nothing
from edge.wire import from_json, to_json
from framegate_client.ring import RingReader
from tests.support import render

HEIGHT, WIDTH = 240, 320
PICTURE = cv2.GaussianBlur(scenery.view(HEIGHT, WIDTH), (0, 0), 3)
SMOOTH = cv2.GaussianBlur(PICTURE, (0, 0), 12)
CROP = (0.25, 0.1, 0.75, 0.9)
HALVED = [Layout.NV12, Layout.I420]
EVERY_FORM = [
    OutputFormat(crop, grey, shrink)
    for crop in (None, CROP)
    for grey in (False, True)
    for shrink in (1, 3)
]


def expected(form: OutputFormat, picture: np.ndarray = PICTURE) -> np.ndarray:
    """The form of a BGR picture the slow way: to grey last, in floating point."""
    left, top, right, bottom = form.crop or (0, 0, 1, 1)
    part = picture[round(top * HEIGHT) : round(bottom * HEIGHT)]
    part = part[:, round(left * WIDTH) : round(right * WIDTH)].astype(np.float32)
    rows, columns = (side // (2 * form.shrink) * 2 for side in part.shape[:2])
    part = part[: rows * form.shrink, : columns * form.shrink]
    blocks = part.reshape(rows, form.shrink, columns, form.shrink, 3).mean(axis=(1, 3))
    return blocks @ [0.114, 0.587, 0.299] if form.grey else blocks


def written(form: OutputFormat, layout: Layout, picture: np.ndarray) -> np.ndarray:
    shaper = Shaper(form, layout, HEIGHT, WIDTH)
    place = np.full(shaper.shape, 255, np.uint8)
    before = picture.copy()
    shaper.write(picture, place, nothing(HEIGHT, WIDTH))
    assert (picture == before).all()
    return place


@pytest.mark.parametrize("form", EVERY_FORM, ids=str)
def test_each_form_holds_the_pixels_it_should(form: OutputFormat) -> None:
    found = written(form, Layout.BGR, PICTURE)

    assert found.shape == expected(form).shape
    assert np.abs(found - expected(form)).max() <= 1.5


@pytest.mark.parametrize("layout", HALVED)
@pytest.mark.parametrize("form", EVERY_FORM, ids=str)
def test_each_form_is_the_same_whatever_the_camera_gives(
    form: OutputFormat, layout: Layout
) -> None:
    given = render.planar(SMOOTH, layout)  # colour comes at half the size, so gently
    found = written(form, layout, given)

    brightness = cv2.cvtColor(given[:HEIGHT], cv2.COLOR_GRAY2BGR)
    wanted = expected(form, brightness if form.grey else layout.bgr(given))
    assert found.shape == wanted.shape
    most = 0.01 if form.shrink == 1 else 1 if form.grey else 12  # colour is shrunk before it mixes
    assert np.abs(found - wanted).max() <= most


@pytest.mark.parametrize("layout", HALVED)
def test_grey_from_a_plane_of_its_own_is_that_plane(layout: Layout) -> None:
    picture = render.planar(PICTURE, layout)

    assert (written(OutputFormat(grey=True), layout, picture) == picture[:HEIGHT]).all()


def test_a_crop_ends_at_the_pixels_it_names_and_at_the_edges() -> None:
    found = written(OutputFormat(crop=(0.5, 0.5, 1.0, 1.0)), Layout.BGR, PICTURE)

    assert (found == PICTURE[HEIGHT // 2 :, WIDTH // 2 :]).all()


def test_an_odd_picture_is_released_whole_and_cut_to_even_sides() -> None:
    odd = np.ascontiguousarray(PICTURE[:239, :319])
    whole = Shaper(OutputFormat(), Layout.BGR, 239, 319)
    place = np.zeros(whole.shape, np.uint8)
    whole.write(odd, place, nothing(239, 319))

    assert (place == odd).all()
    assert Shaper(OutputFormat(crop=(0, 0, 1, 1)), Layout.BGR, 239, 319).shape == (238, 318, 3)


@pytest.mark.parametrize(
    "form", [OutputFormat(crop=(0.5, 0.5, 0.52, 0.9)), OutputFormat(shrink=8)], ids=str
)
def test_a_form_that_leaves_nothing_to_see_is_refused_by_name(form: OutputFormat) -> None:
    with pytest.raises(RecordError, match=r"\[matcher.picture\] leaves \d+x\d+ pixels of the"):
        Shaper(form, Layout.BGR, 120, 160)


@pytest.mark.parametrize("form", EVERY_FORM, ids=str)
def test_a_reader_gets_what_the_header_says(form: OutputFormat) -> None:
    shaper = Shaper(form, Layout.BGR, HEIGHT, WIDTH)
    ring = Ring.create(shaper.bytes, slots=2)
    reader = RingReader(ring.fd)
    slot, place = ring.place(shaper.shape)
    shaper.write(PICTURE, place, nothing(HEIGHT, WIDTH))
    assert reader.next() is None  # it is staged, not published

    ring.publish(slot, place, 7, 1)
    found = reader.next()

    assert found is not None
    assert (found[0].height, found[0].width) == shaper.shape[:2]
    assert found[1].shape == shaper.shape
    assert (found[1] == place).all()
    ring.wipe()
    assert not reader.pixels.any()


def test_nothing_larger_than_a_slot_is_ever_placed() -> None:
    ring = Ring.create(48)

    with pytest.raises(RingError, match="at most 48 bytes a frame, got 75"):
        ring.place((5, 5, 3))


RECORD = 'camera = "fixed"\n[matcher.picture]\n'


def test_the_record_says_the_form_and_the_gate_reads_the_same() -> None:
    text = RECORD + "crop = [0.25, 0.1, 0.75, 0.9]\ngrey = true\nshrink = 2\n"

    form = parse_device(text.encode(), Path("D.toml")).picture

    assert form == OutputFormat(CROP, grey=True, shrink=2)
    assert from_json(OutputFormat, to_json(form)) == form
    assert parse_device(b'camera = "fixed"', Path("D.toml")).picture == OutputFormat()


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("shrink = 0", "whole number, 1 to 8, got 0"),
        ("shrink = 9", "whole number, 1 to 8, got 9"),
        ("shrink = 1.5", "whole number, 1 to 8, got 1.5"),
        ("shrink = true", "whole number, 1 to 8, got True"),
        ("grey = 1", "grey must be true or false, got 1"),
        ("crop = [0.5, 0, 0.5, 1]", r"crop must be \[left, top, right, bottom\]"),
        ("crop = [0, 0, 320, 240]", r"crop must be \[left, top, right, bottom\]"),
        ("color = false", "unknown key 'color'; allowed: crop, grey, shrink"),
    ],
)
def test_a_form_that_is_none_names_what_is_allowed(line: str, wrong: str) -> None:
    with pytest.raises(RecordError, match=rf"\[matcher\] \[picture\]: .*{wrong}"):
        parse_device((RECORD + line).encode(), Path("D.toml"))


def test_fixed_places_of_the_ring_are_never_written_and_stay_black() -> None:
    """The twin: where another mask came first, what it left there is overwritten."""
    picture, fixed = np.full((64, 64, 3), 200, np.uint8), np.zeros((4, 4), np.uint8)
    fixed[:2, :2] = FILLED
    place, dirty = np.zeros_like(picture), np.zeros_like(picture)
    mask = nothing(64, 64).over(fixed)

    alone, after = (Shaper(OutputFormat(), Layout.BGR, 64, 64) for _ in range(2))
    alone.write(picture, place, mask)
    after.write(picture, dirty, nothing(64, 64))
    after.write(picture, dirty, mask)
    after.write(picture, dirty, mask)

    for written in (place, dirty):
        assert not written[:32, :32].any()
        assert (written[32:] == 200).all()
    place[:32, :32] = 7
    alone.write(picture, place, mask)
    assert (place[:32, :32] == 7).all()
