"""Reason codes: the one table of why a frame is blocked, worst first.

The order of the members is the order in which reasons are reported. `family`
says which evidence a reason comes from: a test that forges everything but the
picture checks that only `Family.VISION` is left. What an operator reads of each
stands in `reasons.json`: what happened, what to do next, what stays off until then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from pathlib import Path


class Family(Enum):
    """Which part of the guard a reason comes from."""

    INTEGRITY = "integrity"
    BOARD = "board"
    RECORD = "record"
    VISION = "vision"
    SESSION = "session"
    POLICY = "policy"
    MATCHER = "matcher"
    WAITING = "waiting"  # no cause: the guard is not sure yet


_TEXTS = json.loads(Path(__file__).with_suffix(".json").read_bytes())
_ALL_OFF = "Face matching stays off until this is fixed and the dwell has passed."  # of nearly all


class Reason(Enum):
    """Why a frame is blocked; the value is what logs and JSON store."""

    __hash__ = object.__hash__  # by identity, as its members are equal: a tenth of Enum's time

    _value_: str
    family: Family
    rank: int  # 0 for the worst reason; rises towards the mildest
    happened: str
    next_step: str
    stays_off: str

    def __new__(cls, code: str, family: Family) -> Reason:
        """A row of the table, with its texts."""
        self = object.__new__(cls)
        self._value_ = code
        self.family, self.rank = family, len(cls.__members__)
        texts = _TEXTS[code]
        self.happened, self.next_step = texts["happened"], texts["next_step"]
        self.stays_off = texts.get("stays_off", _ALL_OFF)
        return self

    # integrity: nothing the guard says can be trusted until this is fixed
    STATE_ROLLBACK = "STATE_ROLLBACK", Family.INTEGRITY
    LOG_ROLLBACK = "LOG_ROLLBACK", Family.INTEGRITY
    LOG_FORKED = "LOG_FORKED", Family.INTEGRITY
    AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE", Family.INTEGRITY
    UNCLEAN_STOP = "UNCLEAN_STOP", Family.INTEGRITY
    POLICY_UNSIGNED = "POLICY_UNSIGNED", Family.INTEGRITY
    POLICY_THRESHOLD = "POLICY_THRESHOLD", Family.INTEGRITY
    POLICY_MALFORMED = "POLICY_MALFORMED", Family.INTEGRITY
    POLICY_ROLLBACK = "POLICY_ROLLBACK", Family.INTEGRITY
    POLICY_EXPIRED = "POLICY_EXPIRED", Family.INTEGRITY
    POLICY_LINT = "POLICY_LINT", Family.INTEGRITY
    MODEL_DIGEST = "MODEL_DIGEST", Family.INTEGRITY
    MODEL_LANE = "MODEL_LANE", Family.INTEGRITY
    MODEL_OUTPUT = "MODEL_OUTPUT", Family.INTEGRITY
    MODEL_TIMEOUT = "MODEL_TIMEOUT", Family.INTEGRITY
    TIME_UNTRUSTED = "TIME_UNTRUSTED", Family.INTEGRITY
    CLOCK_BACKWARDS = "CLOCK_BACKWARDS", Family.INTEGRITY
    CLOCK_JUMP = "CLOCK_JUMP", Family.INTEGRITY
    RESOURCE = "RESOURCE", Family.INTEGRITY
    PROCESS_SILENT = "PROCESS_SILENT", Family.INTEGRITY
    TIME_GAP = "TIME_GAP", Family.INTEGRITY
    DEADLINE_MISSED = "DEADLINE_MISSED", Family.INTEGRITY
    # the board
    TAMPER = "TAMPER", Family.BOARD
    INTERLOCK_FAULT = "INTERLOCK_FAULT", Family.BOARD
    LINK_KEY = "LINK_KEY", Family.BOARD
    LINK_VERSION = "LINK_VERSION", Family.BOARD
    BOARD_VIRTUAL = "BOARD_VIRTUAL", Family.BOARD
    LINK_REPLAY = "LINK_REPLAY", Family.BOARD
    LINK_LOST = "LINK_LOST", Family.BOARD
    SENSOR_IMPLAUSIBLE = "SENSOR_IMPLAUSIBLE", Family.BOARD
    SENSOR_SILENT = "SENSOR_SILENT", Family.BOARD
    NOT_DOCKED = "NOT_DOCKED", Family.BOARD
    DOCK_SITE = "DOCK_SITE", Family.BOARD
    DOCK_STUCK = "DOCK_STUCK", Family.BOARD
    MOTION = "MOTION", Family.BOARD
    SPEED = "SPEED", Family.BOARD
    LIGHT = "LIGHT", Family.BOARD
    # the signed records
    MOBILE_CLASS = "MOBILE_CLASS", Family.RECORD
    MOUNT_UNSURVEYED = "MOUNT_UNSURVEYED", Family.RECORD
    NO_SITE = "NO_SITE", Family.RECORD
    NO_VIEW = "NO_VIEW", Family.RECORD
    LANE_NOT_COMMISSIONED = "LANE_NOT_COMMISSIONED", Family.RECORD
    CAM_IDENTITY = "CAM_IDENTITY", Family.RECORD
    LAG_UNBOUNDED = "LAG_UNBOUNDED", Family.RECORD
    # the picture
    SENSOR_VISION_DISAGREE = "SENSOR_VISION_DISAGREE", Family.VISION
    VIEW_FOREIGN = "VIEW_FOREIGN", Family.VISION
    VIEW_FADED = "VIEW_FADED", Family.VISION
    VIEW_DIMMED = "VIEW_DIMMED", Family.VISION
    VIEW_PARTIAL = "VIEW_PARTIAL", Family.VISION
    VIEW_COVERED = "VIEW_COVERED", Family.VISION
    VIEW_CHANGED = "VIEW_CHANGED", Family.VISION
    VIEW_UNSEEN = "VIEW_UNSEEN", Family.VISION
    VIEW_SILENT = "VIEW_SILENT", Family.VISION
    CAM_MOVING = "CAM_MOVING", Family.VISION
    SCENE_OUTDOOR = "SCENE_OUTDOOR", Family.VISION
    SCENE_VEHICLE = "SCENE_VEHICLE", Family.VISION
    SCENE_PUBLIC = "SCENE_PUBLIC", Family.VISION
    PEOPLE_CROWD = "PEOPLE_CROWD", Family.VISION
    PEOPLE_SMALL = "PEOPLE_SMALL", Family.VISION
    PEOPLE_ZONE = "PEOPLE_ZONE", Family.VISION
    PEOPLE_UNSETTLED = "PEOPLE_UNSETTLED", Family.VISION
    PEOPLE_SILENT = "PEOPLE_SILENT", Family.VISION
    CAM_COVERED = "CAM_COVERED", Family.VISION
    SCENE_UNINFORMATIVE = "SCENE_UNINFORMATIVE", Family.VISION
    CAM_FROZEN = "CAM_FROZEN", Family.VISION
    CAM_LOOP = "CAM_LOOP", Family.VISION
    LIVENESS_UNCERTAIN = "LIVENESS_UNCERTAIN", Family.VISION
    FRAME_MALFORMED = "FRAME_MALFORMED", Family.VISION
    CAM_LOST = "CAM_LOST", Family.VISION
    CAM_STALLED = "CAM_STALLED", Family.VISION
    # the session
    SESSION_MISSING = "SESSION_MISSING", Family.SESSION
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN", Family.SESSION
    DESK_UNREADABLE = "DESK_UNREADABLE", Family.SESSION
    COMPARISONS_UNREPORTED = "COMPARISONS_UNREPORTED", Family.SESSION
    GALLERY_UNREPORTED = "GALLERY_UNREPORTED", Family.SESSION
    LANE_MISMATCH = "LANE_MISMATCH", Family.SESSION
    # the policy
    POLICY_DENY = "POLICY_DENY", Family.POLICY
    # the matcher
    PEER_UNKNOWN = "PEER_UNKNOWN", Family.MATCHER
    MATCHER_PROTOCOL = "MATCHER_PROTOCOL", Family.MATCHER
    MATCHER_ESCAPE_ATTEMPT = "MATCHER_ESCAPE_ATTEMPT", Family.MATCHER
    MATCHER_LOST = "MATCHER_LOST", Family.MATCHER
    # no cause: the guard waits
    FRAME_STALE = "FRAME_STALE", Family.WAITING
    FIFO_FULL = "FIFO_FULL", Family.WAITING
    LEASE_EXPIRED = "LEASE_EXPIRED", Family.WAITING
    LEASE_MALFORMED = "LEASE_MALFORMED", Family.WAITING
    BRACKET = "BRACKET", Family.WAITING
    DWELL = "DWELL", Family.WAITING
    NO_LEASE = "NO_LEASE", Family.WAITING


def worst_first(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Each reason once, worst first; waiting is named only where no cause is."""
    return _worst_first(tuple(reasons))


def with_gates(decider: Iterable[Reason], gate: Reason) -> tuple[Reason, ...]:
    """What the decider said of a blocked frame and what the gate did, worst first.

    The gate knows how well a frame agrees, not why: its "foreign" gives way to a name for what
    is wrong with a view that the decider knows.
    """
    reasons = tuple(decider)
    known = gate is Reason.VIEW_FOREIGN and not _KNOWN_VIEW.isdisjoint(reasons)
    return worst_first(reasons if known else (*reasons, gate))


_KNOWN_VIEW = frozenset(
    {
        Reason.VIEW_FADED,
        Reason.VIEW_DIMMED,
        Reason.VIEW_PARTIAL,
        Reason.VIEW_COVERED,
        Reason.VIEW_CHANGED,
    }
)


@lru_cache(1024)  # the same few come again and again
def _worst_first(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    ordered = sorted(set(reasons), key=lambda reason: reason.rank)
    causes = [reason for reason in ordered if reason.family is not Family.WAITING]
    return tuple(causes or ordered)
