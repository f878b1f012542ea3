"""Faults of a serial line: each is a function from one written chunk to the chunks that arrive.

A fault keeps its own memory (what it holds back, how often it struck), so each
use makes a fresh one: `faults.drop()`.
"""

from __future__ import annotations

import random
from collections.abc import Callable

LineFault = Callable[[bytes], list[bytes]]


def none() -> LineFault:
    """A line as it should be."""
    return lambda chunk: [chunk]


def drop() -> LineFault:
    """Nothing arrives."""
    return lambda chunk: []


def repeat() -> LineFault:
    """Everything arrives twice."""
    return lambda chunk: [chunk, chunk]


def flip_one_bit() -> LineFault:
    """One bit of each chunk arrives wrong, another one each time."""
    rng = random.Random(7)

    def flip(chunk: bytes) -> list[bytes]:
        if not chunk:
            return [chunk]
        changed = bytearray(chunk)
        bit = rng.randrange(len(changed) * 8)
        changed[bit // 8] ^= 1 << bit % 8
        return [bytes(changed)]

    return flip


def cut() -> LineFault:
    """Only the first half of each chunk arrives."""
    return lambda chunk: [chunk[: len(chunk) // 2]]


def delay(chunks: int = 8) -> LineFault:
    """Each chunk arrives only when `chunks` later ones have been written."""
    held: list[bytes] = []

    def hold(chunk: bytes) -> list[bytes]:
        held.append(chunk)
        return [held.pop(0)] if len(held) > chunks else []

    return hold


def one_byte_at_a_time() -> LineFault:
    """Every byte arrives by itself; nothing is lost."""
    return lambda chunk: [chunk[i : i + 1] for i in range(len(chunk))]


def line_noise() -> LineFault:
    """Random bytes arrive in front of and behind each chunk."""
    rng = random.Random(11)
    return lambda chunk: [rng.randbytes(40) + b"\0", chunk, rng.randbytes(40)]


def replace_with_garbage() -> LineFault:
    """Random bytes arrive in place of each chunk."""
    rng = random.Random(13)
    return lambda chunk: [rng.randbytes(max(len(chunk), 64))]


HARMLESS = (none, one_byte_at_a_time, repeat)  # whole packets still arrive in order
DEADLY = (drop, cut, flip_one_bit, replace_with_garbage)  # no whole packet arrives
