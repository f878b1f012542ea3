"""A change of size within one stream is noticed, or the video is refused; one size all comes.

`make cases` tries every decoder that is trusted to tell; here are two of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cameras.opencv import FileCamera
from edge.errors import CameraError
from tests.cases import sizes
from tests.cases.case import FRAMES, Skipped, Workshop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("pictures"))


def made(shop: Workshop, how: tuple[str, ...], sized: tuple[str, ...]) -> Path:
    try:
        return sizes.sized(shop, how, sized)
    except Skipped as why:
        pytest.skip(str(why))


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["MPEG-4", "Motion JPEG"])
def test_pictures_of_another_size_are_not_scaled_but_end_the_recording(
    codec: str, shop: Workshop
) -> None:
    camera = FileCamera(made(shop, sizes.ANNOUNCED[codec], sizes.SIZES))
    seen = sum(1 for _ in camera.shots())
    camera.close()

    assert 0 < seen <= FRAMES
    assert not camera.tally.complete
    assert f"picture {seen} its pictures change from 352x288 to 176x144" in str(camera.tally)


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["MPEG-4", "Motion JPEG"])
def test_pictures_of_one_size_all_come(codec: str, shop: Workshop) -> None:
    camera = FileCamera(made(shop, sizes.ANNOUNCED[codec], sizes.SIZES[:1]))
    seen = sum(1 for _ in camera.shots())
    camera.close()

    assert seen == FRAMES
    assert camera.tally.complete


@pytest.mark.slow
def test_video_whose_decoder_does_not_tell_is_refused_by_name(shop: Workshop) -> None:
    path = made(shop, sizes.SILENT["PNG"], sizes.SIZES)

    with pytest.raises(CameraError, match=r"holds MPNG video, whose pictures may change"):
        FileCamera(path)


@pytest.mark.slow
def test_a_recording_turned_on_its_side_is_of_one_size(shop: Workshop) -> None:
    try:
        path = shop.convert("x.mp4", "-c:v", "mpeg4")
        turned = shop.convert("turned.mp4", "-c", "copy", "-metadata:s:v", "rotate=90", source=path)
    except Skipped as why:
        pytest.skip(str(why))
    camera = FileCamera(turned)
    seen = sum(1 for _ in camera.shots())
    camera.close()

    assert seen == FRAMES
