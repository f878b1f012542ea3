"""Strict JSON says what it refuses, at exactly its limits."""

from __future__ import annotations

import pytest

from edge.policy.signed import strict_json

LIMITS = {"max_bytes": 60, "max_depth": 3, "max_parts": 6}


def load(text):
    return strict_json.load(text, **LIMITS)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"7", 7),
        (b'"a"' + b" " * 57, "a"),
        (b"[[1]]", [[1]]),
        (b'{"a": {"b": 1}}', {"a": {"b": 1}}),
        (b"[1,2,3,4,5,6]", [1, 2, 3, 4, 5, 6]),
        (b"9007199254740991", 2**53 - 1),
        (b"-9007199254740991", 1 - 2**53),
        (b"1.5", 1.5),
        (b'{"a": 1, "b": 1}', {"a": 1, "b": 1}),
    ],
)
def test_what_every_reader_agrees_on_is_read(text, value):
    assert load(text) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b'"a"' + b" " * 58, "at most 60 bytes, got 61"),
        (b"[[[1]]]", "nested deeper than 3 levels"),
        (b'{"a": {"b": {"c": 1}}}', "nested deeper than 3 levels"),
        (b"[1,2,3,4,5,6,7]", "at most 6 parts, got 7"),
        (b"9007199254740992", "out of range"),
        (b"-9007199254740992", "out of range"),
        (b"1" * 50, "out of range"),
        (b"1e999", "out of range"),
        (b"-1e999", "out of range"),
        (b"NaN", "NaN is not a number"),
        (b"-Infinity", "-Infinity is not a number"),
        (b'{"a": 1, "a": 1}', "key 'a' given twice"),
        (b'"\\ud800"', "surrogates not allowed"),
        (b'{"\\ud800": 1}', "surrogates not allowed"),
        (b'["\\ud800"]', "surrogates not allowed"),
        (b"\xff", "utf-8"),
        (b"", "Expecting value"),
    ],
)
def test_what_two_readers_could_take_differently_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        load(text)


def test_nesting_beyond_the_parsers_own_depth_is_refused():
    with pytest.raises(ValueError, match="nested deeper than 3 levels"):
        strict_json.load(b"[" * 19_000 + b"]" * 19_000, max_bytes=40_000, max_depth=3)
