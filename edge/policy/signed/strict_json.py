"""JSON without the parts that two readers may take differently.

Refuses duplicate keys, NaN and infinities, numbers too large for exact
agreement, broken surrogates and deep nesting; sizes are bounded before parsing.
"""

from __future__ import annotations

import json
import math
from typing import Any

from edge.errors import meaning

_MAX_EXACT = 2**53 - 1  # largest whole number that JSON readers agree on


def load(text: bytes, *, max_bytes: int, max_depth: int, max_parts: int = 20_000) -> Any:
    """The value in `text`.

    Args:
        max_parts: brackets and commas, in texts too, that it may hold: a bound on
            the work before any is done.

    Raises:
        ValueError: not JSON of this kind; the message says what was found.
    """
    if len(text) > max_bytes:
        raise ValueError(f"expected at most {max_bytes} bytes, got {len(text)}")
    parts = sum(text.count(sign) for sign in (b"[", b"{", b","))
    if parts > max_parts:
        raise ValueError(f"expected at most {max_parts} parts, got {parts}")
    with meaning(f"nested deeper than {max_depth} levels", RecursionError, as_=ValueError):
        value = json.loads(
            text.decode(),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_exact,
        )
    _check(value, max_depth)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key[:40]!r} given twice")
        found[key] = value
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is out of range")
    return value


def _exact(text: str) -> int:
    value = int(text) if len(text) <= 17 else _MAX_EXACT + 1
    if abs(value) > _MAX_EXACT:
        raise ValueError(f"number {text[:40]} is out of range")
    return value


def _check(value: Any, max_depth: int) -> None:
    """Bound the depth level by level, and see that every text can be written again."""
    level = [value]
    for _ in range(max_depth):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str):
                item.encode()  # a lone surrogate is a ValueError
        if not below:
            return
        level = below
    raise ValueError(f"nested deeper than {max_depth} levels")
