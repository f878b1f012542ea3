"""Damage, drawn from a seed: bytes, text and the structure of JSON and of records."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

_BYTES = (
    b"",
    b"\0",
    b"\0" * 300,
    b"\xff" * 70,
    b"\n\n",
    b"\r\n\r\n",
    b"\xed\xa0\x80",  # a surrogate in UTF-8, which is none
    b"\xef\xbb\xbf",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"9" * 5000,
    b"-1e999",
    b"\xe2\x80\xae\x1b[2J",
    b"%s%n{0}{0!r:>999999}",
    b"../../../../etc/shadow\0",
)
_LITERALS = (
    *("[]", "{}", "[[]]", "[{}]", '""', '["", []]', "true", "0", "-1", "1e400", "nan", "-inf"),
    *("9223372036854775807", "99999999999999999999", "1979-05-27", "07:32:00", "[0x7fffffff]"),
    *('"\\u0000"', '"\\u202e"', "'../../etc'", "{a = {b = [1]}}", "[" * 400 + "]" * 400),
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    2**64,
    10**400,
    1.5,
    float("nan"),
    float("-inf"),
    "",
    "\ud800",
    "a\0b",
    "\u202e\x1b[2J",
    "x" * 70_000,
    [],
    {},
    [[]],
    {"": {}},
    ["0" * 64],
    "0" * 64,
)


def bytes_of(draw: random.Random, seeds: list[bytes]) -> bytes:
    """One of `seeds` after one to four changes."""
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(0, len(data))
        match draw.randrange(7):
            case 0 if data:
                data[at % len(data)] ^= 1 << draw.randrange(8)
            case 1:
                data[at:at] = draw.choice(_BYTES)
            case 2:
                del data[at : at + draw.randint(1, 40)]
            case 3:
                data[at:at] = draw.randbytes(draw.randint(1, 40))
            case 4:
                other = draw.choice(seeds)
                data[at:] = other[draw.randint(0, len(other)) :]
            case 5:
                data += data[:at]
            case _:
                data[at : at + 8] = draw.choice(_BYTES)[:2000]
    return bytes(data)


def json_of(draw: random.Random, seeds: list[Any]) -> bytes:
    """One of `seeds`, values of JSON, with one to three of its parts changed."""
    value = copy.deepcopy(draw.choice(seeds))
    for _ in range(draw.randint(1, 3)):
        value = _changed(draw, value)
    text = json.dumps(value).encode()
    return bytes_of(draw, [text]) if draw.random() < 0.1 else text


def _changed(draw: random.Random, value: Any) -> Any:
    odd: Callable[[], Any] = lambda: copy.deepcopy(draw.choice(_VALUES))  # noqa: E731
    if isinstance(value, dict) and value and draw.random() < 0.8:
        key = draw.choice(list(value))
        match draw.randrange(4):
            case 0:
                del value[key]
            case 1:
                value[draw.choice(("", "v", "\ud800", "x" * 900, key.upper()))] = odd()
            case _:
                value[key] = _changed(draw, value[key])
        return value
    if isinstance(value, list) and value and draw.random() < 0.7:
        at = draw.randrange(len(value))
        value[at] = _changed(draw, value[at])
        return value * draw.choice((1, 1, 1, 50))
    return odd()


def toml_of(draw: random.Random, text: str) -> bytes:
    """A record in which one or two values are replaced by values of any kind."""
    lines = text.splitlines()
    places = [at for at, line in enumerate(lines) if " = " in line]
    for at in draw.sample(places, draw.randint(1, 2)):
        lines[at] = f"{lines[at].partition(' = ')[0]} = {draw.choice(_LITERALS)}"
    data = "\n".join(lines).encode()
    return bytes_of(draw, [data]) if draw.random() < 0.3 else data
