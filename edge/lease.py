"""The lease: what the slow loop tells the gate, and the only thing it tells.

A `Lease` permits frames of one camera, one boot, one policy and one lane,
captured in [from_ns, to_ns), until `expires_ns`. A `Revocation` ends it. Both
travel as one SOCK_SEQPACKET message each; `encode` and `decode` are the wire
format. All times are integer nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from edge.clock import MS
from edge.errors import LeaseError
from edge.reasons import Reason

LIFE_NS = 200 * MS  # design: default life; renewed every 50 to 100 ms
RENEW_NS = 50 * MS
MIN_VIEW_SCORE = 0.80  # share of agreeing signs; own p1 >= 0.82, foreign max 0.68 in trials


class Lane(Enum):
    """What the matcher does with frames; the value is the policy's `operation`."""

    VERIFY = "verify_1_1"
    IDENTIFY = "identify_1_n"
    REIDENTIFY = "reidentify"
    REDACT_SELECTIVE = "redact_selective"
    DETECT = "detect"
    DETECT_DROWSINESS = "detect_drowsiness"
    DETECT_EVENT = "detect_event"
    INFER_ATTRIBUTE = "infer_attribute"
    INFER_EMOTION = "infer_emotion"
    READ_PLATE = "read_plate"
    REDACT = "redact"
    SOCIAL_SCORE = "social_score"
    TRANSCRIBE = "transcribe_audio"
    EXPORT = "export"
    VIEW_MASKED = "view_masked"

    @property
    def identifying(self) -> bool:
        """Whether the lane needs a controlled context on top of policy ALLOW."""
        return self in _IDENTIFYING

    @property
    def masked(self) -> bool:
        """Whether every person is masked in what leaves, and all of the picture on doubt."""
        return self is Lane.VIEW_MASKED


_IDENTIFYING = frozenset({Lane.VERIFY, Lane.IDENTIFY, Lane.REIDENTIFY, Lane.REDACT_SELECTIVE})
_LANES = tuple(Lane)


@dataclass(frozen=True, slots=True)
class Lease:
    """Permission to match frames captured in [from_ns, to_ns), until expires_ns."""

    epoch: int  # rises by one per grant, so an old lease is recognised
    camera: bytes  # 16 bytes: digest of the camera identity
    boot: bytes  # 16 bytes: the kernel's boot id
    policy: bytes  # 32 bytes: digest of the policy in force
    lane: Lane
    from_ns: int
    to_ns: int
    expires_ns: int
    min_view_score: float  # share of agreeing signs, 0 to 1; 0 in lanes without a view
    seen_blocks: int  # bit i set: block i of the enrolled view was seen by the last reading
    decision: int  # index of the audit record this lease rests on


@dataclass(frozen=True, slots=True)
class Revocation:
    """The end of every lease up to and including `epoch`, and why."""

    epoch: int
    reasons: tuple[Reason, ...]
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binding:
    """What this gate was started for; a lease for anything else is refused."""

    camera: bytes
    boot: bytes
    policy: bytes
    lane: Lane


_LEASE = struct.Struct("<4sQ16s16s32sBqqqdQQ")
_LEASE_MAGIC = b"FGL1"
_REVOKE_MAGIC = b"FGR1"
_REVOKE = struct.Struct("<4sQ")
_BY_NAME = {reason.value: reason for reason in Reason}


def encode(message: Lease | Revocation) -> bytes:
    """The message as the bytes that go to the gate."""
    if isinstance(message, Revocation):
        text = ",".join(r.value for r in message.reasons) + "|" + ",".join(message.rules)
        return _REVOKE.pack(_REVOKE_MAGIC, message.epoch) + text.encode()
    return _LEASE.pack(
        _LEASE_MAGIC,
        message.epoch,
        message.camera,
        message.boot,
        message.policy,
        _LANES.index(message.lane),
        message.from_ns,
        message.to_ns,
        message.expires_ns,
        message.min_view_score,
        message.seen_blocks,
        message.decision,
    )


def decode(data: bytes) -> Lease | Revocation:
    """The message in `data`.

    Raises:
        LeaseError: not a whole, known and sane message.
    """
    magic = data[:4]
    if magic == _LEASE_MAGIC and len(data) == _LEASE.size:
        _, epoch, camera, boot, policy, lane, *rest = _LEASE.unpack(data)
        if lane >= len(_LANES):
            raise LeaseError(f"lease names lane {lane}, expected 0 to {len(_LANES) - 1}")
        lease = Lease(epoch, camera, boot, policy, _LANES[lane], *rest)
        if not 0.0 <= (score := lease.min_view_score) <= 1.0:  # also refuses NaN
            raise LeaseError(f"lease asks for view score {score}, expected 0 to 1")
        if lease.from_ns >= lease.to_ns:
            raise LeaseError("lease covers no capture time")
        return lease
    if magic == _REVOKE_MAGIC and len(data) >= _REVOKE.size:
        (_, epoch) = _REVOKE.unpack_from(data)
        try:
            reasons, _, rules = data[_REVOKE.size :].decode().partition("|")
            return Revocation(
                epoch,
                tuple(_BY_NAME[name] for name in reasons.split(",") if name),
                tuple(rule for rule in rules.split(",") if rule),
            )
        except (UnicodeDecodeError, KeyError) as err:
            raise LeaseError(f"revocation with unreadable reasons: {err}") from err
    raise LeaseError(f"expected a lease or revocation, got {len(data)} bytes")
