"""A TensorFlow Lite file read from its bytes alone: its operators, tensors and constants.

The file is a FlatBuffer (identifier `TFL3`). A table begins with the distance back to its
list of offsets; a field that the list leaves out has its default value. Numbers of tables
and fields are those of schema.fbs (TensorFlow Lite schema 3). Only what
`edge.models.tflite_onnx` needs is read. Pinned files are read here, but every offset is
checked all the same: damaged bytes are a `ModelError`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.errors import ModelError, wrong_in

_IDENTIFIER = b"TFL3"
_CUSTOM = 32  # builtin code of an operator that has only a name
_TYPES = {0: np.float32, 1: np.float16, 2: np.int32}
_SIZES = {"b": 1, "B": 1, "H": 2, "i": 4, "I": 4}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value of the graph."""

    shape: tuple[int, ...]
    constant: np.ndarray | None  # None where an operator computes it


@dataclass(frozen=True, slots=True)
class Operator:
    """One step; `inputs` and `outputs` are indices of tensors."""

    code: int  # of BuiltinOperator in schema.fbs
    name: str  # of a custom operator; otherwise empty
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None
    custom: bytes  # options of a custom operator


@dataclass(frozen=True, slots=True)
class Graph:
    """The only graph of a file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]  # in the order in which they run
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a FlatBuffer: fields by their number."""

    data: bytes
    at: int

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """An integer field; `kind` is its letter of `struct`."""
        where = self._where(field)
        return default if where is None else _number(self.data, where, kind)

    def table(self, field: int) -> Table | None:
        where = self._where(field)
        return None if where is None else Table(self.data, _follow(self.data, where))

    def tables(self, field: int) -> list[Table]:
        """A list of tables."""
        start, count = self._list(field, 4)
        return [Table(self.data, _follow(self.data, start + 4 * i)) for i in range(count)]

    def numbers(self, field: int) -> tuple[int, ...]:
        """A list of 32-bit integers."""
        start, count = self._list(field, 4)
        return struct.unpack_from(f"<{count}i", self.data, start)

    def bytes(self, field: int) -> bytes:
        start, count = self._list(field, 1)
        return self.data[start : start + count]

    def _where(self, field: int) -> int | None:
        offsets = self.at - _number(self.data, self.at, "i")
        slot = 4 + 2 * field
        if slot + 2 > _number(self.data, offsets, "H"):
            return None
        distance = _number(self.data, offsets + slot, "H")
        return self.at + distance if distance else None

    def _list(self, field: int, size: int) -> tuple[int, int]:
        where = self._where(field)
        if where is None:
            return 0, 0
        where = _follow(self.data, where)
        count = _number(self.data, where, "I")
        if where + 4 + count * size > len(self.data):
            raise ModelError("is no usable TensorFlow Lite model: it is cut short")
        return where + 4, count


def read(data: bytes) -> Graph:
    """The graph of the model in `data`.

    Raises:
        ModelError: the bytes are no such file, it has several graphs, or a constant is of
            a type other than float32, float16 or int32.
    """
    if data[4:8] != _IDENTIFIER:
        raise ModelError("is no usable TensorFlow Lite model: it has another identifier")
    model = Table(data, _follow(data, 0))
    graphs = model.tables(2)
    if len(graphs) != 1:
        raise ModelError(f"is no usable TensorFlow Lite model: {len(graphs)} graphs, expected one")
    (graph,), buffers, codes = graphs, model.tables(4), model.tables(1)
    tensors = tuple(_tensor(table, buffers) for table in graph.tables(0))
    operators = tuple(_operator(table, codes, len(tensors)) for table in graph.tables(3))
    return Graph(tensors, operators, graph.numbers(1), graph.numbers(2))


def _tensor(table: Table, buffers: list[Table]) -> Tensor:
    shape = table.numbers(0)
    held = _at(buffers, table.number(2, "I"), "buffer").bytes(0)
    if not held:
        return Tensor(shape, None)
    kind: Any = _TYPES.get(table.number(1, "b"))
    if kind is None:
        raise ModelError("is no usable TensorFlow Lite model: a constant of an unknown type")
    with wrong_in("is no usable TensorFlow Lite model: a constant", ValueError, as_=ModelError):
        return Tensor(shape, np.frombuffer(held, kind).reshape(shape))


def _operator(table: Table, codes: list[Table], tensors: int) -> Operator:
    kind = _at(codes, table.number(0, "I"), "operator")
    code = max(kind.number(0, "b"), kind.number(3, "i"))  # the older field ends at 127
    inputs, outputs = table.numbers(1), table.numbers(2)
    if not outputs or any(not 0 <= index < tensors for index in (*inputs, *outputs)):
        raise ModelError("is no usable TensorFlow Lite model: an operator without its tensors")
    name = kind.bytes(1).decode(errors="replace") if code == _CUSTOM else ""
    return Operator(code, name, inputs, outputs, table.table(4), table.bytes(5))


def _at(tables: list[Table], index: int, what: str) -> Table:
    if index >= len(tables):
        raise ModelError(f"is no usable TensorFlow Lite model: {what} {index} is not there")
    return tables[index]


def _follow(data: bytes, at: int) -> int:
    """Where the offset at `at` leads."""
    return at + _number(data, at, "I")


def _number(data: bytes, at: int, kind: str) -> int:
    if not 0 <= at <= len(data) - _SIZES[kind]:
        raise ModelError("is no usable TensorFlow Lite model: an offset leads outside")
    found: int = struct.unpack_from("<" + kind, data, at)[0]
    return found
