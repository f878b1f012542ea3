"""One parser says what a source is, and one redactor what of it may be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cameras.layout import Layout, layout_of
from edge.cameras.redact import redacted
from edge.cameras.source import SourceKind, driver_of, parse_source, pipeline_words, resolve_source
from edge.cameras.v4l2 import captures
from edge.errors import CameraError

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("0", SourceKind.V4L2, "/dev/video0"),
        ("/dev/video2", SourceKind.V4L2, "/dev/video2"),
        ("/dev/shm/clip.mp4", SourceKind.FILE, "/dev/shm/clip.mp4"),
        ("picamera2", SourceKind.PICAMERA2, "0"),
        ("picamera2:1,I420", SourceKind.PICAMERA2, "1,I420"),
        ("PiCamera2:0", SourceKind.PICAMERA2, "0"),
        ("RTSP://cam/One", SourceKind.STREAM, "rtsp://cam/One"),
        (" http://cam/1 ", SourceKind.STREAM, "http://cam/1"),
        ("gst: v4l2src", SourceKind.PIPELINE, "v4l2src"),
        ("GST:v4l2src", SourceKind.PIPELINE, "v4l2src"),
        ("clip.mp4", SourceKind.FILE, "clip.mp4"),
        ("2024-05-01T12:30:00.mp4", SourceKind.FILE, "2024-05-01T12:30:00.mp4"),
        ("picamera2.mp4", SourceKind.FILE, "picamera2.mp4"),
    ],
)
def test_a_source_is_parsed_in_one_place(text: str, kind: SourceKind, target: str) -> None:
    source = parse_source(text)

    assert (source.kind, source.target) == (kind, target)
    assert source.live is (kind is not SourceKind.FILE)
    assert parse_source(source.text) == source
    kept = "/there/" + target if text[0] != "/" else target
    assert resolve_source(text, Path("/there")) == (source.text if source.live else kept)


@pytest.mark.parametrize("text", ["", "  ", "gst:", "gst: ", "file:///clip.mp4", "ftp://cam"])
def test_what_is_no_source_is_one_line(text: str) -> None:
    with pytest.raises(CameraError, match="expected"):
        parse_source(text)


@pytest.mark.parametrize(
    "caps",
    [
        "video/x-raw,format=NV12",
        "video/x-raw, format=NV12",
        "video/x-raw , width=640 , format = NV12",
        "video/x-raw, width=640, format=(string)NV12",
    ],
)
def test_spaces_in_caps_change_nothing(caps: str) -> None:
    words = pipeline_words(f"v4l2src device=/dev/video0 ! {caps}")

    assert layout_of(words) is Layout.NV12
    assert driver_of(words, lambda _: "uvcvideo") == "gstreamer"


@pytest.mark.parametrize(
    "text", ["filesrc location=x ! video/x-raw, format=NV12", "video/x-raw, filesrc"]
)
def test_spaces_in_caps_hide_no_made_picture(text: str) -> None:
    assert driver_of(pipeline_words(text), lambda _: "uvcvideo") == "loopback"


@pytest.mark.parametrize(
    "text",
    [
        f"rtsp://admin:{SECRET}@10.0.0.2:554/h264",
        f"rtsp://admin:a@{SECRET}@10.0.0.2/h264",
        f"rtsp://admin:a/{SECRET}@10.0.0.2/h264",
        f"RTSP://{SECRET}@cam/1",
        f"http://cam/video?user=admin&password={SECRET}",
        f"http://cam/video?pwd={SECRET}/x{SECRET}&channel=1",
        f"http://cam/video?channel=1&access_token={SECRET}",
        f"http://cam/video?PASSWD={SECRET}",
        f"http://cam/video?apikey={SECRET}#t",
        f"rtsp://cam/user=admin&password={SECRET}&channel=1",
        f"rtsp://cam/user=admin_password={SECRET}_channel=1_stream=0.sdp",
        f"http://cam/admin:{SECRET}/video",
        f"srt://cam:9000?passphrase={SECRET}",
        f"gst:rtspsrc location=rtsp://cam/1 user-id=admin user-pw={SECRET} ! decodebin",
        f'gst:rtspsrc location=rtsp://cam/1 user-pw="a {SECRET}" ! decodebin',
        f"gst:rtspsrc location='rtsp://admin:{SECRET}@cam/1' ! decodebin",
        f"gst:souphttpsrc location=http://cam proxy-pw={SECRET} ! jpegdec",
        f'gst:souphttpsrc extra-headers="headers, Authorization=(string){SECRET}" ! jpegdec',
        f"gst:srtsrc uri=srt://cam passphrase = {SECRET} ! tsdemux",
        f"cannot open rtsp://admin:{SECRET}@cam/1: no route; tried http://cam?token={SECRET}",
    ],
)
def test_no_credential_is_shown(text: str) -> None:
    shown = redacted(text)

    assert SECRET not in shown
    assert redacted(shown) == shown
    assert any(word in shown for word in ("cam", "10.0.0.2", "souphttpsrc"))


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://10.0.0.2:554/h264?channel=1&subtype=0",
        "http://[fe80::1]:8080/live.mjpg",
        "http://cam/a@b/video",
        "gst:v4l2src device=/dev/video0 ! video/x-raw,width=640 ! videoconvert",
        "gst:x264enc key-int-max=30 ! h264parse",
        "picamera2:0,I420",
        "2024-05-01T12:30:00.mp4",
        "/home/user/monkey=1.mp4",
    ],
)
def test_what_holds_no_credential_is_shown_as_it_is(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("capabilities", "device_caps", "camera"),
    [
        (0x84A00001, 0x04200001, True),  # uvcvideo: pictures
        (0x84A00001, 0x04A00000, False),  # uvcvideo: the node of its metadata
        (0x84204000, 0x04204000, False),  # bcm2835-codec, several planes
        (0x84208000, 0x04208000, False),  # a codec, one plane
        (0x85201000, 0x05201000, True),  # a camera interface with several planes
        (0x00000001, 0x00000000, True),  # a driver older than the device's own word
    ],
)
def test_a_codec_is_no_camera(capabilities: int, device_caps: int, camera: bool) -> None:
    assert captures(capabilities, device_caps) is camera
