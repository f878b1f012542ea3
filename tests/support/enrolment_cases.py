"""Places that are known empty, and people in front of them: cases of enrolment.

People from the footage, cut out, are put into photographs of rooms and into rendered
ones: a woman who faces the camera, a woman seen from behind, and three people at a desk,
cut out by the body model (which then finds them more readily than it should). Every
case comes with the empty place under the same light, so that what a message advises
can be done. The same name gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from edge.view import signs
from edge.view.bodies import SIZES
from tests.support import render, rooms
from tests.support.render import View

FPS, FRAMES = 15, 120  # eight seconds


class Act(Enum):
    """What the people of a case do during the take."""

    STAND = "stands"  # and moves as people do
    FREEZE = "stands like furniture"
    VISIT = "comes and goes"
    ENTER = "comes after a third and stays"
    LEAVE = "is there at first and leaves"
    CROSS = "walks through"


@dataclass(frozen=True, slots=True)
class Person:
    """One person: who, how high as a share of the picture, and where the middle is."""

    who: str  # "woman", "back", or a recording
    tall: float
    x: float


@dataclass(frozen=True, slots=True)
class Case:
    """One enrolment with somebody in the picture."""

    name: str
    size: tuple[int, int]
    place: str  # as `tests.support.rooms` writes it
    act: Act
    people: tuple[Person, ...]
    wider: str = ""  # the place that shows more of the room, where this one is a wall
    gain: float = 1.0
    quality: int = 90  # JPEG

    @property
    def public(self) -> bool:
        """The place is a public interior."""
        return "store" in self.place or "library" in self.place


WOMAN, BACK = Person("woman", 0.8, 0.5), Person("back", 0.9, 0.5)
STUDY = Person("webcam_single_man_study", 1.0, 0.5)
SIGNER = Person("asl_signer_walk", 0.9, 0.5)
MAN = Person("webcam_single_man_desk", 1.0, 0.5)
WALL = "plain:90"
WIDE, TV, SQUARE, PORTRAIT, STRIP = rooms.WIDE, rooms.TV, rooms.SQUARE, rooms.PORTRAIT, rooms.STRIP


def _photo(name: str, number: int) -> str:
    return f"photo:{name}_{number:04}.jpg"


CASES = (
    Case("bedroom-stands", WIDE, _photo("houses_bedroom", 12), Act.STAND, (WOMAN,)),
    Case("bedroom-visits", TV, _photo("houses_bedroom", 150), Act.VISIT, (WOMAN,)),
    Case(
        "bedroom-leans-in", TV, _photo("houses_bedroom", 40), Act.STAND, (replace(WOMAN, tall=1.6),)
    ),
    Case("bedroom-back", WIDE, _photo("houses_bedroom", 90), Act.STAND, (BACK,)),
    Case("bedroom-back-frozen", WIDE, _photo("houses_bedroom", 200), Act.FREEZE, (BACK,)),
    Case("bedroom-crosses", WIDE, _photo("houses_bedroom", 250), Act.CROSS, (BACK,)),
    Case("bedroom-dim", WIDE, _photo("houses_bedroom", 300), Act.STAND, (WOMAN,), gain=0.5),
    Case(
        "bedroom-tall",
        PORTRAIT,
        _photo("houses_bedroom", 101),
        Act.STAND,
        (replace(WOMAN, tall=0.5),),
    ),
    Case("kitchen-enters", TV, _photo("houses_kitchen", 5), Act.ENTER, (replace(WOMAN, x=0.35),)),
    Case("kitchen-leaves", TV, _photo("houses_kitchen", 60), Act.LEAVE, (replace(BACK, x=0.6),)),
    Case(
        "kitchen-tall-back",
        PORTRAIT,
        _photo("houses_kitchen", 31),
        Act.STAND,
        (replace(BACK, tall=0.6),),
    ),
    Case("kitchen-desk", WIDE, _photo("houses_kitchen", 88), Act.STAND, (STUDY,)),
    Case(
        "kitchen-two",
        WIDE,
        _photo("houses_kitchen", 120),
        Act.STAND,
        (replace(WOMAN, x=0.3), replace(BACK, x=0.75)),
    ),
    Case(
        "bathroom-square",
        SQUARE,
        _photo("houses_bathroom", 9),
        Act.STAND,
        (replace(WOMAN, x=0.6),),
        quality=45,
    ),
    Case("bathroom-frozen", TV, _photo("houses_bathroom", 33), Act.FREEZE, (WOMAN,)),
    Case(
        "strip-stands",
        STRIP,
        _photo("houses_bedroom", 77),
        Act.STAND,
        (replace(WOMAN, tall=0.9, x=0.4),),
    ),
    Case("office-signs", TV, _photo("scene15_office", 20), Act.STAND, (SIGNER,)),
    Case("office-desk", WIDE, _photo("scene15_office", 70), Act.STAND, (MAN,)),
    Case("office-back", TV, _photo("scene15_office", 130), Act.VISIT, (BACK,)),
    Case(
        "livingroom-desk",
        TV,
        _photo("scene15_livingroom", 15),
        Act.STAND,
        (replace(STUDY, tall=0.8),),
    ),
    Case(
        "livingroom-far",
        TV,
        _photo("scene15_livingroom", 60),
        Act.STAND,
        (replace(WOMAN, tall=0.4, x=0.7),),
    ),
    Case("computers-signs", WIDE, _photo("sun_computerroom", 30), Act.STAND, (SIGNER,)),
    Case("rendered-stands", TV, "rendered:21", Act.STAND, (WOMAN,)),
    Case("rendered-back", TV, "rendered:32", Act.STAND, (replace(BACK, x=0.4),)),
    Case(
        "rendered-frozen-corner", TV, "rendered:33", Act.FREEZE, (replace(BACK, tall=0.8, x=0.8),)
    ),
    Case("rendered-desk", WIDE, "rendered:41", Act.STAND, (replace(MAN, tall=0.9),)),
    Case("wall-close-up", WIDE, WALL, Act.STAND, (replace(WOMAN, tall=1.5),), wider="rendered:42"),
    Case("wall-stands", TV, WALL, Act.STAND, (WOMAN,), wider=_photo("houses_bedroom", 320)),
    Case("store-stands", TV, _photo("scene15_store", 46), Act.STAND, (WOMAN,)),
    Case("rendered-curtain", TV, "rendered:51", Act.STAND, ()),
    Case("library-back", WIDE, _photo("sun_library", 50), Act.STAND, (BACK,)),
)


class Footage:
    """The takes of cases."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._cut = lru_cache(8)(self._cut_out)

    def take(self, case: Case, *, mirrored: bool = False) -> tuple[list[View], np.ndarray]:
        """The frames with people, and where they are: shares of a thumbnail's pixels.

        The shares have the shape (frames, 48, 64).

        `mirrored` is a second take: everybody stands on the other side.
        """
        empty = self.place(case, case.place)
        if not case.people:  # but a curtain moves
            return list(render.lived_in(empty, FRAMES)), np.zeros(
                (FRAMES, signs.HEIGHT, signs.WIDTH)
            )
        frames, shares = [], []
        for number in range(FRAMES):
            frame, there = empty, np.zeros(empty.shape[:2], np.float32)
            for person in case.people:
                at = _where(case.act, number)
                if at is None:
                    continue
                clip = self._cut(person.who)
                picture, alpha = clip[_pose(case.act, number, len(clip))]
                x = 1 - person.x if mirrored else person.x
                if case.act is Act.FREEZE:  # breathes, and no more
                    at = 0.8 * float(np.sin(number / 9)) / case.size[0]
                frame = rooms.over(frame, picture, alpha, x + at, person.tall)
                mark = np.zeros((*there.shape, 3), np.uint8)
                white = np.full_like(picture, 255)
                mark = rooms.over(mark, white, alpha, x + at, person.tall)
                there = np.maximum(there, mark[..., 0] / np.float32(255))
            frames.append(frame)
            size = (signs.WIDTH, signs.HEIGHT)
            shares.append(cv2.resize(there, size, interpolation=cv2.INTER_AREA))
        return list(_taken(case, frames)), np.stack(shares)

    def empty(self, case: Case, *, wider: bool = False) -> list[View]:
        """The same with nobody there."""
        place = self.place(case, case.wider if wider and case.wider else case.place)
        return list(_taken(case, [place] * FRAMES))

    def place(self, case: Case, place: str) -> View:
        """The empty place, in the case's shape."""
        kind, _, name = place.partition(":")
        if kind == "plain":
            return np.full((case.size[1], case.size[0], 3), int(name), np.uint8)
        if kind == "rendered":
            return rooms.filled(render.room(int(name)), case.size)
        (path,) = (self._data / "images").glob(f"*/{name}")
        read = cv2.imread(str(path))
        return rooms.filled(np.asarray(read, np.uint8), case.size)

    def _cut_out(self, who: str) -> list[tuple[View, np.ndarray]]:
        if who in ("woman", "back"):
            return list(rooms.people(who, self._data))[::2]
        return list(_segmented(self._data / "video" / f"{who}.mp4"))


def _segmented(path: Path) -> Iterator[tuple[View, np.ndarray]]:
    """A person at a desk, cut out by the body model."""
    from edge.models import BODY, runtime
    from edge.models.pull import asset_bytes
    from edge.models.tflite_onnx import INPUT, OUTPUT, convert

    net, size = runtime.load(convert(asset_bytes(BODY)), "body"), SIZES[BODY]
    for number, frame in enumerate(rooms.frames_of(path)):
        if number % 2:
            continue
        small = cv2.cvtColor(cv2.resize(frame, size), cv2.COLOR_BGR2RGB)
        given = small.transpose(2, 0, 1)[None].astype(np.float32) * np.float32(1 / 255)
        (answer,) = runtime.ask(net, [OUTPUT], {INPUT: np.ascontiguousarray(given)}, "body")
        alpha = np.clip((answer[0, 0] - 0.3) / 0.5, 0, 1)
        yield frame, cv2.resize(alpha, (frame.shape[1], frame.shape[0]))


def _where(act: Act, number: int) -> float | None:
    """How far from their place people are, in widths; None where they are not in the picture."""
    share = number / FRAMES
    if act is Act.CROSS:
        return 2.4 * (share - 0.5) if 0.3 < share < 0.7 else None
    comes = {Act.VISIT: 0.3, Act.ENTER: 0.35}.get(act, -1.0)
    goes = {Act.VISIT: 0.7, Act.LEAVE: 0.6}.get(act, 2.0)
    if not comes < share < goes:
        return None
    return max(0.0, 1 - (share - comes) / 0.08, 1 - (goes - share) / 0.08)


def _pose(act: Act, number: int, length: int) -> int:
    """The picture of the person: to and fro through the clip."""
    if act is Act.FREEZE:
        return length // 2
    at = number % (2 * length - 1)
    return at if at < length else 2 * length - 2 - at


def _taken(case: Case, frames: list[View]) -> Iterator[View]:
    """As a camera gives it: light, noise, compression."""
    rng = np.random.default_rng(sum(case.name.encode()))
    grains = rng.normal(0, 1.5, (4, case.size[1], case.size[0], 3)).astype(np.float32)
    for number, frame in enumerate(frames):
        shift = (int(rng.integers(case.size[1])), int(rng.integers(case.size[0])))
        gain = case.gain * (1 + 0.01 * float(np.sin(number / 11)))
        lit = frame * np.float32(gain) + np.roll(grains[number % 4], shift, (0, 1))
        shot = np.clip(lit, 0, 255).astype(np.uint8)
        _, packed = cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, case.quality])
        yield np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
