"""Real-time as a state: which `source` and `session_open` the policy is told.

A match is real-time while the capture session lasts, whatever the delay. No
number of seconds, no clock and no restart turns live material into a recording;
only a seal does: session over, chain signed, docked, clock attested, a case
number, and old enough. A sealed recording leaves through the export lane and
through no other. Times are nanoseconds of CLOCK_BOOTTIME unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge.lease import Lane
from edge.reasons import Reason

SEALED_FOR_S = 86_400  # a proposal to test, never under an hour: see docs/policy.md


class Path(Enum):
    """The way frames come in, as the guard itself built it; nobody can claim one."""

    CAMERA = "live"
    DELAYED = "live_delayed"  # a feed that was held back
    BUFFER = "ring_buffer"  # kept from before the event
    STILL = "still"
    FILE = "replay_into_live"  # anything played into the input of a camera


@dataclass(frozen=True, slots=True)
class Seal:
    """What was verified of a recording, outside this module."""

    session_over: bool
    chain_signed: bool  # every piece hashed, the whole signed by the capturing device
    docked: bool  # attested by the dock, not claimed
    clock_attested: bool
    case_number: str
    sealed_for_s: int  # by the attested clock

    def missing(self) -> tuple[str, ...]:
        """What keeps this from being a sealed recording; nothing if it is one."""
        asked = {
            "the capture session is not over": self.session_over,
            "its chain is not signed": self.chain_signed,
            "the device is not docked": self.docked,
            "its clock is not attested": self.clock_attested,
            "it has no case number": bool(self.case_number.strip()),
            f"it was sealed less than {SEALED_FOR_S} s ago": self.sealed_for_s >= SEALED_FOR_S,
        }
        return tuple(text for text, held in asked.items() if not held)


@dataclass(frozen=True, slots=True)
class Offer:
    """Frames as they are offered for matching."""

    path: Path
    session_open: bool
    captured_ns: int = 0
    now_ns: int = 0
    boot_changed: bool = False  # the device was restarted since capture
    wall_went_back: bool = False
    seal: Seal | None = None


@dataclass(frozen=True, slots=True)
class Liveness:
    """What the policy is told of the offer."""

    source: str
    session_open: bool
    injected_fault: str

    def facts(self) -> dict[str, object]:
        return {
            "source": self.source,
            "session_open": self.session_open,
            "injected_fault": self.injected_fault,
        }


def judge(offer: Offer) -> Liveness:
    """Live, unless it is proven to be a sealed recording.

    How long ago the frames were captured, and what happened to clocks and boots
    in between, is not looked at while the session lasts.
    """
    fault = "clock_rollback" if offer.wall_went_back else "none"
    if offer.seal is None:
        return Liveness(offer.path.value, True, fault)
    if offer.session_open or offer.seal.missing():
        # a recording that cannot prove itself is offered as live
        return Liveness(Path.FILE.value, True, fault)
    return Liveness("sealed_recording", False, fault)


def wrong_lane(liveness: Liveness, lane: Lane) -> Reason | None:
    """Why these frames may not enter this lane: recordings by export, all else not."""
    sealed = liveness.source == "sealed_recording"
    return None if sealed is (lane is Lane.EXPORT) else Reason.DELAY_SIDESTEP
