"""Random tapes, with what the board says beside them: everything that can change does at times."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.archive.columns import coded
from edge.archive.tape import Tape
from edge.clock import MS, S
from edge.commissioning.records import Device, Session, parse_device, parse_session
from edge.evidence.liveness import Liveness
from edge.evidence.readings import BoardSample
from edge.evidence.vision import Sighting
from edge.reasons import Reason
from edge.replay.engine import START_NS, evidence_due
from edge.view import signs
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint
from edge.view.look import MALFORMED, Look
from tests.support.guards import DEVICE, SESSION

_DARK = (3.0, 2.0, 0.1)
_PLACE = Path("random.toml")


@dataclass(frozen=True)
class Case:
    """One recording and the records it is judged by."""

    tape: Tape
    samples: tuple[BoardSample, ...]
    device: Device
    session: Session


def random_case(seed: int, view: bytes, most_s: float = 6.0) -> Case:
    """A recording in which moods change: each lasts some time and makes some things bad.

    Args:
        view: the file of an enrolled view.
        most_s: length of the longest recording.
    """
    dice = random.Random(seed)
    lane = dice.choice(["verify_1_1"] * 6 + ["detect", "view_masked"])
    masked = lane == "view_masked"
    length_s = dice.uniform(0.5, most_s)
    session = parse_session(SESSION.replace("verify_1_1", lane).encode(), _PLACE)
    lanes = 'lanes = ["verify_1_1", "detect", "view_masked"]'
    device_text = DEVICE.replace('lanes = ["verify_1_1", "detect"]', lanes)
    device_text = device_text.replace("dwell_s = 1", f"dwell_s = {dice.choice([1, 1, 2])}")
    tape = _tape(dice, length_s, view if dice.random() < 0.9 else b"", masked)
    samples = _samples(dice, length_s) if dice.random() < 0.9 else ()
    return Case(tape, samples, parse_device(device_text.encode(), _PLACE), session)


class _Mood:
    """Whether something is bad now; stays as it is for a while."""

    def __init__(self, dice: random.Random, bad: float, lasts_s: float) -> None:
        self._dice, self._share, self._lasts_s = dice, bad, lasts_s
        self._until_s, self._bad = -1.0, False

    def at(self, t_s: float) -> bool:
        if t_s >= self._until_s:
            self._bad = self._dice.random() < self._share
            self._until_s = t_s + self._dice.expovariate(1 / self._lasts_s)
        return self._bad


def _times(dice: random.Random, length_s: float, rate_hz: float) -> list[int]:
    gaps = _Mood(dice, 0.03, 0.2)
    times, t_s = [], 0.0
    while t_s < length_s:
        times.append(round(t_s * S))
        step = dice.choice([0.15, 0.35, 0.9]) if gaps.at(t_s) else 1 / rate_hz
        t_s += step * dice.uniform(0.9, 1.1)
    return times


def _tape(dice: random.Random, length_s: float, view: bytes, masked: bool) -> Tape:
    rough = dice.choice([0.0, 0.02, 0.1, 0.3])
    times = _times(dice, length_s, dice.choice([5.0, 12.0, 25.0, 30.0, 60.0]))
    foreign, dark, frozen, broken = (_Mood(dice, rough, 0.3) for _ in range(4))
    looks, wrong, live, sightings = [], [], [], []
    pairs = Fingerprint.from_bytes(view).counts if view else np.zeros(signs.BLOCKS)
    liveness = Liveness()
    sights = _Sights(dice, rough)
    for at_ns in times:
        t_s = at_ns / S
        if broken.at(t_s):
            look = MALFORMED
        else:
            change = 0.0 if frozen.at(t_s) and looks else dice.uniform(0.5, 3.0)
            mean, std, sharp = _DARK if dark.at(t_s) else (110.0, 45.0, 20.0)
            digest = looks[-1].digest if change == 0.0 and looks else dice.getrandbits(32)
            look = Look(0.0, mean, std, sharp, change, digest, False)
        looks.append(look)
        share = 0.9 if foreign.at(t_s) else 0.05
        wrong.append((pairs * min(1.0, dice.uniform(0.5, 1.5) * share)).astype(np.uint8))
        live.append(liveness.see(look, START_NS + at_ns))
        before = sightings[-1].captured_ns if sightings else None
        if not look.malformed and evidence_due(before, START_NS + at_ns):
            sightings.append(sights.at(START_NS + at_ns, people=masked))
    return Tape(
        masked=masked,
        size=(480, 640),
        view=view,
        not_judged=0,
        recording="",
        captured_ns=np.array(times, np.int64),
        looks=np.array([look[1:5] for look in looks], np.float64),
        digests=np.array([look.digest for look in looks], np.uint32),
        malformed=np.array([look.malformed for look in looks], np.bool_),
        wrong=np.array(wrong, np.uint8),
        liveness=coded(live),
        sightings=tuple(sightings),
        last=sights.at(START_NS + times[-1], people=True),
    )


class _Sights:
    def __init__(self, dice: random.Random, rough: float) -> None:
        self._dice = dice
        self._people_ns = -S
        self._boxes: tuple[Box, ...] = ()
        self._bad = {
            name: _Mood(dice, rough, 0.25)
            for name in ("view", "crowd", "moving", "stale", "scene", "in", "blocks", "small")
        }
        self._scene_ns = -S

    def at(self, at_ns: int, *, people: bool) -> Sighting:
        t_s, dice = at_ns / S, self._dice
        bad = {name: mood.at(t_s) for name, mood in self._bad.items()}
        if people or at_ns - self._people_ns >= 180 * MS:
            self._people_ns, people = at_ns, True
            height = 20.0 if bad["small"] else 200.0
            one = Box(200.0, 100.0, 200.0 + height, 100.0 + height, 0.9)
            self._boxes = (one, one) if bad["crowd"] else (one,) if dice.random() < 0.9 else ()
        view: tuple[Reason, ...] = ()
        if bad["view"]:
            kinds = [Reason.VIEW_FOREIGN, Reason.VIEW_PARTIAL, Reason.VIEW_FADED]
            view = (dice.choice(kinds),)
        scene = None
        if at_ns - self._scene_ns >= S:
            self._scene_ns = at_ns
            scene = (Reason.SCENE_VEHICLE,) if bad["scene"] else ()
        blocks = (1 << signs.BLOCKS) - 1
        if bad["blocks"]:
            blocks &= dice.getrandbits(signs.BLOCKS) | dice.getrandbits(signs.BLOCKS)
        return Sighting(
            captured_ns=at_ns,
            height=480,
            width=640,
            people=people,
            boxes=self._boxes,
            faceless=0,
            view_open=view,
            view_continue=view if dice.random() < 0.5 else (),
            seen_blocks=blocks,
            unsettled=bad["in"] and not people,
            moving=(Reason.CAM_MOVING,) if bad["moving"] else (),
            shift=0.0,
            freshness=(Reason.CAM_LOOP,) if bad["stale"] else (),
            scene=scene,
        )


def _samples(dice: random.Random, length_s: float) -> tuple[BoardSample, ...]:
    rough = dice.choice([0.0, 0.03, 0.1, 0.3])
    away, moved, silent, fast = (_Mood(dice, rough, 0.4) for _ in range(4))
    together, drives = dice.random() < 0.7, dice.random() < 0.3
    rate_hz = dice.choice([20.0, 50.0, 100.0])
    samples, t_s = [], -0.3
    while t_s < length_s + 0.2:
        still = tuple(dice.gauss(0.0, 0.3 if moved.at(t_s) else 0.002) for _ in range(3))
        pull = (dice.gauss(0, 0.01), dice.gauss(0, 0.01), 9.81 + dice.gauss(0, 0.01))
        docked = not away.at(t_s)
        if not silent.at(t_s):
            speed = 8.0 if fast.at(t_s) else 0.0
            for part in [(True, True)] if together else [(True, False), (False, True)]:
                samples.append(
                    BoardSample(
                        captured_ns=round(t_s * S),
                        dock=docked if part[0] else None,
                        dock_id="D-0017" if part[0] and docked else None,
                        tampered=False if part[0] else None,
                        gyro_rad_s=still if part[1] else None,
                        accel_m_s2=pull if part[1] else None,
                        speed_m_s=speed if drives and part[1] else None,
                    )
                )
        t_s += dice.uniform(0.8, 1.2) / rate_hz
    assert all(math.isfinite(one.captured_ns) for one in samples)
    return tuple(samples)
