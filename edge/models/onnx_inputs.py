"""An ONNX model's inputs and outputs written anew, from its bytes alone.

Some models were exported for one odd picture size, and list their weights among
their inputs, where an engine takes them for something a caller may replace and
folds nothing. `resized` gives such a model the input size it is to be run at and
leaves its nodes and weights byte for byte as they are. Protobuf is walked by hand
(field numbers of onnx.proto3, ONNX 1.17), like in `edge.models.onnx_file`.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.errors import ModelError
from edge.models.onnx_file import VALUE_NAME, field, fields, floats

_GRAPH = 7  # of a model
_INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 5, 11, 12, 13  # of a graph
_TENSOR_NAME = 8


def resized(data: bytes, shape: Sequence[int | str]) -> bytes:
    """The model with its one input, of floats, as large as `shape`; a word is a size left free.

    Sizes that the file tells of outputs and of what lies between are left out: they
    belong to the old input, and an engine works them out.

    Raises:
        ModelError: not a model, or not one with a single input besides its weights.
    """
    out = b""
    for number, value in fields(memoryview(data)):
        if number == _GRAPH and isinstance(value, memoryview):
            value = memoryview(_graph(value, shape))
        out += field(number, value)
    return out


def _graph(graph: memoryview, shape: Sequence[int | str]) -> bytes:
    parts = [(number, value) for number, value in fields(graph) if number != _VALUE_INFO]
    weights = {_name(value, _TENSOR_NAME) for number, value in parts if number == _INITIALIZER}
    named = [_name(value, VALUE_NAME) for number, value in parts if number == _INPUT]
    inputs = [name for name in named if name not in weights]
    if len(inputs) != 1:
        raise ModelError(f"is no usable ONNX model: expected one input, got {len(inputs)}")
    kept = [field(n, v) for n, v in parts if n not in (_INPUT, _OUTPUT)]
    kept.append(field(_INPUT, floats(inputs[0], shape)))
    for number, value in parts:
        if number == _OUTPUT:
            kept.append(field(_OUTPUT, floats(_name(value, VALUE_NAME), None)))
    return b"".join(kept)


def _name(message: memoryview | int, wanted: int) -> bytes:
    if isinstance(message, memoryview):
        for number, value in fields(message):
            if number == wanted and isinstance(value, memoryview):
                return bytes(value)
    return b""
