"""Peer: a scene classifier run inline on every frame instead of a gate.

The network is EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946, Lite
variant: no squeeze-and-excitation, ReLU6; 385 million multiplications at
224x224), layer by layer, with random weights: its speed is what is compared,
its answer means nothing. The INT8 version is statically quantised per channel
(QDQ). Both are made once and kept in the cache folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

SIDE = 224
_NAME = "efficientnet-lite0"
_STAGES = (  # expansion, kernel, channels out, repeats, stride of the first
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "framegate" / "bench"


def inline(*, quantised: bool) -> Callable[[np.ndarray], np.ndarray]:
    """A function from a BGR frame to the network's answer, on one thread.

    Raises:
        ImportError: `onnx`, needed to make the network once, is not installed.
    """
    import onnxruntime as ort

    path = _folder() / (f"{_NAME}-int8.onnx" if quantised else f"{_NAME}.onnx")
    if not path.exists():
        _make(_folder())
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(frame: np.ndarray) -> np.ndarray:
        small = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        planes = small[:, :, ::-1].transpose(2, 0, 1)
        blob = (np.ascontiguousarray(planes, np.float32)[None] - 127.5) * np.float32(1 / 127.5)
        answer: np.ndarray = session.run(None, {"image": blob})[0]
        return answer

    if run(np.zeros((480, 640, 3), np.uint8)).shape != (1, 1000):
        raise ValueError(f"{path}: expected 1000 scores")
    return run


def _make(folder: Path) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    folder.mkdir(parents=True, exist_ok=True)
    plain, small = folder / f"{_NAME}.onnx", folder / f"{_NAME}-int8.onnx"
    onnx.save(_network(), plain)

    class Noise(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            shape = (1, 3, SIDE, SIDE)
            self._left = [rng.uniform(-1, 1, shape).astype(np.float32) for _ in range(4)]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return {"image": self._left.pop()} if self._left else None

    partial = folder / f"partial-{os.getpid()}.onnx"
    quantize_static(
        plain,
        partial,
        Noise(),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    partial.replace(small)


def _network() -> object:
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(1)
    nodes, weights = [], []

    def conv(name: str, source: str, cin: int, out: int, k: int, stride: int, group: int) -> str:
        scale = (2 / (cin // group * k * k)) ** 0.5
        kernel = (rng.standard_normal((out, cin // group, k, k)) * scale).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"{name}.w"))
        weights.append(numpy_helper.from_array(np.zeros(out, np.float32), f"{name}.b"))
        nodes.append(
            helper.make_node(
                "Conv",
                [source, f"{name}.w", f"{name}.b"],
                [name],
                kernel_shape=[k, k],
                strides=[stride, stride],
                pads=[k // 2] * 4,
                group=group,
            )
        )
        return name

    def relu(source: str) -> str:
        nodes.append(helper.make_node("Clip", [source, "zero", "six"], [f"{source}.r"]))
        return f"{source}.r"

    weights.append(numpy_helper.from_array(np.float32(0), "zero"))
    weights.append(numpy_helper.from_array(np.float32(6), "six"))
    x, channels = relu(conv("stem", "image", 3, 32, 3, 2, 1)), 32
    for i, (expand, kernel, out, repeats, stride) in enumerate(_STAGES):
        for j in range(repeats):
            name, wide = f"b{i}_{j}", channels * expand
            step = stride if j == 0 else 1
            y = relu(conv(f"{name}.up", x, channels, wide, 1, 1, 1)) if expand > 1 else x
            y = relu(conv(f"{name}.deep", y, wide, wide, kernel, step, wide))
            y = conv(f"{name}.down", y, wide, out, 1, 1, 1)
            if step == 1 and channels == out:
                nodes.append(helper.make_node("Add", [x, y], [f"{name}.sum"]))
                y = f"{name}.sum"
            x, channels = y, out
    x = relu(conv("head", x, channels, 1280, 1, 1, 1))
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["pool"]))
    x = conv("scores", "pool", 1280, 1000, 1, 1, 1)
    nodes.append(helper.make_node("Flatten", [x], ["answer"]))
    graph = helper.make_graph(
        nodes,
        _NAME,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, 1000])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
