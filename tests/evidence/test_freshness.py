"""Freshness: a still or a loop under an overlay, noise, light or compression is told from life."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.clock import MS, S
from edge.evaluation.day.changes import night
from edge.evidence.faces import FaceBoxes
from edge.evidence.freshness import Freshness
from edge.reasons import Reason
from edge.view.box import Box
from tests.support import render
from tests.support.parts import long

SIZE = (320, 240)
STEP_NS = 100 * MS
FACE = Box(140, 60, 180, 116, 0.9)  # where `person` puts the head


@pytest.fixture(scope="module")
def room() -> np.ndarray:
    return render.room(size=SIZE)


@pytest.fixture(scope="module")
def exposures(room: np.ndarray) -> list[np.ndarray]:
    """Noise of three grey levels for a few exposures; drawn once."""
    rng = np.random.default_rng(1)
    return [rng.normal(0.0, 2.0, room.shape).astype(np.float32) for _ in range(7)]


def person(room: np.ndarray, i: float) -> np.ndarray:
    """Somebody who shifts, in no rhythm."""
    sway = 0.5 + 0.02 * np.sin(i / 3) + 0.015 * np.sin(i / 7.3) + 0.01 * np.sin(i / 1.7)
    return render.with_person(room, x=sway)


def live(frames: Iterable[np.ndarray], exposures: list[np.ndarray]) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(2)
    for frame in frames:
        noise = np.roll(exposures[int(rng.integers(7))], int(rng.integers(200)), axis=1)
        yield np.clip(frame + noise, 0, 255).round().astype(np.uint8)


def with_clock(frame: np.ndarray, i: int, share: float = 0.04) -> np.ndarray:
    """An on-screen clock over `share` of the picture; every reading another text."""
    out = frame.copy()
    high, wide = round(240 * share**0.5), round(320 * share**0.5)
    rng = np.random.default_rng([i, 7])
    small = rng.integers(0, 255, (6, 12, 3), dtype=np.uint8)
    out[8 : 8 + high, 8 : 8 + wide] = cv2.resize(small, (wide, high))
    return out


def counter(frame: np.ndarray, i: int) -> np.ndarray:
    """Running digits in a corner."""
    out = frame.copy()
    cv2.rectangle(out, (4, 4), (96, 28), (20, 20, 20), -1)
    cv2.putText(out, f"{i / 10:06.1f}", (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (230,) * 3, 1)
    return out


def jpeg(frame: np.ndarray, quality: int) -> np.ndarray:
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def readings_of(frames: Iterable[np.ndarray], *boxes: Box) -> list[tuple[Reason, ...]]:
    freshness = Freshness()
    return [freshness.read(f, S + i * STEP_NS, boxes) for i, f in enumerate(frames)]


def named(reported: list[tuple[Reason, ...]]) -> set[Reason]:
    return {reason for reasons in reported for reason in reasons}


@pytest.mark.slow
def test_a_room_with_and_without_a_person_is_fresh(
    room: np.ndarray, exposures: list[np.ndarray]
) -> None:
    assert not named(readings_of(live([room] * 60, exposures)))
    assert not named(readings_of(live((person(room, i) for i in range(120)), exposures), FACE))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.25])
def test_a_still_under_a_moving_overlay_is_frozen_within_three_seconds(
    room: np.ndarray, exposures: list[np.ndarray], share: float
) -> None:
    """The same overlay over a live picture is none of that."""
    still = render.with_noise(person(room, 0), 0)
    running = live((person(room, i) for i in range(45)), exposures)

    reported = readings_of(with_clock(still, i, share) for i in range(45))

    assert Reason.CAM_FROZEN in reported[29]
    assert not named(readings_of((with_clock(f, i, share) for i, f in enumerate(running)), FACE))


ALTERED: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "light": lambda f, i: render.with_light(f, 1 + 0.05 * np.sin(i / 2), 2 * np.sin(i / 5)),
    "nudged each second": lambda f, i: render.panned(f, float(i // 10 % 2)),
    "a key frame each second": lambda f, i: jpeg(f, 90 if i // 10 % 2 else 80),
}


@pytest.mark.parametrize("how", ALTERED)
def test_a_still_with_a_clock_is_frozen_however_it_is_altered(
    room: np.ndarray, exposures: list[np.ndarray], how: str
) -> None:
    """Done to a live picture, the same is live."""
    still = render.with_noise(person(room, 0), 0)
    running = live((person(room, i) for i in range(45)), exposures)
    alter = ALTERED[how]

    assert Reason.CAM_FROZEN in named(
        readings_of(alter(with_clock(still, i), i) for i in range(45))
    )
    twin = readings_of((alter(with_clock(f, i), i) for i, f in enumerate(running)), FACE)
    assert Reason.CAM_FROZEN not in named(twin)


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [1.0, 3.0, 6.0])
def test_a_face_in_a_still_with_noise_and_a_clock_is_doubted(
    room: np.ndarray, sigma: float
) -> None:
    still = person(room, 0)

    reported = readings_of(
        (render.with_noise(with_clock(still, i), i, sigma) for i in range(50)), FACE
    )

    assert Reason.LIVENESS_UNCERTAIN in named(reported)


@pytest.mark.parametrize("how", ["noise", "light", "compressed", "clock"])
def test_a_loop_that_is_not_exact_is_named_within_three_seconds_of_its_second_turn(
    room: np.ndarray, exposures: list[np.ndarray], how: str
) -> None:
    loop = [person(room, 3.1 * i + 0.02 * i * i) for i in range(40)]
    alter: Callable[[np.ndarray, int], np.ndarray] = {
        "noise": lambda f, i: f,
        "light": ALTERED["light"],
        "compressed": lambda f, i: jpeg(f, 60 + i % 7),
        "clock": counter,
    }[how]
    again = list(live((loop[i % 40] for i in range(75)), exposures))

    reported = readings_of((alter(f, i) for i, f in enumerate(again)), FACE)

    assert Reason.CAM_LOOP not in named(reported[:40])
    assert Reason.CAM_LOOP in reported[70]


def test_a_pendulum_and_a_lamp_that_breathes_are_no_loop(
    room: np.ndarray, exposures: list[np.ndarray]
) -> None:
    frames = []
    for i in range(150):
        frame = render.with_light(room, 1 + 0.06 * np.sin(i / 4))
        end = (round(60 + 25 * np.cos(i * np.pi / 12)), round(60 + 25 * np.sin(i * np.pi / 12)))
        cv2.line(frame, (60, 60), end, (0, 0, 0), 3)
        frames.append(frame)

    assert not named(readings_of(live(frames, exposures)))


def test_a_darker_or_overexposed_still_says_nothing_but_that_is_the_light_s_matter() -> None:
    """Where no block carries noise the answer is none; a black picture is `CAM_COVERED`."""
    assert not named(readings_of([np.full((240, 320, 3), 5, np.uint8)] * 40))


def test_another_size_begins_anew(room: np.ndarray) -> None:
    freshness = Freshness()
    small = cv2.resize(room, (160, 120))
    for i in range(40):
        frame = room if i % 20 < 10 else small
        assert freshness.read(np.asarray(frame, np.uint8), i * STEP_NS, ()) == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "webcam_single_man_study",
        "static_table_bottles",
        *long("webcam_single_man_desk", "webcam_single_man_portrait", "studio_greenscreen_woman"),
        *long("static_room_one_person_at_a_time", "asl_signer_walk"),
    ],
)
def test_honest_recordings_are_fresh(data_dir: object, face_model: object, name: str) -> None:
    seen = list(_recording(data_dir / "video" / f"{name}.mp4", face_model))  # type: ignore[operator]

    assert len(seen) > 10
    assert not named(seen)


@pytest.mark.slow
def test_the_demo_clip_is_fresh_and_its_last_picture_under_a_clock_is_not(
    clip: Callable[[str], object], face_model: object
) -> None:
    path = clip("WolfgangLanger_Pexels.mp4")
    camera = FileCamera(path)  # type: ignore[arg-type]
    still = next(iter(camera.shots())).frame.copy()
    camera.close()

    assert not named(list(_recording(path, face_model)))
    still = cv2.resize(still, SIZE)
    reported = readings_of(jpeg(with_clock(np.asarray(still), i), 90) for i in range(40))
    assert Reason.CAM_FROZEN in named(reported)


def _recording(path: object, face_model: object) -> Iterator[tuple[Reason, ...]]:
    freshness, faces = Freshness(), FaceBoxes(face_model)  # type: ignore[arg-type]
    camera = FileCamera(path)  # type: ignore[arg-type]
    boxes: tuple[Box, ...] = ()
    last_ns, number = -S, 0
    for shot in camera.shots():
        if shot.captured_ns - last_ns < 90 * MS:
            continue
        if number % 4 == 0:
            boxes = faces.detect(shot.frame)
        last_ns, number = shot.captured_ns, number + 1
        yield freshness.read(shot.frame, shot.captured_ns, boxes)
    camera.close()


@pytest.mark.parametrize("overlay", [lambda f, i: f, with_clock], ids=["plain", "clock"])
def test_an_infrared_night_is_fresh_and_one_of_its_pictures_again_and_again_is_frozen(
    room: np.ndarray, overlay: Callable[[np.ndarray, int], np.ndarray]
) -> None:
    """Amplified noise, compressed, and nobody there; no moment is the same as another."""
    frames = [night(room, i * STEP_NS / S) for i in range(45)]

    alive = readings_of(overlay(frame, i) for i, frame in enumerate(frames))
    still = readings_of(overlay(frames[0], i) for i in range(45))

    assert not named(alive)
    assert Reason.CAM_FROZEN in still[29]
