"""What an ONNX file keeps outside itself, read from its bytes alone.

A digest of the file says nothing of weights that lie in another one. ONNX marks
such a tensor with `data_location = EXTERNAL` and `external_data` (field numbers
of onnx.proto3, ONNX 1.17). Protobuf is walked by hand: no other file is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum

from edge.errors import ModelError

_DEPTH = 64  # graphs within graphs


class _Kind(Enum):
    MODEL = "model"
    GRAPH = "graph"
    NODE = "node"
    ATTRIBUTE = "attribute"
    FUNCTION = "function"
    TENSOR = "tensor"
    SPARSE = "sparse tensor"


_CHILDREN = {
    _Kind.MODEL: {7: _Kind.GRAPH, 25: _Kind.FUNCTION},
    _Kind.GRAPH: {1: _Kind.NODE, 5: _Kind.TENSOR, 15: _Kind.SPARSE},
    _Kind.NODE: {5: _Kind.ATTRIBUTE},
    _Kind.ATTRIBUTE: {
        5: _Kind.TENSOR,
        6: _Kind.GRAPH,
        10: _Kind.TENSOR,
        11: _Kind.GRAPH,
        22: _Kind.SPARSE,
        23: _Kind.SPARSE,
    },
    _Kind.FUNCTION: {7: _Kind.NODE, 11: _Kind.ATTRIBUTE},
    _Kind.SPARSE: {1: _Kind.TENSOR, 2: _Kind.TENSOR},
    _Kind.TENSOR: {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
VALUE_NAME = 1  # field of a ValueInfoProto
FLOAT = 1  # element type


def has_external_data(data: bytes) -> bool:
    """Whether the model in `data` takes a weight from another file.

    Raises:
        ModelError: the bytes are no protobuf message.
    """
    return _external(memoryview(data), _Kind.MODEL, 0)


def _external(message: memoryview, kind: _Kind, depth: int) -> bool:
    if depth > _DEPTH:
        raise ModelError(f"is no usable ONNX model: nested deeper than {_DEPTH}")
    children = _CHILDREN[kind]
    for number, value in fields(message):
        if kind is _Kind.TENSOR and number in (_EXTERNAL_DATA, _DATA_LOCATION) and value != 0:
            return True
        child = children.get(number)
        if child is None:
            continue
        if not isinstance(value, memoryview):
            raise ModelError(f"is no usable ONNX model: field {number} of a {kind.value}")
        if _external(value, child, depth + 1):
            return True
    return False


def fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Every field's number with its bytes, or its value where it is a number."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                value, at = _varint(message, at)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, at = _varint(message, at)
            case 5:
                size = 4
            case _:
                raise ModelError("is no usable ONNX model: not a protobuf message")
        if at + size > len(message):
            raise ModelError("is no usable ONNX model: it is cut short")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ModelError("is no usable ONNX model: it is cut short")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ModelError("is no usable ONNX model: a number of more than 64 bits")


def field(number: int, value: memoryview | bytes | int) -> bytes:
    """One field as bytes, the reverse of `fields`; a number is at least 0."""
    if isinstance(value, int):
        return _as_varint(number << 3) + _as_varint(value)
    return _as_varint(number << 3 | 2) + _as_varint(len(value)) + value


def floats(name: bytes, shape: Sequence[int | str] | None) -> bytes:
    """A ValueInfoProto: a tensor of floats.

    Args:
        shape: its size, in which a word is left free; None leaves all of it open.
    """
    tensor = field(1, FLOAT)
    if shape is not None:
        sizes = (field(1, s) if isinstance(s, int) else field(2, s.encode()) for s in shape)
        tensor += field(2, b"".join(field(1, size) for size in sizes))
    return field(VALUE_NAME, name) + field(2, field(1, tensor))


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
