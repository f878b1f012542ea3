"""Plays recordings through the masked lane and looks at what would have left.

Faces are looked for again in the clear frames, at twice as many pixels a side as
the guard looks at and with its usual confidence, and each is compared with the mask
its frame left through. It is the same kind of detector, so it shares the guard's
blind spots: what neither finds is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import cv2
import numpy as np

from edge.cameras.layout import Layout
from edge.cameras.opencv import FileCamera, Shot
from edge.clock import MS, S
from edge.commissioning.records import Device, Session
from edge.errors import GuardError
from edge.evaluation.masked.adversary import MIN_FACE_PX, Recogniser, same
from edge.evidence.faces import FaceBoxes, face_finder
from edge.lease import Lane
from edge.masking import people
from edge.masking.blocks import BLOCK_PX, whole
from edge.masking.mask import Mask
from edge.policy.engine import Policy
from edge.replay.engine import START_NS, Replay
from edge.view.box import Box

REFERENCE_SIZE = (960, 576)  # pixels, of the second look
SIZES = (12, 24, 48)  # face heights, pixels: the classes begin here
SAMPLES = 40  # frames looked at again, spread over a recording
LONGEST_NS = 12 * S  # of each recording
WILD_NS = 1_600 * MS  # frames flow from here on: the dwell, and what an opening may take
_GREY = 128  # a face that a plain grey picture is taken for is none that can be known again
MISSES = 6  # pictures kept of each recording
_WILD = Device(
    camera="body_worn",
    mount="worn_moving",
    lanes=(Lane.VIEW_MASKED,),
    dwell_s=1.0,
    user="private_business",
    by_or_for="neither",
    jurisdiction="EU",
)


@dataclass(slots=True)
class Found:
    """What one recording showed."""

    name: str
    due: int = 0  # frames after the dwell
    flowed: int = 0  # of those
    grids: int = 0  # of those, the whole picture a grid
    faces: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SIZES, 0))
    missed: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SIZES, 0))
    misses: list[np.ndarray] = field(default_factory=list)  # as they would have left, boxed
    left: np.ndarray | None = None  # a frame from the middle, as it would have left
    large: int = 0  # faces of `MIN_FACE_PX` and more
    detected: int = 0  # of those, that the recogniser's own detector finds in the clear
    masked_detected: int = 0  # and in the masked frame
    used: int = 0  # detected ones that it knows again, in the clear, from the sample before
    masked_used: int = 0  # of those, that it finds and knows again in the masked frame
    bare: int = 0  # told where each face is: those that it calls the same, in the clear
    masked_bare: int = 0  # of those, where masked
    grey_bare: int = 0  # of those, where the frame is plain grey: no face at all
    known: int = 0  # faces that the recogniser knows again in the next sample, and from all others
    masked_known: int = 0  # of those, taken for the same where that sample is masked
    masked_alone: int = 0  # of those, matched to no other person, as in the clear
    masked_others: int = 0  # masked faces taken for somebody else: what chance gives
    others: int = 0  # such pairs


class Screen:
    """An endpoint that keeps the mask of each frame that would have left."""

    listening = True

    def __init__(self) -> None:
        self.masks: dict[int, Mask] = {}
        self._mask: Mask | None = None

    def stage(self, frame: np.ndarray, mask: Mask) -> int:
        self._mask = mask
        return 0

    def publish(self, slot: int, frame: np.ndarray, captured_ns: int, epoch: int) -> int:
        assert self._mask is not None
        self.masks[captured_ns - START_NS] = self._mask
        return 0

    def wipe(self) -> None:
        """Nothing was kept."""


def measure(
    clips: Sequence[Path],
    face_model: Path,
    policy: Policy,
    recogniser: Recogniser | None,
    say: Callable[[str], None],
) -> tuple[list[Found], list[str]]:
    """Play every recording; also why some were skipped."""
    reference = FaceBoxes(face_model, REFERENCE_SIZE)
    found, skipped = [], []
    for number, path in enumerate(clips, 1):
        try:
            one = _play(path, face_finder(face_model, masking=True), reference, policy, recogniser)
        except GuardError as err:
            skipped.append(str(err))
            continue
        found.append(one)
        faces, missed = sum(one.faces.values()), sum(one.missed.values())
        say(
            f"[{number}/{len(clips)}] {one.name}: {one.flowed} of {one.due} frames flowed, "
            f"{one.grids} as a grid; {faces - missed} of {faces} faces covered"
        )
    return found, skipped


def _play(
    path: Path,
    faces: FaceBoxes,
    reference: FaceBoxes,
    policy: Policy,
    recogniser: Recogniser | None,
) -> Found:
    shots = _shots(path)
    screen = Screen()
    session = Session(Lane.VIEW_MASKED, "none")
    replay = Replay(_WILD, session, policy, None, faces, endpoint=screen)
    replay.run(shots, [])
    found = Found(path.name)
    due = [shot for shot in shots[:-1] if shot.captured_ns >= WILD_NS]
    flowed = [shot for shot in due if shot.captured_ns in screen.masks]
    found.due, found.flowed = len(due), len(flowed)
    found.grids = sum(_is_grid(screen.masks[shot.captured_ns]) for shot in flowed)
    if flowed:
        shot = flowed[len(flowed) // 2]
        found.left = masked(shot.frame, screen.masks[shot.captured_ns])
    earlier: list[tuple[Box, np.ndarray]] = []
    earlier_used: list[tuple[Box, np.ndarray]] = []
    for shot in flowed[:: max(1, len(flowed) // SAMPLES)]:
        boxes = reference.detect(shot.frame)
        mask = screen.masks[shot.captured_ns]
        _count(found, shot, boxes, mask)
        if recogniser is not None:
            large = [box for box in boxes if box.height >= MIN_FACE_PX]
            hidden = masked(shot.frame, mask) if large else shot.frame
            earlier = _attack(found, shot, large, hidden, recogniser, earlier)
            earlier_used = use(found, shot, large, hidden, recogniser, earlier_used)
    return found


def _shots(path: Path) -> list[Shot]:
    with closing(FileCamera(path)) as camera:
        return list(takewhile(lambda shot: shot.captured_ns <= LONGEST_NS, camera.shots()))


def _count(found: Found, shot: Shot, boxes: Sequence[Box], mask: Mask) -> None:
    """Compare the faces of a frame with its mask."""
    for box, hidden in zip(boxes, people.covered(boxes, mask.levels), strict=True):
        size = max((size for size in SIZES if box.height >= size), default=0)
        if not size:
            continue
        found.faces[size] += 1
        if not hidden:
            found.missed[size] += 1
            if len(found.misses) < MISSES:
                found.misses.append(_boxed(masked(shot.frame, mask), box))


def _attack(
    found: Found,
    shot: Shot,
    large: Sequence[Box],
    hidden: np.ndarray,
    recogniser: Recogniser,
    earlier: list[tuple[Box, np.ndarray]],
) -> list[tuple[Box, np.ndarray]]:
    """Compare each face with the same one in the sample before, clear and `hidden`.

    The recogniser is told where each one is.
    """
    now = [(box, recogniser.describe(shot.frame, box)) for box in large]
    for box, clear in now:
        still = recogniser.describe(hidden, box)
        own = [known for before, known in earlier if _near(before, box)]
        strangers = [known for before, known in earlier if not _near(before, box)]
        found.others += len(strangers)
        found.masked_others += sum(same(known, still) for known in strangers)
        blank = recogniser.describe(np.full_like(shot.frame, _GREY), box)
        if len(own) == 1 and same(own[0], clear):
            found.bare += 1
            found.masked_bare += same(own[0], still)
            found.grey_bare += same(own[0], blank)
        told_apart = len(own) == 1 and not any(same(own[0], other) for other in (*strangers, blank))
        if told_apart and same(own[0], clear):
            found.known += 1
            again = same(own[0], still)
            found.masked_known += again
            found.masked_alone += again and not any(same(known, still) for known in strangers)
    return now


def use(
    found: Found,
    shot: Shot,
    large: Sequence[Box],
    hidden: np.ndarray,
    recogniser: Recogniser,
    earlier: list[tuple[Box, np.ndarray]],
) -> list[tuple[Box, np.ndarray]]:
    """The same as the recogniser is used: its own detector has to find each face first."""
    if not large:
        return []
    clear, left = recogniser.find(shot.frame), recogniser.find(hidden)
    for box in large:
        found.large += 1
        seen, still = ([d for at, d in faces if _near(at, box)] for faces in (clear, left))
        own = [known for before, known in earlier if _near(before, box)]
        found.detected += bool(seen)
        found.masked_detected += bool(still)
        if any(same(one, other) for one in own for other in seen):
            found.used += 1
            found.masked_used += any(same(one, other) for one in own for other in still)
    return clear


def masked(frame: np.ndarray, mask: Mask) -> np.ndarray:
    """The frame as it would have left."""
    place = np.empty_like(frame)
    mask.copy(frame, place, Layout.BGR)
    return place


def _is_grid(mask: Mask) -> bool:
    return bool((mask.levels == whole(mask.height, mask.width)).all())


def _near(one: Box, other: Box) -> bool:
    across = abs(one.left + one.right - other.left - other.right) / 2
    return across < other.height and abs(one.top - other.top) < other.height


def _boxed(frame: np.ndarray, box: Box) -> np.ndarray:
    corners = (round(box.left), round(box.top)), (round(box.right), round(box.bottom))
    shown = cv2.rectangle(frame, *corners, (0, 0, 255), 2)
    return np.asarray(shown[: frame.shape[0] // BLOCK_PX * BLOCK_PX])
