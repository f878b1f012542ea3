"""Checks a result that the guard passed on, before it leaves the device.

The guard sends `{"subject": "0a1b2c3d" or null, "score": 0.93, "comparisons": 1}`
(`edge.sandbox.result_relay`). Who publishes it reads it anew and writes it anew, so
that nothing but these three values can go out. Without I/O and clock.
"""

from __future__ import annotations

import json
import re
from typing import Any

from edge.errors import UsageError, meaning
from framegate_client.results import MAX_BYTES, MOST_COMPARISONS, SCORES, SUBJECT_DIGITS

_SUBJECT = re.compile(f"[0-9a-f]{{{SUBJECT_DIGITS}}}")
_FIELDS = ("subject", "score", "comparisons")


def parsed(message: bytes, most_bytes: int) -> Any:
    """The value of a message in JSON.

    Raises:
        UsageError: it is none, or longer than `most_bytes`.
    """
    if len(message) > most_bytes:
        raise UsageError(f"expected at most {most_bytes} bytes, got {len(message)}")
    with meaning("expected one JSON object", ValueError, RecursionError):
        return json.loads(message)


def checked(message: bytes) -> bytes:
    """The same result, written anew: fixed order of fields, score rounded to 0.01.

    Raises:
        UsageError: it is no result as the guard passes it on. The message names the
            field, never its value.
    """
    found = parsed(message, MAX_BYTES)
    if not isinstance(found, dict) or set(found) != set(_FIELDS):
        raise UsageError(f"expected the fields {', '.join(_FIELDS)}, and no others")
    subject, score, comparisons = (found[name] for name in _FIELDS)
    if subject is not None and not (isinstance(subject, str) and _SUBJECT.fullmatch(subject)):
        raise UsageError(f"subject: expected null or {SUBJECT_DIGITS} hexadecimal digits")
    if type(score) not in (int, float) or not SCORES[0] <= score <= SCORES[1]:  # NaN is neither
        raise UsageError(f"score: expected a number, {SCORES[0]:g} to {SCORES[1]:g}")
    most = max(MOST_COMPARISONS.values())
    if type(comparisons) is not int or not 0 <= comparisons <= most:
        raise UsageError(f"comparisons: expected a whole number, 0 to {most}")
    written = {"subject": subject, "score": round(float(score), 2), "comparisons": comparisons}
    return json.dumps(written).encode()
