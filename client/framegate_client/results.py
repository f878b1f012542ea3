"""Results of a comparison: one small, fixed form for each kind of lane.

    {"subject": DIGEST or None, "score": 0.93, "comparisons": 1}

There is no field for text, lists or bytes, so a result has no room for a face template.
`subject` is a person whom the matcher has reported before (`compared`, `gallery`); the
guard passes on its first eight digits. A lane that does not identify has no subject and
no comparisons. Both ends use this module to check.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from framegate_client.errors import UsageError

MAX_BYTES = 256  # of one result as it travels
SUBJECT_DIGITS = 8  # of the digest, that the guard passes on
SCORES = (-2.0, 2.0)  # rounded to 0.01
MOST_COMPARISONS = {
    "verify_1_1": 4,
    "identify_1_n": 4096,
    "reidentify": 4096,
    "redact_selective": 4096,
}
_DIGEST = re.compile("[0-9a-f]{64}")
_FIELDS = ("subject", "score", "comparisons")


class Result(NamedTuple):
    """One result; `subject` is a whole digest, or None."""

    subject: str | None
    score: float
    comparisons: int


def result_of(lane: str, found: Any) -> Result:
    """The result in `found`, rounded as it will be passed on.

    Raises:
        UsageError: a field is missing, unknown, or not what the lane allows. The
            message names the field, never its value.
    """
    if not isinstance(found, Mapping) or set(found) != set(_FIELDS):
        raise UsageError(f"a result has the fields {', '.join(_FIELDS)}, and no others")
    subject, score, comparisons = (found[name] for name in _FIELDS)
    most = MOST_COMPARISONS.get(lane, 0)
    if subject is not None:
        if not most:
            raise UsageError(f"subject: lane {lane} identifies nobody; expected None")
        if not isinstance(subject, str) or not _DIGEST.fullmatch(subject):
            raise UsageError("subject: expected None or a digest of 64 hexadecimal digits")
    if type(score) not in (int, float) or not SCORES[0] <= score <= SCORES[1]:  # NaN is neither
        raise UsageError(f"score: expected a number, {SCORES[0]:g} to {SCORES[1]:g}")
    if type(comparisons) is not int or not min(most, 1) <= comparisons <= most:
        raise UsageError(f"comparisons: lane {lane} takes a whole number, {min(most, 1)} to {most}")
    return Result(subject, round(float(score), 2), comparisons)


def encode(result: Result) -> bytes:
    """A result as it travels to the guard."""
    return json.dumps({"result": result._asdict()}, separators=(",", ":")).encode()
