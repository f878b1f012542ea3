"""Vision of the slow loop: what is read of a frame, how often, and by which rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest

from edge.clock import MS, S
from edge.errors import ModelError
from edge.evidence.people import PeopleRules
from edge.evidence.readings import Reading, Source
from edge.evidence.scene import SceneModel, SceneReading
from edge.evidence.vision import Observer, check_rate, check_room
from edge.frames.gate import Limits
from edge.reasons import Reason
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint
from edge.view.signs import ALL_BLOCKS
from tests.support import render
from tests.support.enrol import enrol
from tests.support.vision import SeeAndRead, examine

T = TypeVar("T")

RULES = PeopleRules(max=1, min_height=0.1)


class Nobody:
    """A face finder that finds nobody, or whom it is told to find."""

    def __init__(self, *boxes: Box) -> None:
        self.boxes = boxes
        self.asked = 0

    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        self.asked += 1
        return self.boxes


class Outdoors:
    """A scene finder that is sure of being outdoors."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def read(self, frame: np.ndarray, captured_ns: int) -> SceneReading:
        self.asked.append(captured_ns)
        return SceneReading(captured_ns, (0.0, 0.0, 1.0, 0.0, 0.0), (Reason.SCENE_OUTDOOR,))


@pytest.fixture(scope="module")
def room_frames() -> list[np.ndarray]:
    return list(render.lived_in(render.room(), 40))


@pytest.fixture(scope="module")
def fingerprint(room_frames: list[np.ndarray]) -> Fingerprint:
    frames = room_frames[:20]
    return enrol(frames, [() for _ in frames], camera=bytes(16), enforce=False)


def look(
    vision: SeeAndRead, frames: list[np.ndarray], **changed: bool
) -> dict[Source, list[Reading]]:
    """Ten evidence frames a second; readings by source."""
    found: dict[Source, list[Reading]] = {}
    rules = {"opening": True, "still": True, **changed}
    for i, frame in enumerate(frames):
        for reading in examine(vision, frame, S + i * 100 * MS, **rules).readings:  # type: ignore[arg-type]
            found.setdefault(reading.source, []).append(reading)
    return found


@pytest.mark.slow
def test_the_enrolled_room_is_good_in_every_class(
    fingerprint: Fingerprint, room_frames: list[np.ndarray]
) -> None:
    found = look(SeeAndRead(fingerprint, Nobody(), RULES), room_frames[20:])

    for source in (Source.VIEW, Source.PEOPLE, Source.EGO_MOTION):
        assert all(reading.good for reading in found[source]), source


def test_without_an_enrolled_view_the_view_is_never_right(room_frames: list[np.ndarray]) -> None:
    vision = SeeAndRead(None, Nobody(), RULES)

    assert look(vision, room_frames[:3])[Source.VIEW][0].reasons == (Reason.NO_VIEW,)


def test_people_are_looked_for_five_times_a_second_and_in_the_last_frame(
    fingerprint: Fingerprint, room_frames: list[np.ndarray]
) -> None:
    finder = Nobody()
    vision = SeeAndRead(fingerprint, finder, RULES)

    look(vision, room_frames[:10])
    asked = finder.asked
    examine(vision, room_frames[10], S + 905 * MS, opening=True, still=True, final=True)

    assert asked == 5
    assert finder.asked == 6


def test_a_frame_that_waited_for_a_look_at_people_leaves_them_to_the_next(
    fingerprint: Fingerprint, room_frames: list[np.ndarray]
) -> None:
    """On a slow device the view is read between two long looks; the last frame shows all."""
    observer = Observer(fingerprint, Nobody())
    came = [(0, False), (300, True), (400, False), (700, True), (1000, True), (1300, True)]

    looked = [observer.see(room_frames[0], S + ms * MS, late=late).people for ms, late in came]
    final = observer.see(room_frames[0], S + 1600 * MS, late=True, final=True).people

    assert looked == [True, False, True, False, True, False]
    assert final


def test_a_masked_lane_looks_for_people_in_every_frame_however_late(
    fingerprint: Fingerprint, room_frames: list[np.ndarray]
) -> None:
    observer = Observer(fingerprint, Nobody(), often=True)

    assert all(observer.see(room_frames[0], S + i * 300 * MS, late=True).people for i in range(3))


def test_two_people_are_a_crowd(fingerprint: Fingerprint, room_frames: list[np.ndarray]) -> None:
    two = Nobody(Box(100, 100, 200, 220, 0.9), Box(400, 100, 500, 220, 0.9))

    found = look(SeeAndRead(fingerprint, two, RULES), room_frames[:3])

    assert found[Source.PEOPLE][0].reasons == (Reason.PEOPLE_CROWD,)


def test_the_scene_is_asked_once_a_second_and_vetoes_if_that_lasts(
    fingerprint: Fingerprint, room_frames: list[np.ndarray]
) -> None:
    scene = Outdoors()

    found = look(SeeAndRead(fingerprint, Nobody(), RULES, scene), room_frames[:25])

    assert scene.asked == [S, S + 1100 * MS, S + 2100 * MS]  # not where all is looked through
    reasons = [reading.reasons for reading in found[Source.SCENE]]
    assert reasons == [(), (Reason.SCENE_OUTDOOR,), (Reason.SCENE_OUTDOOR,)]


def test_a_scene_that_finds_no_frame_of_its_own_is_asked_all_the_same(
    room_frames: list[np.ndarray],
) -> None:
    scene = Outdoors()
    observer = Observer(None, Nobody(), scene)

    for i in range(4):  # a slow device: every frame is looked through for people
        observer.see(room_frames[i], S + i * S)

    assert scene.asked == [S, 2 * S, 3 * S, 4 * S]


def test_whoever_asks_makes_the_dear_looks_and_is_not_asked_in_a_cheap_frame(
    fingerprint: Fingerprint, room_frames: list[np.ndarray]
) -> None:
    """A lease lasts 200 ms: a slow device renews it during a look, not after each frame."""
    done: list[str] = []

    class People(Nobody):
        def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
            done.append("people")
            return super().detect(frame)

    class Places(Outdoors):
        def read(self, frame: np.ndarray, captured_ns: int) -> SceneReading:
            done.append("scene")
            return super().read(frame, captured_ns)

    def run(look: Callable[[], T]) -> T:
        done.append("begin")
        found = look()
        done.append("end")
        return found

    observer = Observer(fingerprint, People(), Places())
    observer.see(room_frames[0], S, run=run)
    first = done[:]
    observer.see(room_frames[1], S + 100 * MS, run=run)

    assert first == ["begin", "people", "end", "begin", "scene", "end"]
    assert done == first


def test_a_face_near_the_camera_is_no_ground_for_a_veto_and_a_small_one_is(
    fingerprint: Fingerprint, room_frames: list[np.ndarray]
) -> None:
    """The scene model takes somebody who leans in for a driver."""
    near, far = Box(200, 60, 440, 380, 0.9), Box(300, 100, 350, 170, 0.9)
    for face, vetoed in ((near, False), (far, True)):
        found = look(SeeAndRead(fingerprint, Nobody(face), RULES, Outdoors()), room_frames[:25])

        assert any(reading.reasons for reading in found[Source.SCENE]) is vetoed


def test_the_shipped_scene_model_does_not_veto_the_room_it_was_not_trained_on(
    room_frames: list[np.ndarray],
) -> None:
    assert SceneModel.load().read(room_frames[0], 0).reasons == ()


def test_a_street_is_foreign_and_says_so_by_both_rules(fingerprint: Fingerprint) -> None:
    street = list(render.drive(4))
    for opening in (True, False):
        found = look(SeeAndRead(fingerprint, Nobody(), RULES), street, opening=opening)

        assert Reason.VIEW_FOREIGN in found[Source.VIEW][0].reasons


def test_a_foreign_frame_is_compared_over_all_blocks(fingerprint: Fingerprint) -> None:
    vision = SeeAndRead(fingerprint, Nobody(), RULES)
    street = next(iter(render.drive(1)))

    assert examine(vision, street, S, opening=True, still=True).seen_blocks == ALL_BLOCKS


@pytest.mark.slow
def test_a_picture_that_moves_before_a_still_board_disagrees(fingerprint: Fingerprint) -> None:
    panning = list(render.pan(render.room(), 6, px_per_frame=12.0))

    with_board = look(SeeAndRead(fingerprint, Nobody(), RULES), panning, still=True)
    without = look(SeeAndRead(fingerprint, Nobody(), RULES), panning, still=False)

    reasons = {reason for reading in with_board[Source.EGO_MOTION] for reason in reading.reasons}
    assert reasons == {Reason.CAM_MOVING, Reason.SENSOR_VISION_DISAGREE}
    reasons = {reason for reading in without[Source.EGO_MOTION] for reason in reading.reasons}
    assert reasons == {Reason.CAM_MOVING}


def test_blocks_that_turn_bad_between_two_looks_at_people_are_told(
    fingerprint: Fingerprint, room_frames: list[np.ndarray]
) -> None:
    """Frames 0, 2 and 4 are looked at for people; what comes in at 3 has to wait for 4."""
    covered = [frame.copy() for frame in room_frames[20:25]]
    for frame in covered[3:]:
        frame[240:, 320:] = 0
    vision = SeeAndRead(fingerprint, Nobody(), RULES)

    reported = [
        examine(vision, frame, S + i * 100 * MS, opening=False, still=True).unsettled
        for i, frame in enumerate(covered)
    ]

    assert reported == [False, False, False, True, False]


@pytest.mark.parametrize("spent_ms,fits", [(15, True), (300, True), (301, False)])
def test_a_detector_too_slow_for_the_waiting_frames_is_refused(spent_ms: int, fits: bool) -> None:
    if fits:
        check_rate(spent_ms * MS, 500 * MS)
        return
    with pytest.raises(ModelError, match="takes 301 ms"):
        check_rate(spent_ms * MS, 500 * MS)


@pytest.mark.parametrize(
    "width,height,rate_hz,fits",
    [
        (640, 480, 60.0, True),
        (1280, 720, 30.0, True),
        (1920, 1080, 30.0, True),
        (1920, 1080, 60.0, False),
        (2560, 1440, 15.0, True),
        (2560, 1440, 0.0, False),  # taken for 30
        (3840, 2160, 30.0, False),
        (3840, 2160, 4.0, True),
    ],
)
def test_a_picture_too_large_for_the_waiting_frames_is_refused(
    width: int, height: int, rate_hz: float, fits: bool
) -> None:
    size, room = width * height * 3, Limits().max_bytes
    if fits:
        check_room(15 * MS, size, rate_hz, room)
        return
    with pytest.raises(ModelError, match=r"\d+ frames of .* MiB wait for their evidence"):
        check_room(15 * MS, size, rate_hz, room)


def test_after_a_restart_what_is_covered_must_be_seen_before_the_first_opening(
    fingerprint: Fingerprint, room_frames: list[np.ndarray]
) -> None:
    """A board that hides the same fifth before and after the restart owes that fifth."""
    face = Box(10, 150, 90, 260, 0.9)  # whoever stands there explains it, and yet
    covered = room_frames[20].copy()
    covered[:, :160] = 0

    before = look(SeeAndRead(fingerprint, Nobody(face), RULES), [covered])
    after = look(SeeAndRead(fingerprint, Nobody(face), RULES, fresh=False), [covered])
    empty = look(SeeAndRead(fingerprint, Nobody(), RULES, fresh=False), [room_frames[20]])

    assert Reason.VIEW_UNSEEN not in before[Source.VIEW][0].reasons
    assert Reason.VIEW_UNSEEN in after[Source.VIEW][0].reasons
    assert empty[Source.VIEW][0].good


class _CountingFaces:
    def __init__(self):
        self.looks = 0

    def detect(self, frame):
        self.looks += 1
        return ()


def _looks(frames, step_ns=200 * MS):
    faces = _CountingFaces()
    vision = SeeAndRead(None, faces, PeopleRules())
    counts = []
    for number, frame in enumerate(frames):
        result = examine(vision, frame, number * step_ns, opening=True, still=True)
        assert any(reading.source is Source.PEOPLE for reading in result.readings)
        counts.append(faces.looks)
    return counts


@pytest.mark.slow
def test_an_unchanged_picture_is_looked_at_once_a_second(room):
    assert _looks(render.still(room, 11))[-1] == 3  # at 0, 1 and 2 seconds


def test_whoever_comes_in_is_looked_for_at_once(room):
    """As small as the detector finds one, in a corner; and whoever fades in slowly."""
    quiet = list(render.still(room, 4))
    small = render.with_noise(room, 9)
    small[40:60, 60:76] = (140, 165, 205)
    person = render.with_person(room)
    fading = [
        render.with_noise(np.asarray(room + (person.astype(float) - room) * share, np.uint8), i)
        for i, share in enumerate((0.0, 0.02, 0.04, 0.06))
    ]

    assert _looks([*quiet[:2], small]) == [1, 1, 2]
    assert _looks(fading)[-1] >= 2


@pytest.mark.parametrize(
    ("why", "over_all"),
    [
        (Reason.VIEW_FOREIGN, True),
        (Reason.VIEW_FADED, True),
        (Reason.VIEW_PARTIAL, True),
        (Reason.VIEW_COVERED, False),
        (Reason.VIEW_CHANGED, False),
    ],
)
def test_next_frames_are_compared_over_all_blocks_while_the_view_is_unknown(
    fingerprint: Fingerprint,
    room_frames: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    why: Reason,
    over_all: bool,
) -> None:
    """The twin: what hides or changes a part of the known view leaves the seen blocks."""
    observer = Observer(fingerprint, Nobody())
    check = observer._view
    assert check is not None
    read = check.read

    def doubtful(*words: Any) -> Any:
        return replace(read(*words), reasons_continue=(why,), seen_blocks=0b111)

    monkeypatch.setattr(check, "read", doubtful)

    assert observer.see(room_frames[20], 0).seen_blocks == (ALL_BLOCKS if over_all else 0b111)
