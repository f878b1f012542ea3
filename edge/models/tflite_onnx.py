"""A segmentation network of TensorFlow Lite, written as an ONNX model.

So one engine runs every model. The weights are those of the file, widened from float16
to float32, which loses nothing; only their order changes, because ONNX keeps channels
before rows and columns. The same file always gives the same bytes. Operators other than
those of MediaPipe's selfie segmentation are refused. Operators and attributes are those
of ONNX 1.17, operator set 14; protobuf field numbers those of onnx.proto3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

from edge.errors import ModelError
from edge.models.onnx_file import FLOAT, field, floats
from edge.models.tflite_file import Graph, Operator, Table, read

INPUT, OUTPUT = "picture", "mask"
_IR_VERSION, _OPERATOR_SET = 7, 14
_INT64 = 7  # element type
_ADD, _AVERAGE_POOL, _CONV, _DEPTHWISE, _DEQUANTIZE = 0, 1, 3, 4, 6
_LOGISTIC, _MUL, _RELU, _RESIZE, _CUSTOM, _MEAN, _HARD_SWISH = 14, 18, 19, 23, 32, 40, 117
_TRANSPOSED = "Convolution2DTransposeBias"  # of MediaPipe; options: padding, strides
_PLAIN = {_ADD: "Add", _MUL: "Mul", _LOGISTIC: "Sigmoid", _RELU: "Relu", _HARD_SWISH: "HardSwish"}
_FUSED = {_ADD: 0, _MUL: 0, _CONV: 3, _DEPTHWISE: 4, _AVERAGE_POOL: 5}  # field of the options
_SAME_UPPER, _VALID = b"SAME_UPPER", b"VALID"
Attribute = int | bytes | Sequence[int]


def convert(data: bytes) -> bytes:
    """The model in `data` as ONNX: input `INPUT`, (1, 3, H, W), output `OUTPUT`, both float32.

    Raises:
        ModelError: not a TensorFlow Lite file, or not a network of this kind.
    """
    graph = read(data)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError("is no segmentation network: expected one input and one output")
    parts = _Converter(graph).parts()
    return b"".join(
        (field(1, _IR_VERSION), field(7, b"".join(parts)), field(8, field(2, _OPERATOR_SET)))
    )


class _Converter:
    """Writes one graph; each value is named after its index in the file."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._constants = {i: t.constant for i, t in enumerate(graph.tensors)}
        self._nodes: list[bytes] = []
        self._weights: list[bytes] = []
        self._names = {graph.inputs[0]: INPUT, graph.outputs[0]: OUTPUT}

    def parts(self) -> list[bytes]:
        """The fields of a GraphProto."""
        for operator in self._graph.operators:
            self._operator(operator)
        shape = self._graph.tensors[self._graph.inputs[0]].shape
        if len(shape) != 4:
            raise ModelError(f"is no segmentation network: input of shape {shape}")
        taken = floats(INPUT.encode(), (shape[0], shape[3], shape[1], shape[2]))
        return [
            *(field(1, node) for node in self._nodes),
            field(2, b"graph"),
            *(field(5, weight) for weight in self._weights),
            field(11, taken),
            field(12, floats(OUTPUT.encode(), None)),
        ]

    def _operator(self, operator: Operator) -> None:
        code, options = operator.code, operator.options
        fused = _FUSED.get(code)
        if fused is not None and options is not None and options.number(fused, "b"):
            raise ModelError(f"is no segmentation network: operator {code} with an activation")
        if code == _DEQUANTIZE:
            self._constants[operator.outputs[0]] = self._constant(operator, 0).astype(np.float32)
        elif code in _PLAIN:
            self._node(_PLAIN[code], operator, [self._name(i) for i in operator.inputs])
        elif code in (_AVERAGE_POOL, _MEAN):
            self._mean(operator)
        elif code in (_CONV, _DEPTHWISE) and options is not None:
            self._convolution(operator, options, depthwise=code == _DEPTHWISE)
        elif code == _RESIZE and options is not None:
            self._resize(operator, options)
        elif code == _CUSTOM and operator.name == _TRANSPOSED:
            self._transposed(operator)
        else:
            what = operator.name or str(code)
            raise ModelError(f"is no segmentation network: operator {what} is not known")

    def _mean(self, operator: Operator) -> None:
        """A mean over the whole picture, whichever way the file says so."""
        shape = self._graph.tensors[operator.outputs[0]].shape
        if len(shape) != 4 or shape[1:3] != (1, 1):
            raise ModelError("is no segmentation network: a mean over part of the picture")
        self._node("GlobalAveragePool", operator, [self._name(operator.inputs[0])])

    def _convolution(self, operator: Operator, options: Table, *, depthwise: bool) -> None:
        weights = self._constant(operator, 1)
        dilation = 5 if depthwise else 4
        if weights.ndim != 4 or {options.number(dilation + i, "i", 1) for i in (0, 1)} != {1}:
            raise ModelError("is no segmentation network: a convolution of another kind")
        order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
        attributes: dict[str, Attribute] = {
            "auto_pad": _VALID if options.number(0, "b") else _SAME_UPPER,
            "strides": (options.number(2, "i"), options.number(1, "i")),
            "group": weights.shape[3] if depthwise else 1,
        }
        self._weighted("Conv", operator, weights.transpose(order), attributes)

    def _transposed(self, operator: Operator) -> None:
        weights = self._constant(operator, 1)
        if len(operator.custom) != 12 or weights.ndim != 4:
            raise ModelError("is no segmentation network: a transposed convolution without options")
        _, across, down = struct.unpack("<3i", operator.custom)
        if weights.shape[1:3] != (down, across):  # then neither padding nor overlap
            raise ModelError("is no segmentation network: a transposed convolution that overlaps")
        strides: dict[str, Attribute] = {"strides": (down, across)}
        self._weighted("ConvTranspose", operator, weights.transpose(3, 0, 1, 2), strides)

    def _resize(self, operator: Operator, options: Table) -> None:
        if options.number(2, "b") or not options.number(3, "b"):
            raise ModelError("is no segmentation network: resizing by corners")
        size = self._graph.tensors[operator.outputs[0]].shape
        shape = np.array([size[0], size[3], size[1], size[2]], np.int64)
        name = f"size{operator.outputs[0]}"
        self._weights.append(_tensor(name, shape, _INT64))
        modes = {"mode": b"linear", "coordinate_transformation_mode": b"half_pixel"}
        self._node("Resize", operator, [self._name(operator.inputs[0]), "", "", name], modes)

    def _weighted(
        self,
        kind: str,
        operator: Operator,
        weights: np.ndarray,
        attributes: Mapping[str, Attribute],
    ) -> None:
        names = [self._name(operator.inputs[0])]
        for role, held in (("weights", weights), ("bias", self._constant(operator, 2))):
            names.append(f"{role}{operator.outputs[0]}")
            self._weights.append(_tensor(names[-1], held.astype(np.float32), FLOAT))
        self._node(kind, operator, names, attributes)

    def _constant(self, operator: Operator, place: int) -> np.ndarray:
        found = None
        if place < len(operator.inputs):
            found = self._constants[operator.inputs[place]]
        if found is None:
            raise ModelError("is no segmentation network: a weight that is not in the file")
        return found

    def _name(self, index: int) -> str:
        if self._constants[index] is not None:
            raise ModelError("is no segmentation network: a constant where a picture is expected")
        return self._names.get(index, f"t{index}")

    def _node(
        self,
        kind: str,
        operator: Operator,
        inputs: Sequence[str],
        attributes: Mapping[str, Attribute] | None = None,
    ) -> None:
        written = b"".join(field(1, name.encode()) for name in inputs)
        written += field(2, self._name(operator.outputs[0]).encode()) + field(4, kind.encode())
        for name, value in (attributes or {}).items():
            written += field(5, _attribute(name, value))
        self._nodes.append(written)


def _attribute(name: str, value: Attribute) -> bytes:
    """An AttributeProto: an integer, a string, or a list of integers."""
    head = field(1, name.encode())
    if isinstance(value, bytes):
        return head + field(4, value) + field(20, 3)
    if isinstance(value, int):
        return head + field(3, value) + field(20, 2)
    return head + b"".join(field(8, int(item)) for item in value) + field(20, 7)


def _tensor(name: str, held: np.ndarray, kind: int) -> bytes:
    """A TensorProto."""
    sizes = b"".join(field(1, size) for size in held.shape)
    raw = np.ascontiguousarray(held).astype(held.dtype.newbyteorder("<")).tobytes()
    return sizes + field(2, kind) + field(8, name.encode()) + field(9, raw)
