"""Motion JPEG is read packet by packet: what is not wanted is not decoded."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.identity import MAX_SIDE_PX
from edge.cameras.pictures import RAW, JpegReader, Read, size_of
from tests.support import render


def _jpeg(frame: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(".jpg", frame, options)[1].tobytes()


def _stated(packet: bytes, height: int, width: int) -> bytes:
    """The same packet with another size at its head."""
    at = packet.index(b"\xff\xc0") + 5
    return packet[:at] + struct.pack(">HH", height, width) + packet[at + 4 :]


ROOM = list(render.lived_in(render.room(), 6))
PACKETS = [_jpeg(frame) for frame in ROOM]


class Packets:
    """OpenCV's capture in its mode without decoding."""

    def __init__(self, *packets: bytes) -> None:
        self._left = list(packets)

    def read(self) -> tuple[bool, np.ndarray | None]:
        if not self._left:
            return False, None
        return True, np.frombuffer(self._left.pop(0), np.uint8).reshape(1, -1)


def _found(*packets: bytes, wanted=None) -> list[Read]:
    reader = JpegReader(Packets(*packets))
    return [reader.read(None, wanted or (lambda: True))[0] for _ in range(len(packets) + 1)]


@pytest.mark.parametrize(
    "options",
    [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_QUALITY, 30)],
    ids=["baseline", "progressive", "coarse"],
)
def test_the_size_that_a_picture_states_is_the_one_it_decodes_to(options):
    packet = _jpeg(ROOM[0], *options)

    assert size_of(packet) == cv2.imdecode(np.frombuffer(packet, np.uint8), 1).shape[:2]


def test_a_thumbnail_within_the_head_is_not_taken_for_the_picture():
    inner = _jpeg(cv2.resize(ROOM[0], (32, 24)))
    head = b"\xff\xe1" + struct.pack(">H", len(inner) + 2) + inner

    assert size_of(PACKETS[0][:2] + head + PACKETS[0][2:]) == ROOM[0].shape[:2]


@pytest.mark.parametrize("cut", range(0, 24))
def test_what_is_no_picture_has_no_size(cut):
    assert size_of(PACKETS[0][:cut]) is None
    assert size_of(b"\x00" * cut) is None
    assert size_of(b"\xff\xd8\xff" + b"\xff" * cut) is None


def test_every_picture_is_what_opencv_decodes():
    reader = JpegReader(Packets(*PACKETS))

    for frame in ROOM:
        found, picture = reader.read(None)
        assert found is Read.PICTURE
        assert picture.shape == frame.shape
        assert float(cv2.absdiff(picture, frame).mean()) < 4.0
    assert reader.read(None)[0] is Read.END


def test_a_picture_is_written_where_there_is_room_for_it_and_is_the_same():
    reader, other = JpegReader(Packets(*PACKETS)), JpegReader(Packets(*PACKETS))
    place, small = np.empty_like(ROOM[0]), np.empty((8, 8, 3), np.uint8)

    for room in (place, small, None):
        found, picture = reader.read(room)
        assert found is Read.PICTURE
        assert (picture is place) is (room is place)
        assert np.array_equal(picture, other.read(None)[1])


def test_what_is_not_wanted_is_not_decoded(monkeypatch):
    decoded = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *given: (decoded.append(1), decode(*given))[1])
    answers = iter([True, False, False, True])

    found = _found(*PACKETS[:4], wanted=lambda: next(answers))

    assert found == [Read.PICTURE, Read.UNWANTED, Read.UNWANTED, Read.PICTURE, Read.END]
    assert len(decoded) == 2


def test_a_picture_of_another_size_ends_the_stream_wanted_or_not():
    other = _jpeg(cv2.resize(ROOM[0], (320, 240)))

    assert _found(PACKETS[0], other)[1] is Read.RESIZED
    assert _found(PACKETS[0], other, wanted=lambda: False)[1] is Read.RESIZED
    assert _found(PACKETS[0], PACKETS[1])[1] is Read.PICTURE


@pytest.mark.parametrize(
    "packet",
    [b"", b"no picture at all", PACKETS[1][: len(PACKETS[1]) // 2], PACKETS[1][:40]],
    ids=["empty", "text", "half", "head"],
)
def test_a_packet_that_cannot_be_decoded_is_no_picture_and_the_next_one_is(packet):
    assert _found(PACKETS[0], packet, PACKETS[2]) == [
        Read.PICTURE,
        Read.STALE,
        Read.PICTURE,
        Read.END,
    ]


def test_a_picture_that_claims_to_be_huge_is_never_decoded(monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))

    assert _found(_stated(PACKETS[0], 480, MAX_SIDE_PX + 1))[0] is Read.STALE
    assert _found(_stated(PACKETS[0], 65_535, 65_535))[0] is Read.STALE


def test_opencv_hands_the_packets_of_a_file_over_as_they_are(tmp_path: Path):
    path = tmp_path / "room.mjpg"
    path.write_bytes(b"".join(PACKETS))
    reader = JpegReader(cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, RAW))

    pictures = []
    while (found := reader.read(None))[0] is Read.PICTURE:
        pictures.append(found[1])

    assert found[0] is Read.END
    for picture, frame in zip(pictures, ROOM, strict=True):
        assert float(cv2.absdiff(picture, frame).mean()) < 4.0
