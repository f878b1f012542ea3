"""What the guard's processes say to each other: one table of tags, typed values as JSON.

Every message on every channel begins with one byte of `Tag`. Messages made for
each frame are packed structs (`edge.frames.messages`, `edge.lease`, the samples of
`edge.evidence.board_link`); all others are frozen dataclasses that `pack` and
`unpack` carry as JSON. The settings of a process travel the same way.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, TypeVar

from edge.errors import GuardError

T = TypeVar("T")
_ALIKE = frozenset({str, int, float, bool, type(None)})  # the same in JSON


class Tag(IntEnum):
    """The first byte of every message between the guard's processes."""

    CAPTURED = 1  # capture -> gate
    SOURCE_END = 2  # capture -> gate -> decider
    FREED = 3  # gate -> capture
    NOTED = 4  # gate -> decider, as are OFFERED, ENDED and COMPARED
    OFFERED = 5
    RETURNED = 6  # decider -> gate
    ENDED = 8
    COMPARED = 9
    RESOLVED = 10  # gate -> parent
    MASK = 11  # decider -> gate: where people may be, `edge.masking.message`
    HELLO = 16  # capture -> parent: the camera is there
    POOL_SIZE = 17  # parent -> capture
    GO = 18  # parent -> capture: everybody is ready
    READY = 19  # gate, decider -> parent
    FAILED = 20  # capture, decider -> parent: it cannot start, and why
    TOKEN = 21  # parent -> gate: what the next matcher shows
    ESCAPE = 22  # parent -> decider: the matcher tried to leave its sandbox
    OVER = 23  # gate -> parent: the stream ended, every frame has its final word
    MATCHER_CONNECTED = 24  # gate -> parent
    STREAM_STATE = 25  # parent -> gate: the state for a matcher that waits
    MATCHER_RESULT = 26  # gate -> parent, as is RESULT_REFUSED
    RESULT_REFUSED = 27
    SOURCE_NOTE = 28  # capture -> parent: what of a recording was not given
    READINGS = 32  # decider -> parent, as is all that follows
    OUTLOOK = 33
    REVOKED = 34
    WROTE = 35
    CHECKPOINT = 36
    CLAIM = 48  # decider -> bridge
    FLOORS = 49  # both ways
    BOARD_STATUS = 50  # bridge -> decider
    BOARD_SAMPLE = 51  # bridge -> decider
    LEASE = 70  # decider -> gate, "FGL1" and "FGR1": leases and revocations


def pack(tag: Tag, message: Any) -> bytes:
    """A frozen dataclass as one message."""
    return bytes([tag]) + to_json(message).encode()


def unpack(data: bytes, kinds: dict[Tag, type[Any]]) -> Any:
    """The message in `data`, one of the `kinds` that this channel carries.

    Raises:
        GuardError: no whole message of these kinds.
    """
    kind = kinds.get(Tag(data[0])) if data and data[0] in Tag._value2member_map_ else None
    if kind is None:
        names = ", ".join(tag.name for tag in kinds)
        came = f"tag {data[0]}" if data else "nothing"
        raise GuardError(f"expected a message of {names} between processes, got {came}")
    return from_json(kind, data[1:].decode(errors="replace"))


def to_json(value: Any) -> str:
    """A frozen dataclass as JSON."""
    return json.dumps(_plain(value))


def from_json(kind: type[T], text: str) -> T:
    """The dataclass of this kind in `text`.

    Raises:
        GuardError: not JSON, or a field is missing, unknown or of another type.
    """
    try:
        found: T = _reader(typing.cast(Any, kind))(json.loads(text))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as err:
        raise GuardError(f"malformed {kind.__name__} between processes: {err}") from err
    return found


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _ALIKE:
        return value
    if kind is tuple:
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in _names(typing.cast(Any, kind))}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Path):
        return str(value)
    return value


@functools.cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@functools.cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What makes a `kind` of what `_plain` made of it.

    Worked out once: to look at types takes several times as long as a message.
    """
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):  # only "or None" is used
        inner = _reader(next(part for part in typing.get_args(kind) if part is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        return _tuple_reader(typing.get_args(kind))
    if dataclasses.is_dataclass(kind):
        return _fields_reader(kind)
    if kind is bytes:
        return functools.partial(base64.b64decode, validate=True)
    if isinstance(kind, type) and issubclass(kind, (Enum, Path)):
        return kind

    def read(value: Any) -> Any:
        if type(value) is kind:
            return value
        if kind is float and type(value) is int:
            return float(value)
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")

    return read


def _tuple_reader(parts: tuple[Any, ...]) -> Callable[[Any], Any]:
    many = parts[-1] is Ellipsis
    readers = [_reader(part) for part in (parts[:1] if many else parts)]

    def read(values: Any) -> Any:
        if type(values) is not list:
            raise TypeError(f"expected a list, got {type(values).__name__}")
        if many:
            return tuple(map(readers[0], values))
        return tuple(reader(value) for reader, value in zip(readers, values, strict=True))

    return read


def _fields_reader(kind: Any) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(kind)
    readers = {name: _reader(hints[name]) for name in _names(kind)}
    names = readers.keys()

    def read(value: Any) -> Any:
        if type(value) is not dict or value.keys() != names:
            came = sorted(value) if type(value) is dict else type(value).__name__
            raise TypeError(f"{kind.__name__}: expected the fields {sorted(names)}, got {came}")
        return kind(**{name: reader(value[name]) for name, reader in readers.items()})

    return read
