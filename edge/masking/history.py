"""The gate's end of masking: which mask a frame leaves through, or that it still has to wait.

A fixed mask lies over every frame of every lane. Where people are masked too, a
frame waits until a mask covers its capture, made from a look before it and one
after it. If none comes in time, the frame leaves as a grid. There is no answer
by which it leaves as it is.
"""

from __future__ import annotations

from collections import deque

from edge.cameras.layout import Layout
from edge.clock import MS
from edge.masking import people, polygons
from edge.masking.mask import Mask, everything, nothing
from edge.masking.noise import Noise
from edge.masking.people import PeopleMask
from edge.masking.polygons import MaskRules

PATIENCE_NS = 400 * MS  # a frame waits for its mask; the gate gives frames up after 500 ms
KEPT = 16  # masks; the newest cover a second and more


class MaskHistory:
    """Holds the masks that the decider sent, for one picture size."""

    def __init__(
        self,
        height: int,
        width: int,
        rules: MaskRules,
        random: bytes,
        *,
        people_too: bool,
        layout: Layout = Layout.BGR,
    ) -> None:
        """Begin with no mask of people: until one comes, what waits too long is a grid.

        Args:
            random: for the noise, see `edge.masking.noise.Noise`.
            people_too: people are masked, not only what the record's polygons cover.
            layout: of the pictures that the masks are for.
        """
        fixed, noise = polygons.levels(rules.polygons, height, width), Noise(random, height, width)
        self._size = height, width
        self._fixed, self._noise = fixed, noise
        self._plain = nothing(height, width).over(fixed)
        self._grid = everything(height, width, noise).over(fixed)
        self._people_too, self._layout = people_too, layout
        self._masks: deque[tuple[PeopleMask, Mask]] = deque(maxlen=KEPT)

    @property
    def plain(self) -> bool:
        """Whether every frame leaves as it is."""
        return self._plain.clear and not self._people_too

    def receive(self, mask: PeopleMask) -> None:
        """Take a mask; one that is older than another changes nothing."""
        if not self._people_too or (self._masks and mask.from_ns < self._masks[-1][0].from_ns):
            return
        found = Mask(*self._size, people.levels(mask, *self._size), self._noise).over(self._fixed)
        found.plan(self._layout)  # made now, once, and not when a frame waits
        self._masks.append((mask, found))

    def forget(self) -> None:
        """Something was wrong with what was heard: every frame is a grid until more comes."""
        self._masks.clear()

    def of(self, captured_ns: int, now_ns: int) -> Mask | None:
        """The mask for a frame; None: it must wait."""
        if not self._people_too:
            return self._plain
        for people_mask, mask in self._masks:
            if people_mask.from_ns <= captured_ns <= people_mask.to_ns:
                return mask
        if now_ns - captured_ns > PATIENCE_NS or self._passed_over(captured_ns):
            return self._grid
        return None

    def _passed_over(self, captured_ns: int) -> bool:
        """Whether a newer look came: no mask will cover the frame any more."""
        return bool(self._masks) and captured_ns < self._masks[-1][0].from_ns
