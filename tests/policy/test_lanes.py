"""A model may put out only what its lane allows, and a 1:1 lane compares once."""

from __future__ import annotations

import pytest

from edge.consent.comparisons import Comparisons, Output, check_outputs, read_outputs
from edge.errors import ModelError
from edge.lease import Lane

BOXES = Output("boxes", (1, None, 15))
HEATMAP = Output("heatmap", (1, 1, None, None))
LANDMARKS = Output("landmarks", (1, 10))
VECTOR = Output("features", (1, 128))


def test_a_detector_serves_the_detect_lane():
    check_outputs(Lane.DETECT, [BOXES, HEATMAP, LANDMARKS])


def test_a_landmark_model_that_also_emits_a_vector_is_refused():
    with pytest.raises(
        ModelError, match=r"lane detect does not allow the output features \(1x128\)"
    ):
        check_outputs(Lane.DETECT, [LANDMARKS, VECTOR])


@pytest.mark.parametrize(
    "lane", [Lane.VERIFY, Lane.IDENTIFY, Lane.REIDENTIFY, Lane.REDACT_SELECTIVE, Lane.EXPORT]
)
def test_recognition_lanes_may_have_vectors(lane):
    check_outputs(lane, [VECTOR])


@pytest.mark.parametrize(
    "lane", [lane for lane in Lane if not lane.identifying and lane is not Lane.EXPORT]
)
@pytest.mark.parametrize(
    "shape",
    [
        (1, 128),
        (128,),
        (None,),
        (1, None),
        (1, 512, 1, 1),
        (1, 2, 8, 7),
        (1, 300, 128),
        (65,),
        (1, 1, 1, 1, 16),
    ],
)
def test_no_other_lane_may(lane, shape):
    with pytest.raises(ModelError):
        check_outputs(lane, [Output("x", shape)])


@pytest.mark.parametrize(
    ("lane", "shape"),
    [
        (Lane.DETECT, (1, 16)),
        (Lane.DETECT, (1, 16, 8, 8)),
        (Lane.DETECT, (None, 4)),
        (Lane.REDACT, (None, None, 5)),
        (Lane.VIEW_MASKED, (None, 4)),
        (Lane.DETECT_EVENT, ()),
        (Lane.DETECT_DROWSINESS, (1, 16)),
        (Lane.INFER_EMOTION, (8,)),
        (Lane.READ_PLATE, (1, 24, 64)),
        (Lane.READ_PLATE, (24,)),
    ],
)
def test_what_a_lane_needs_it_may_have(lane, shape):
    check_outputs(lane, [Output("x", shape)])


@pytest.mark.parametrize(
    ("lane", "shape"),
    [
        (Lane.READ_PLATE, (1, 25, 64)),
        (Lane.READ_PLATE, (1, 24, 65)),
        (Lane.READ_PLATE, (1, None, 64)),
        (Lane.DETECT_DROWSINESS, (1, 4, 4)),
        (Lane.DETECT, (1, 17, 8, 8)),
        (Lane.DETECT, (1, None, 8, 8)),
        (Lane.DETECT, (1, 2, 7, 8)),
        (Lane.DETECT, (1, 300, None)),
    ],
)
def test_what_is_just_beyond_it_may_not(lane, shape):
    with pytest.raises(ModelError, match="does not allow"):
        check_outputs(lane, [Output("x", shape)])


def test_a_model_without_outputs_and_a_lane_without_frames_are_refused():
    with pytest.raises(ModelError, match="declares no output"):
        check_outputs(Lane.VERIFY, [])
    with pytest.raises(ModelError, match="gets no frames"):
        check_outputs(Lane.TRANSCRIBE, [LANDMARKS])


def _field(number, payload):
    """One length-delimited field of a protocol buffer."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def _value(name, sizes):
    dims = b"".join(
        _field(1, bytes([1 << 3, size]) if isinstance(size, int) else _field(2, size.encode()))
        for size in sizes
    )
    tensor = bytes([1 << 3, 1]) + _field(2, dims)  # float
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def onnx_model(sizes):
    """The smallest ONNX file that hands its input through."""
    node = _field(1, b"x") + _field(2, b"y") + _field(4, b"Identity")
    graph = (
        _field(1, node)
        + _field(2, b"g")
        + _field(11, _value("x", sizes))
        + _field(12, _value("y", sizes))
    )
    return bytes([1 << 3, 8]) + _field(7, graph) + _field(8, bytes([2 << 3, 13]))


def test_the_outputs_a_file_declares_are_read(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_model((1, "n", 15)))

    assert read_outputs(path, path.read_bytes()) == (Output("y", (1, None, 15)),)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    for bad in (b"not a model", b"", onnx_model((1, "n", 15))[:-9]):
        with pytest.raises(ModelError, match=r"(not a|no) usable ONNX model"):
            read_outputs(tmp_path / "model.onnx", bad)


def _weight(*stored):
    """A tensor of one float, named w, and where its value is."""
    return bytes([1 << 3, 1, 2 << 3, 1]) + _field(8, b"w") + b"".join(stored)


OUTSIDE = _weight(
    _field(13, _field(1, b"location") + _field(2, b"weights.bin")), bytes([14 << 3, 1])
)


def _with_weight(tensor):
    node = _field(1, b"x") + _field(2, b"y") + _field(4, b"Identity")
    graph = _field(1, node) + _field(2, b"g") + _field(5, tensor)
    graph += _field(11, _value("x", (1,))) + _field(12, _value("y", (1,)))
    return bytes([1 << 3, 8]) + _field(7, graph) + _field(8, bytes([2 << 3, 13]))


def test_a_model_whose_weights_lie_in_another_file_is_refused(tmp_path):
    """The digest in the record would not cover them."""
    (tmp_path / "weights.bin").write_bytes(bytes(4))
    path = tmp_path / "model.onnx"
    hidden = _field(5, _field(1, b"value") + _field(5, OUTSIDE))  # in a node's attribute
    node = _field(1, b"x") + _field(2, b"y") + _field(4, b"Identity") + hidden

    for data in (_with_weight(OUTSIDE), bytes([1 << 3, 8]) + _field(7, _field(1, node))):
        with pytest.raises(ModelError, match="keeps weights in other files"):
            read_outputs(path, data)


def test_a_model_that_holds_its_weights_is_read(tmp_path):
    inside = _with_weight(_weight(_field(9, bytes(4))))

    assert [out.name for out in read_outputs(tmp_path / "model.onnx", inside)] == ["y"]


@pytest.fixture
def counted():
    return Comparisons()


def test_one_claimed_reference_is_one_to_one_however_often(counted):
    counted.claim("ada")
    for _ in range(50):
        counted.compare("ada")

    assert not counted.split_search


def test_a_second_reference_is_a_search(counted):
    counted.claim("ada")
    counted.compare("ada")
    counted.compare("ben")

    assert counted.split_search


def test_a_reference_nobody_claimed_is_a_search(counted):
    counted.compare("ada")

    assert counted.split_search


def test_claiming_one_after_another_at_the_same_face_is_a_search(counted):
    for name in ("ada", "ben"):
        counted.claim(name)
        counted.compare(name)

    assert counted.split_search


def test_the_next_person_is_another_probe(counted):
    for name in ("ada", "ben", "cyd"):
        counted.claim(name)
        counted.compare(name)
        assert not counted.split_search
        counted.nobody()
