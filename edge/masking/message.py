"""The mask as one message of the decider to the gate: from when to when, and the places."""

from __future__ import annotations

import struct

from edge.errors import GuardError
from edge.masking.blocks import COARSEST
from edge.masking.people import MOST_PLACES, PeopleMask, Place
from edge.wire import Tag

_HEAD = struct.Struct("<BqqB")  # tag, from_ns, to_ns, whether it is the whole picture
_PLACE = struct.Struct("<Bhhhh")  # level, then pixels
_FAR = 32_767  # pixels; nothing of a picture lies beyond


def encode(mask: PeopleMask) -> bytes:
    """The message; places are rounded outward to whole pixels."""
    head = _HEAD.pack(Tag.MASK, mask.from_ns, mask.to_ns, mask.places is None)
    return head + b"".join(
        _PLACE.pack(
            place.level,
            _pixel(place.left // 1),
            _pixel(place.top // 1),
            _pixel(-(-place.right // 1)),
            _pixel(-(-place.bottom // 1)),
        )
        for place in mask.places or ()
    )


def decode(data: bytes) -> PeopleMask:
    """The mask in `data`.

    Raises:
        GuardError: not a whole and sane message.
    """
    try:
        tag, from_ns, to_ns, whole = _HEAD.unpack_from(data)
        places = tuple(
            Place(level, *map(float, corners))
            for level, *corners in _PLACE.iter_unpack(data[_HEAD.size :])
        )
    except struct.error as err:
        raise GuardError(f"malformed mask of {len(data)} bytes between processes") from err
    sane = all(
        1 <= place.level <= COARSEST and place.left <= place.right and place.top <= place.bottom
        for place in places
    )
    known = tag == Tag.MASK and whole in (0, 1) and not (whole and places)
    if not known or not sane or len(places) > MOST_PLACES or from_ns >= to_ns:
        raise GuardError(f"malformed mask of {len(data)} bytes between processes")
    return PeopleMask(from_ns, to_ns, None if whole else places)


def _pixel(value: float) -> int:
    return int(max(-_FAR, min(_FAR, value)))
