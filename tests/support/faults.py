"""Faults of a serial line, for tests; `framegate board test` uses the same ones."""

from firmware_bridge.checks.faults import (
    DEADLY,
    EVERY,
    HARMLESS,
    LineFault,
    cut,
    delay,
    drop,
    flip_one_bit,
    line_noise,
    none,
    one_byte_at_a_time,
    reorder,
    repeat,
    replace_with_garbage,
)

__all__ = [
    "DEADLY",
    "EVERY",
    "HARMLESS",
    "LineFault",
    "cut",
    "delay",
    "drop",
    "flip_one_bit",
    "line_noise",
    "none",
    "one_byte_at_a_time",
    "reorder",
    "repeat",
    "replace_with_garbage",
]
