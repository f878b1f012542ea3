"""The body masks run in the engine of every other model, and answer what they answered before."""

import ast
import itertools
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.errors import ModelError
from edge.models import BODY, BODY_WIDE, runtime, tflite_file
from edge.models.pull import asset_bytes
from edge.models.tflite_onnx import INPUT, OUTPUT, convert
from edge.view.bodies import SIZES, SURE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=[BODY, BODY_WIDE])
def model(request) -> tuple[bytes, tuple[int, int]]:
    try:
        return asset_bytes(request.param), SIZES[request.param]
    except ModelError as err:
        pytest.skip(str(err))


def _pictures(clip) -> list[np.ndarray]:
    camera = FileCamera(clip("single_face.mp4"))
    read = [shot.frame for shot in itertools.islice(camera.shots(), 45)]
    camera.close()
    return [read[0], read[44], np.zeros_like(read[0])]


@pytest.mark.slow
def test_the_masks_are_those_of_another_engine_to_within_a_thousandth(model, clip):
    data, size = model
    net = cv2.dnn.readNetFromTFLite(np.frombuffer(data, np.uint8))
    session = runtime.load(convert(data), "body model")

    for picture in _pictures(clip):
        blob = cv2.dnn.blobFromImage(picture, 1 / 255, size, (0, 0, 0), True, False)
        net.setInput(blob)
        expected = net.forward()
        (found,) = runtime.ask(session, [OUTPUT], {INPUT: blob}, "body model")

        assert found.shape == expected.shape == (1, 1, size[1], size[0])
        assert np.abs(found - expected).max() < 1e-3
        assert ((found >= SURE) != (expected >= SURE)).mean() < 1e-4
    assert (expected < SURE).all(), "nobody is in a black picture"


def test_somebody_is_seen_and_the_same_file_gives_the_same_bytes(model, clip):
    data, size = model
    session = runtime.load(convert(data), "body model")
    picture = cv2.resize(_pictures(clip)[0], size)[:, :, ::-1].transpose(2, 0, 1)

    (found,) = runtime.ask(session, None, {INPUT: picture[None].astype(np.float32) / 255}, "x")

    assert (found >= SURE).mean() > 0.05
    assert convert(data) == convert(data)


@pytest.mark.slow
def test_a_damaged_file_is_refused_or_read_and_never_more_than_that(model):
    data, _ = model
    dice = random.Random(1)
    refused = 0
    for _ in range(60):
        damaged = bytearray(data[: dice.choice((len(data), dice.randrange(len(data))))])
        for _ in range(dice.randrange(1, 40)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            convert(bytes(damaged))
        except ModelError:
            refused += 1
    assert refused > 5


def test_an_operator_that_is_not_known_is_named(model, monkeypatch):
    data, _ = model
    graph = tflite_file.read(data)
    odd = tflite_file.Operator(99, "", graph.inputs, graph.outputs, None, b"")
    strange = tflite_file.Graph(graph.tensors, (odd,), graph.inputs, graph.outputs)
    monkeypatch.setattr("edge.models.tflite_onnx.read", lambda _: strange)

    with pytest.raises(ModelError, match="operator 99 is not known"):
        convert(data)


def _uses_dnn(text: str) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "dnn" for node in ast.walk(ast.parse(text))
    )


@pytest.mark.slow
def test_nothing_that_runs_on_a_device_uses_a_second_engine():
    read = [path.read_text() for path in (ROOT / "edge").rglob("*.py")]

    assert len(read) > 100
    assert not any(map(_uses_dnn, read))
    assert _uses_dnn("import cv2\nnet = cv2.dnn.readNet(b'')")
