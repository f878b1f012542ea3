"""People: boxes from the pinned detector only, and the rules they are judged by."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.clock import MS
from edge.errors import ModelError
from edge.evidence.faces import FaceBoxes
from edge.evidence.people import PeopleRules, PeopleWatch, judge
from edge.reasons import Reason
from edge.view.box import Box

ONE = Box(100, 100, 180, 200, 0.9)
TINY = Box(10, 10, 30, 40, 0.9)


def test_nobody_in_view_is_controlled():
    assert judge((), 480, PeopleRules(max=1)) == ()


@pytest.mark.parametrize(
    "boxes,rules,reasons",
    [
        ((ONE,), PeopleRules(max=1), ()),
        ((ONE, ONE), PeopleRules(max=1), (Reason.PEOPLE_CROWD,)),
        ((ONE, ONE), PeopleRules(max=2), ()),
        ((ONE,), PeopleRules(max=0), (Reason.PEOPLE_CROWD,)),
        ((TINY,), PeopleRules(max=1), (Reason.PEOPLE_SMALL,)),
        ((ONE, TINY), PeopleRules(max=1), (Reason.PEOPLE_CROWD, Reason.PEOPLE_SMALL)),
        ((ONE,), PeopleRules(max=1, zone=(0.0, 0.0, 0.5, 0.5)), ()),
        ((ONE,), PeopleRules(max=1, zone=(0.5, 0.0, 1.0, 1.0)), (Reason.PEOPLE_ZONE,)),
    ],
)
def test_faces_are_judged_by_number_size_and_place(boxes, rules, reasons):
    assert judge(boxes, 480, rules, frame_width=640) == reasons


@pytest.mark.parametrize("share,small", [(0.099, True), (0.101, False)])
def test_the_smallest_allowed_face_is_a_share_of_the_picture(share, small):
    box = Box(0, 0, 30, 480 * share, 0.9)

    assert (Reason.PEOPLE_SMALL in judge((box,), 480, PeopleRules(min_height=0.1))) is small


def test_a_missing_or_changed_model_is_refused(tmp_path, face_model):
    with pytest.raises(ModelError, match="models pull"):
        FaceBoxes(tmp_path / "none.onnx")

    changed = tmp_path / "centerface.onnx"
    data = bytearray(face_model.read_bytes())
    data[1000] ^= 1
    changed.write_bytes(data)
    with pytest.raises(ModelError, match="SHA-256"):
        FaceBoxes(changed)


def test_an_odd_input_size_is_refused(face_model):
    with pytest.raises(ModelError, match="multiples of 32"):
        FaceBoxes(face_model, input_size=(320, 190))


def test_the_detector_finds_the_one_face_and_no_face_in_a_room(clip, face_model, room):
    faces = FaceBoxes(face_model)
    camera = FileCamera(clip("single_face.mp4"))
    frame = next(camera.shots()).frame
    camera.close()

    (box,) = faces.detect(frame)

    assert 0.2 < (box.left + box.right) / 2 / frame.shape[1] < 0.8
    assert 0.2 < box.height / frame.shape[0] < 0.9
    assert faces.detect(room) == ()
    assert judge((box,), frame.shape[0], PeopleRules()) == ()


class _Session:
    """A model that answers with what it was given."""

    def __init__(self, outputs) -> None:
        self._outputs = outputs
        self.asked: list[str] = []

    def run(self, names, feed):
        self.asked += names
        return self._outputs


def _outputs():
    return [np.zeros((1, channels, 48, 80), np.float32) for channels in (1, 2, 2)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_an_output_that_is_not_finite_is_an_error_and_no_empty_room(face_model, room, which, value):
    faces = FaceBoxes(face_model)
    outputs = _outputs()
    outputs[which][0, 0, 3, 3] = value
    faces._session = _Session(outputs)

    with pytest.raises(ModelError, match="not finite"):
        faces.detect(room)


def test_an_output_of_another_shape_is_an_error(face_model, room):
    faces = FaceBoxes(face_model)
    outputs = _outputs()
    outputs[0] = outputs[0][:, :, :20]
    faces._session = _Session(outputs)

    with pytest.raises(ModelError, match="shape"):
        faces.detect(room)


def test_landmarks_are_never_asked_for(face_model, room):
    faces = FaceBoxes(face_model)
    outputs = _outputs()
    outputs[0][0, 0, 20, 40] = 0.9
    outputs[1][:] = 2.0
    faces._session = session = _Session(outputs)

    (box,) = faces.detect(room)

    assert session.asked == ["537", "538", "539"], "540 has the landmarks"
    assert box.score == pytest.approx(0.9)
    assert box.left < 40.5 * 4 * 2 < box.right


def _by_opencv(face_model, frame):
    """The detector's maps of a picture, as OpenCV's own engine gives them."""
    wide = frame.shape[1] >= frame.shape[0]
    net = cv2.dnn.readNetFromONNX(str(face_model))
    size = (320, 192) if wide else (192, 320)
    small = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR_EXACT)
    net.setInput(cv2.dnn.blobFromImage(small, 1.0, size, (0, 0, 0), True, False))
    return net.forward(("537", "538", "539", "540"))[:3]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["webcam_single_man_study", "static_office_meeting_group", "static_station_stairs"]
)
@pytest.mark.parametrize("portrait", [False, True])
def test_another_engine_finds_the_same_faces_to_a_hundredth_of_a_pixel(
    data_dir, face_model, name, portrait
):
    camera = FileCamera(data_dir / "video" / f"{name}.mp4")
    frame = next(camera.shots()).frame
    camera.close()
    frame = np.ascontiguousarray(np.rot90(frame)) if portrait else frame
    faces, other = FaceBoxes(face_model), FaceBoxes(face_model)
    other._session = _Session(_by_opencv(face_model, frame))

    ours, theirs = faces.detect(frame), other.detect(frame)

    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        for side in ("left", "top", "right", "bottom"):
            assert getattr(a, side) == pytest.approx(getattr(b, side), abs=0.01)
        assert a.score == pytest.approx(b.score, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name,least",
    [("webcam_single_man_study", 0.95), ("webcam_single_man_portrait", 0.95),
     ("asl_signer_again", 0.9), ("studio_greenscreen_woman", 0.9)],
)  # fmt: skip
def test_the_subject_is_found_in_recordings(data_dir, face_model, name, least):
    faces, found = FaceBoxes(face_model), []
    camera = FileCamera(data_dir / "video" / f"{name}.mp4")
    for number, shot in enumerate(camera.shots()):
        if number % 15 == 0:
            found.append(len(faces.detect(shot.frame)))
    camera.close()

    assert np.mean([n == 1 for n in found]) >= least


def _watched(scores):
    """What is said of one small face found with these scores, five readings a second."""
    watch = PeopleWatch(PeopleRules(min_height=0.1))
    reported = []
    for i, score in enumerate(scores):
        boxes = (Box(0, 0, 20, 30, score),) if score else ()
        reported.append(Reason.PEOPLE_SMALL in watch.read(boxes, i * 200 * MS, 480, 640))
    return reported


def test_a_face_at_the_detector_s_edge_blocks_steadily_or_not_at_all():
    once = _watched([0, 0.55, 0, 0, 0, 0.52, 0, 0, 0])
    flaps = _watched([0.55, 0, 0.6, 0, 0.55, 0, 0, 0.5, 0, 0.55, 0])
    gone = _watched([0.55, 0.55, 0, 0, 0, 0, 0, 0])

    assert not any(once)
    assert flaps == [False, False] + [True] * 9
    assert gone == [False] + [True] * 5 + [False] * 2
    assert _watched([0, 0.9])[1], "what is surely there blocks at once"


def test_turning_the_camera_asks_for_no_larger_face():
    face = (Box(0, 0, 30, 40, 0.9),)

    assert judge(face, 360, PeopleRules(), frame_width=640) == ()
    assert judge(face, 640, PeopleRules(), frame_width=360) == ()
    assert judge(face, 640, PeopleRules(), frame_width=480) == (Reason.PEOPLE_SMALL,)
