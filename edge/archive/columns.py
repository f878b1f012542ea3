"""How tapes are stored: a few facts as JSON, then columns of numbers, each compressed by itself.

A file is the magic, the length of its head, the head (JSON: the facts, and each column's type,
shape and stored length), and the columns one after the other (zlib). Reading one takes a tenth
of the time of a NumPy archive of the same columns, which counts when hundreds of short
recordings are judged a second; any tool reads it with a JSON parser and zlib. Equal contents are
equal bytes.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"FGTAPE\x00\x01"
_HEAD = struct.Struct("<8sI")
_MOST_ROWS = 1 << 27  # half a year at 10 frames a second
_LEVEL = 6
UNREADABLE = (ValueError, LookupError, TypeError)  # what reading a damaged file raises


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of a column."""

    dtype: str  # little-endian, as NumPy spells it: "<i8"
    wide: int = 1  # numbers in a row


def pack(facts: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]) -> bytes:
    """The file of these facts and columns; the columns may have any little-endian type."""
    parts, places = [], []
    for name, column in columns.items():
        data = zlib.compress(np.ascontiguousarray(column).tobytes(), _LEVEL)
        places.append([name, column.dtype.newbyteorder("<").str, list(column.shape), len(data)])
        parts.append(data)
    head = json.dumps({"facts": facts, "columns": places}, separators=(",", ":")).encode()
    return b"".join([_HEAD.pack(_MAGIC, len(head)), head, *parts])


def unpack(
    data: bytes, format: int, kinds: Mapping[str, Kind]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The facts and columns of a file.

    Args:
        format: the number that its fact `format` must be.
        kinds: the columns that it must have.

    Raises:
        ValueError: it is no such file, of another format, or has other columns.
    """
    if len(data) < _HEAD.size or data[: len(_MAGIC)] != _MAGIC:
        raise ValueError("it does not begin as one")
    _, length = _HEAD.unpack_from(data)
    at = _HEAD.size + length
    try:
        head = json.loads(data[_HEAD.size : at])
        facts, places = head["facts"], head["columns"]
        named = [str(name) for name, *_ in places]
        columns: dict[str, NDArray[Any]] = {}
        for name, dtype, shape, size in places:
            columns[name] = _column(data[at : at + size], dtype, tuple(shape), kinds[name], name)
            at += size
    except (LookupError, TypeError, zlib.error) as err:
        raise ValueError(f"damaged: {err!r}") from err
    if at != len(data) or named != list(kinds) or not isinstance(facts, dict):
        raise ValueError("damaged: it ends early, goes on, or has other columns")
    if facts["format"] != format:
        raise ValueError(f"expected format {format}, got {facts['format']!r}")
    return facts, columns


def _column(data: bytes, dtype: str, shape: tuple[int, ...], kind: Kind, name: str) -> NDArray[Any]:
    wide = shape[1:] or (1,)
    if np.dtype(dtype) != np.dtype(kind.dtype) or wide != (kind.wide,):
        raise ValueError(f"column {name} is {dtype} {shape}")
    if not 0 <= shape[0] <= _MOST_ROWS:
        raise ValueError(f"column {name} has {shape[0]} rows")
    size = np.dtype(kind.dtype).itemsize * kind.wide * shape[0]
    inflate = zlib.decompressobj()
    plain = inflate.decompress(data, size + 1)
    if len(plain) != size or not inflate.eof:
        raise ValueError(f"column {name} has another length than its shape")
    return np.frombuffer(plain, kind.dtype).reshape(shape)


Value = TypeVar("Value", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Coded(Generic[Value]):
    """A column of things that are mostly the same: a table, and for each row its number there."""

    table: tuple[Value, ...]
    rows: NDArray[np.uint16]

    def __post_init__(self) -> None:
        if len(self.rows) and int(self.rows.max()) >= len(self.table):
            raise ValueError(f"a row names entry {self.rows.max()} of {len(self.table)}")

    def values(self) -> list[Value]:
        """Every row's value; equal ones are one object."""
        table = self.table
        return [table[row] for row in self.rows.tolist()]


def coded(values: Iterable[Value]) -> Coded[Value]:
    """The column of these values; the table is in the order in which they came."""
    numbers: dict[Value, int] = {}
    rows = [numbers.setdefault(value, len(numbers)) for value in values]
    return Coded(tuple(numbers), np.array(rows, np.uint16))
