"""The strongest insider: every record and every sensor forged to look perfect.

Only the picture is left to tell a street from the enrolled place, which is what
the evaluation asks. The honest counterparts say what the recording really is.
"""

from __future__ import annotations

import math
from dataclasses import replace

from edge.clock import MS
from edge.commissioning.records import Device, Session
from edge.evaluation.manifest import Clip, Mount
from edge.evidence.people import PeopleRules
from edge.evidence.readings import BoardSample
from edge.lease import Lane

DOCK_ID = "D-0017"
_SAMPLE_NS = 20 * MS

PERFECT_DEVICE = Device(
    camera="fixed",
    mount="fixed_surveyed",
    site="till-2",
    dock_id=DOCK_ID,
    publicly_accessible=False,
    lanes=(Lane.VERIFY,),
    dwell_s=1.0,
    user="private_business",
    by_or_for="neither",
    jurisdiction="EU",
    people=PeopleRules(max=1, min_height=0.1),
)
PERFECT_SESSION = Session(
    operation=Lane.VERIFY, gallery="self_only", consent="valid", active_involvement=True
)


def still_board(last_ns: int) -> list[BoardSample]:
    """A docked board at rest, with the small unrest of a real sensor, up to `last_ns`."""
    samples = []
    for number in range(-5, last_ns // _SAMPLE_NS + 10):
        wobble = 0.002 * math.sin(number * 1.7)
        samples.append(
            BoardSample(
                captured_ns=number * _SAMPLE_NS,
                dock=True,
                dock_id=DOCK_ID,
                tampered=False,
                gyro_rad_s=(wobble, -wobble / 2, wobble / 3),
                accel_m_s2=(5 * wobble, 3 * wobble, 9.81 + 4 * wobble),
            )
        )
    return samples


def honest_device(clip: Clip) -> Device:
    """What the record of an uncontrolled recording would truly say."""
    if clip.controlled:
        return PERFECT_DEVICE
    mobile = clip.mount is Mount.MOBILE
    return replace(
        PERFECT_DEVICE,
        camera="body_worn" if mobile else "fixed",
        mount="worn_moving" if mobile else "fixed_surveyed",
        publicly_accessible=True,
        site="",
        dock_id="",
    )
