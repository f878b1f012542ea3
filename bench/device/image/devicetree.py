"""Reads and changes a flattened device tree, the table of parts that a kernel is given.

Form: the Devicetree Specification, chapter 5.
"""

from __future__ import annotations

import struct

from edge.errors import UsageError

_MAGIC = 0xD00DFEED
_BEGIN, _END, _PROPERTY, _NOP = 1, 2, 3, 4


def with_timer_hz(tree: bytes, hz: int) -> bytes:
    """The same tree, which tells the kernel that the processor's timer counts `hz` a second.

    Linux believes the tree more than the processor. If the timer is said to count faster than
    it does, the kernel's seconds become longer: the processor executes more in one of them.

    Raises:
        UsageError: this is no device tree, or it has no such timer.
    """
    head = list(struct.unpack_from(">10I", tree)) if len(tree) >= 40 else [0]
    if head[0] != _MAGIC:
        raise UsageError("expected a flattened device tree from the emulator")
    _, _, at_structure, at_strings, _, _, _, _, strings_size, structure_size = head
    structure = tree[at_structure : at_structure + structure_size]
    strings = tree[at_strings : at_strings + strings_size]
    place = _after_name(structure, b"timer")
    added = struct.pack(">4I", _PROPERTY, 4, len(strings), hz)
    structure = structure[:place] + added + structure[place:]
    strings += b"clock-frequency\0"
    body = tree[40:at_structure]  # the reserved memory; the other two blocks follow it
    head[2], head[3] = 40 + len(body), 40 + len(body) + len(structure)
    head[1], head[8], head[9] = head[3] + len(strings), len(strings), len(structure)
    return struct.pack(">10I", *head) + body + structure + strings


def _after_name(structure: bytes, name: bytes) -> int:
    """Where the first property of the node `name` below the root stands."""
    at, depth = 0, 0
    while at + 4 <= len(structure):
        (token,) = struct.unpack_from(">I", structure, at)
        at += 4
        if token == _BEGIN:
            end = structure.index(b"\0", at)
            found, at, depth = structure[at:end], _aligned(end + 1), depth + 1
            if depth == 2 and found == name:
                return at
        elif token == _END:
            depth -= 1
        elif token == _PROPERTY:
            (length,) = struct.unpack_from(">I", structure, at)
            at = _aligned(at + 8 + length)
        elif token != _NOP:
            break
    raise UsageError(f"expected a node {name.decode()} in the emulator's device tree")


def _aligned(at: int) -> int:
    return at + -at % 4
