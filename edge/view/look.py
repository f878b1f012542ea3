"""What the sentinel found in one frame: the value that gate, decider and replay share."""

from __future__ import annotations

from typing import NamedTuple


class Look(NamedTuple):
    """What one glance found; a named tuple because one is made for every frame."""

    view_score: float  # share of enrolled signs that agree, 0 to 1; 0.0 if too few to judge
    mean: float  # of the thumbnail, 0 to 255
    std: float
    sharpness: float  # mean absolute Laplacian of the thumbnail
    difference: float  # mean absolute change from the previous thumbnail; 255 at the first
    digest: int  # CRC-32 of the thumbnail: the same for the same pixels
    malformed: bool


MALFORMED = Look(0.0, 0.0, 0.0, 0.0, 255.0, 0, True)
