"""TOML: one bounded reader (a byte-order mark is allowed), and how a value is written."""

from __future__ import annotations

import json
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from edge.errors import UsageError


def toml_value(value: object) -> str:
    """A string, number, truth, list of them, or table of all these as TOML writes it, in a line.

    JSON's escapes are not TOML's: beyond U+FFFF it writes two halves, which TOML
    refuses, and U+007F as it is.

    Raises:
        UsageError: a text that is no Unicode, such as a name with a byte of its own.
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{toml_value(k)} = {toml_value(v)}' for k, v in value.items())}}}"
    written = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    try:
        written.encode()
    except UnicodeEncodeError:
        raise UsageError(f"expected text in UTF-8, got {value!r}") from None
    return written


def parse_toml(data: bytes, most_bytes: int) -> dict[str, Any]:
    """The tables in `data`.

    Raises:
        ValueError: too large, no UTF-8, no TOML, or nested too deeply; one line says which.
    """
    if len(data) > most_bytes:
        raise ValueError(f"expected at most {most_bytes} bytes")
    try:
        found: dict[str, Any] = tomllib.loads(text_of(data))
    except tomllib.TOMLDecodeError as err:
        raise ValueError(f"not TOML: {err}") from err
    except RecursionError:
        raise ValueError("not TOML: nested too deeply") from None
    return found


def text_of(data: bytes) -> str:
    """`data` as text, without the mark that some editors begin a file with.

    Raises:
        ValueError: no UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise ValueError(f"expected UTF-8 text: {err.reason} at byte {err.start}") from err
