"""Controlled recordings that no limit was tuned on: real people, cut out and put into other rooms.

    python -m tests.support.rooms --data ../shared/data --out /tmp/rooms --part tried
    framegate evaluate /tmp/rooms --splices 0

Two people come from the footage: a woman before a green screen, and a woman seen from
behind who walks through a room. They are put, at a scale and a place, into photographs
of private rooms and into rendered ones, which get a camera's noise, varying light and
compression. The rest are the footage's own rooms cut to another shape, mirrored, lit
and compressed anew. The same name gives the same pixels.

`FRESH` names those that must not be used for tuning; `--part fresh` makes them. `HELD` was
such a part until its figure was looked at. Every recording but those named standing begins
with the empty place.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.cameras.opencv import FileCamera
from tests.support import render
from tests.support.render import View

FPS = 30
WIDE, TV, SQUARE, PORTRAIT, STRIP = (640, 360), (640, 480), (512, 512), (360, 640), (960, 400)
NEAR = "VIEW_PARTIAL"  # 72 and 56 % of the picture is the person
TAKEN = "VIEW_COVERED;VIEW_PARTIAL"  # half of the enrolled blocks showed what is taken away
LAMP = "VIEW_FADED;VIEW_DIMMED"  # the recording's own lamp goes out, be it while a mount sags
_EMPTY = 50  # frames before somebody comes
_ENTERS = 15  # frames that takes


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one recording is made."""

    name: str
    size: tuple[int, int]  # width and height in pixels
    place: str  # "photo:FILE", "rendered:SEED" or "video:NAME"
    person: str = ""  # "woman", "back" or empty for no person
    tall: float = 1.0  # of the person's picture, as a share of this picture's height
    x: float = 0.5  # of the person's middle, as a share of the width
    stays: bool = False  # there from the first frame to the last, and hardly moves
    light: Callable[[int], float] = lambda number: 1.0  # gain, frame by frame
    noise: float = 1.5  # grey levels
    quality: int = 90  # JPEG
    mirrored: bool = False
    true_causes: str = ""  # the causes that correctly block it, for the manifest


def _breathing(number: int) -> float:
    return 1 + 0.04 * float(np.sin(number / 9))


def _lamp_off(number: int) -> float:
    return 1.0 if number < 200 else 0.72


def _settling(number: int) -> float:
    """Automatic exposure after somebody came in."""
    return 1.0 if number < _EMPTY else 1 - 0.18 * (1 - float(np.exp(-(number - _EMPTY) / 12)))


def _house(kind: str, number: int) -> str:
    return f"photo:houses_{kind}_{number:04}.jpg"


RECIPES = (
    Recipe("bedroom_visitor", WIDE, _house("bedroom", 12), "woman", 0.8, 0.5),
    Recipe(
        "bedroom_near", TV, _house("bedroom", 40), "woman", 1.5, light=_breathing, true_causes=NEAR
    ),
    Recipe("kitchen_visitor", TV, _house("kitchen", 5), "woman", 0.7, 0.35, light=_settling),
    Recipe("kitchen_portrait", PORTRAIT, _house("kitchen", 31), "woman", 0.55, 0.5),
    Recipe("bathroom_square", SQUARE, _house("bathroom", 9), "woman", 0.75, 0.6, quality=45),
    Recipe("bedroom_strip", STRIP, _house("bedroom", 77), "woman", 0.9, 0.4, light=_breathing),
    Recipe("bedroom_back", WIDE, _house("bedroom", 90), "back", 0.9, 0.5),
    Recipe("rendered_visitor", TV, "rendered:21", "woman", 0.8, 0.5, light=_breathing),
    Recipe("rendered_portrait", PORTRAIT, "rendered:22", "woman", 0.6, 0.5, noise=2.5),
    Recipe(
        "rendered_lamp_off",
        WIDE,
        "rendered:23",
        "woman",
        0.8,
        0.4,
        light=_lamp_off,
        true_causes=LAMP,
    ),
    Recipe("rendered_empty_lamp", TV, "rendered:24", light=_lamp_off, noise=3.0, true_causes=LAMP),
    Recipe("room_mirrored", TV, "video:static_room_one_person_at_a_time", mirrored=True),
    Recipe("room_dim", WIDE, "video:static_room_one_person_at_a_time", light=lambda n: 0.55),
    Recipe("bottles_square", SQUARE, "video:static_table_bottles", quality=40),
    Recipe("standing_back", WIDE, _house("kitchen", 60), "back", 0.95, 0.6, stays=True),
    Recipe("standing_face", TV, _house("bedroom", 55), "woman", 0.9, 0.5, stays=True),
    Recipe("bathroom_visitor", TV, _house("bathroom", 33), "woman", 0.8, 0.55, light=_settling),
    Recipe("bedroom_wide", WIDE, _house("bedroom", 120), "woman", 0.9, 0.6, quality=50),
    Recipe("kitchen_near", WIDE, _house("kitchen", 88), "woman", 1.5, 0.4, true_causes=NEAR),
    Recipe("bedroom_tall", PORTRAIT, _house("bedroom", 101), "woman", 0.5, 0.45),
    Recipe("rendered_square", SQUARE, "rendered:31", "woman", 0.7, 0.5, quality=45),
    Recipe("rendered_back", TV, "rendered:32", "back", 0.9, 0.4, light=_breathing),
    Recipe(
        "bottles_dim",
        WIDE,
        "video:static_table_bottles",
        light=lambda n: 0.6,
        noise=3.0,
        true_causes=TAKEN,
    ),
    Recipe("standing_corner", TV, "rendered:33", "back", 0.8, 0.75, stays=True),
    Recipe("living_visitor", TV, "photo:scene15_livingroom_0044.jpg", "woman", 0.75, 0.6),
    Recipe("living_back", WIDE, "photo:scene15_livingroom_0057.jpg", "back", 0.85, 0.35, noise=2.5),
    Recipe("study_portrait", PORTRAIT, "photo:scene15_office_0008.jpg", "woman", 0.5, 0.5),
    Recipe("rendered_evening", WIDE, "rendered:47", "woman", 0.7, 0.6, light=lambda n: 0.65),
    Recipe("rendered_strip", STRIP, "rendered:48", "back", 0.9, 0.3, light=_settling, quality=55),
    Recipe("guest_back", TV, "photo:scene15_bedroom_0006.jpg", "back", 0.8, 0.7, quality=60),
)
HELD = frozenset(recipe.name for recipe in RECIPES[16:24])
FRESH = frozenset(recipe.name for recipe in RECIPES[24:])
PARTS = {"held": HELD, "fresh": FRESH, "tried": {r.name for r in RECIPES} - HELD - FRESH}


def make(recipe: Recipe, data: Path) -> Iterator[View]:
    """The recording's frames."""
    if recipe.place.startswith("video:"):
        frames = _cut(recipe, data)
    else:
        frames = _visited(recipe, data)
    rng = np.random.default_rng(sum(recipe.name.encode()))
    shape = (4, recipe.size[1], recipe.size[0], 3)
    grains = rng.normal(0, recipe.noise, shape).astype(np.float32)
    for number, frame in enumerate(frames):
        shift = (int(rng.integers(shape[1])), int(rng.integers(shape[2])))
        lit = frame * np.float32(recipe.light(number)) + np.roll(grains[number % 4], shift, (0, 1))
        taken = np.clip(lit, 0, 255).astype(np.uint8)
        _, packed = cv2.imencode(".jpg", taken, [cv2.IMWRITE_JPEG_QUALITY, recipe.quality])
        yield np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def write(recipes: tuple[Recipe, ...], data: Path, out: Path) -> None:
    """Write recordings and their manifest."""
    out.mkdir(parents=True, exist_ok=True)
    rows = ["file,kind,source,camera,setting,scene,true_causes"]
    for number, recipe in enumerate(recipes, 1):
        print(f"[{number}/{len(recipes)}] {recipe.name}", flush=True)
        render.write_clip(out / f"{recipe.name}.mp4", make(recipe, data), FPS)
        name = f"{recipe.name}.mp4"
        rows.append(
            f"{name},video,own:{recipe.name}/{name},stationary,controlled,indoor,{recipe.true_causes}"
        )
    (out / "MANIFEST.csv").write_text("\n".join(rows) + "\n")


def _visited(recipe: Recipe, data: Path) -> Iterator[View]:
    """An empty place, somebody who comes in from the side, and the empty place again."""
    empty = _place(recipe, data)
    walkers = list(people(recipe.person, data)) if recipe.person else []
    if recipe.stays:
        picture, alpha = walkers[len(walkers) // 2]
        for number in range(240):
            sway = 0.8 * np.sin(number / 17) / recipe.size[0]
            yield over(empty, picture, alpha, recipe.x + float(sway), recipe.tall)
        return
    for number in range(_EMPTY + max(len(walkers), 200) + 2 * _ENTERS):
        at = number - _EMPTY
        if not walkers or not 0 <= at < len(walkers):
            yield empty
            continue
        away = max(0.0, 1 - at / _ENTERS, 1 - (len(walkers) - at) / _ENTERS)
        picture, alpha = walkers[at]
        side = 1 if recipe.x >= 0.5 else -1
        yield over(empty, picture, alpha, recipe.x + side * away, recipe.tall)


def _place(recipe: Recipe, data: Path) -> View:
    kind, _, name = recipe.place.partition(":")
    if kind == "rendered":
        return filled(render.room(int(name)), recipe.size)
    read = cv2.imread(str(data / "images" / "indoor_private" / name))
    if read is None:
        raise FileNotFoundError(name)
    return filled(np.asarray(read, np.uint8), recipe.size)


def filled(picture: View, size: tuple[int, int]) -> View:
    """The middle of a picture that fills the size without being squeezed."""
    scale = max(size[0] / picture.shape[1], size[1] / picture.shape[0])
    wide = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    left, top = (wide.shape[1] - size[0]) // 2, (wide.shape[0] - size[1]) // 2
    return np.asarray(wide[top : top + size[1], left : left + size[0]], np.uint8)


def people(who: str, data: Path) -> Iterator[tuple[View, np.ndarray]]:
    """A person frame by frame, and how much of each pixel is the person."""
    if who == "woman":
        for frame in frames_of(data / "video" / "studio_greenscreen_woman.mp4"):
            blue, green, red = (frame[..., i].astype(np.int16) for i in range(3))
            alpha = np.clip((40 - (green - np.maximum(blue, red))) / 30, 0, 1)
            yield frame, cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 1)
        return
    frames = list(frames_of(data / "video" / "static_room_one_person_at_a_time.mp4"))
    empty = frames[0].astype(np.int16)
    for frame in frames[85:170]:  # ten frames a second: each stands for three
        differs = np.abs(frame.astype(np.int16) - empty).max(axis=2)
        solid = cv2.morphologyEx((differs > 28).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9)))
        solid = cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((5, 5)))
        alpha = cv2.GaussianBlur(solid.astype(np.float32), (0, 0), 1)
        for _ in range(3):
            yield frame, alpha


def over(empty: View, picture: View, alpha: np.ndarray, x: float, tall: float) -> View:
    """The person, `tall` pictures high, in front of the place; feet at the lower edge."""
    rows, columns = empty.shape[:2]
    scale = tall * rows / picture.shape[0]
    middle = picture.shape[1] / 2
    move = np.array([[scale, 0, x * columns - middle * scale], [0, scale, rows * (1 - tall)]])
    person = cv2.warpAffine(picture, move, (columns, rows), borderMode=cv2.BORDER_REPLICATE)
    there = cv2.warpAffine(alpha, move, (columns, rows))[..., None]
    return np.asarray(empty * (1 - there) + person * there, np.uint8)


def _cut(recipe: Recipe, data: Path) -> Iterator[View]:
    name = recipe.place.partition(":")[2]
    for frame in frames_of(data / "video" / f"{name}.mp4"):
        view = filled(frame, recipe.size)
        yield np.asarray(view[:, ::-1], np.uint8) if recipe.mirrored else view


def frames_of(path: Path) -> Iterator[View]:
    camera = FileCamera(path)
    for shot in camera.shots():
        yield np.asarray(shot.frame, np.uint8)
    camera.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", choices=sorted(PARTS), required=True)
    args = parser.parse_args()
    chosen = tuple(r for r in RECIPES if r.name in PARTS[args.part])
    write(chosen, args.data, args.out)


if __name__ == "__main__":
    main()
