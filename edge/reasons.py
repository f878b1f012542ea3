"""Reason codes: the one table of why a frame is blocked, worst first.

The order of the members is the order in which reasons are reported. `family`
says which evidence spoke: a test that forges everything but the picture
checks that only `Family.VISION` is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Family(Enum):
    """Which part of the guard a reason comes from."""

    INTEGRITY = "integrity"
    BOARD = "board"
    RECORD = "record"
    VISION = "vision"
    SESSION = "session"
    POLICY = "policy"
    MATCHER = "matcher"
    WAITING = "waiting"  # no cause: the guard is only not yet sure


class Reason(Enum):
    """Why a frame is blocked; the value is what logs and JSON store."""

    # integrity: nothing the guard says can be trusted until this is mended
    STATE_ROLLBACK = "STATE_ROLLBACK"
    LOG_ROLLBACK = "LOG_ROLLBACK"
    AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE"
    UNCLEAN_STOP = "UNCLEAN_STOP"
    POLICY_UNSIGNED = "POLICY_UNSIGNED"
    POLICY_THRESHOLD = "POLICY_THRESHOLD"
    POLICY_MALFORMED = "POLICY_MALFORMED"
    POLICY_ROLLBACK = "POLICY_ROLLBACK"
    POLICY_EXPIRED = "POLICY_EXPIRED"
    POLICY_LINT = "POLICY_LINT"
    MODEL_DIGEST = "MODEL_DIGEST"
    MODEL_LANE = "MODEL_LANE"
    MODEL_OUTPUT = "MODEL_OUTPUT"
    MODEL_TIMEOUT = "MODEL_TIMEOUT"
    TIME_UNTRUSTED = "TIME_UNTRUSTED"
    CLOCK_BACKWARDS = "CLOCK_BACKWARDS"
    CLOCK_JUMP = "CLOCK_JUMP"
    RESOURCE = "RESOURCE"
    PROCESS_SILENT = "PROCESS_SILENT"
    TIME_GAP = "TIME_GAP"
    DEADLINE_MISSED = "DEADLINE_MISSED"
    # board
    TAMPER = "TAMPER"
    INTERLOCK_FAULT = "INTERLOCK_FAULT"
    LINK_KEY = "LINK_KEY"
    LINK_VERSION = "LINK_VERSION"
    BOARD_VIRTUAL = "BOARD_VIRTUAL"
    LINK_REPLAY = "LINK_REPLAY"
    LINK_LOST = "LINK_LOST"
    SENSOR_IMPLAUSIBLE = "SENSOR_IMPLAUSIBLE"
    SENSOR_SILENT = "SENSOR_SILENT"
    NOT_DOCKED = "NOT_DOCKED"
    DOCK_SITE = "DOCK_SITE"
    DOCK_STUCK = "DOCK_STUCK"
    MOTION = "MOTION"
    SPEED = "SPEED"
    LIGHT = "LIGHT"
    # the signed records
    MOBILE_CLASS = "MOBILE_CLASS"
    MOUNT_UNSURVEYED = "MOUNT_UNSURVEYED"
    NO_SITE = "NO_SITE"
    NO_VIEW = "NO_VIEW"
    LANE_NOT_COMMISSIONED = "LANE_NOT_COMMISSIONED"
    CAM_IDENTITY = "CAM_IDENTITY"
    LAG_UNBOUNDED = "LAG_UNBOUNDED"
    # the picture
    SENSOR_VISION_DISAGREE = "SENSOR_VISION_DISAGREE"
    VIEW_FOREIGN = "VIEW_FOREIGN"
    VIEW_PARTIAL = "VIEW_PARTIAL"
    VIEW_COVERED = "VIEW_COVERED"
    VIEW_UNSEEN = "VIEW_UNSEEN"
    VIEW_SILENT = "VIEW_SILENT"
    CAM_MOVING = "CAM_MOVING"
    SCENE_OUTDOOR = "SCENE_OUTDOOR"
    SCENE_VEHICLE = "SCENE_VEHICLE"
    SCENE_PUBLIC = "SCENE_PUBLIC"
    PEOPLE_CROWD = "PEOPLE_CROWD"
    PEOPLE_SMALL = "PEOPLE_SMALL"
    PEOPLE_ZONE = "PEOPLE_ZONE"
    PEOPLE_UNSETTLED = "PEOPLE_UNSETTLED"
    PEOPLE_SILENT = "PEOPLE_SILENT"
    CAM_COVERED = "CAM_COVERED"
    SCENE_UNINFORMATIVE = "SCENE_UNINFORMATIVE"
    CAM_FROZEN = "CAM_FROZEN"
    CAM_LOOP = "CAM_LOOP"
    LIVENESS_UNCERTAIN = "LIVENESS_UNCERTAIN"
    FRAME_MALFORMED = "FRAME_MALFORMED"
    CAM_LOST = "CAM_LOST"
    CAM_STALLED = "CAM_STALLED"
    # the session
    SESSION_MISSING = "SESSION_MISSING"
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"
    DESK_UNREADABLE = "DESK_UNREADABLE"
    COMPARISONS_UNREPORTED = "COMPARISONS_UNREPORTED"
    GALLERY_UNREPORTED = "GALLERY_UNREPORTED"
    LANE_MISMATCH = "LANE_MISMATCH"
    # policy
    POLICY_DENY = "POLICY_DENY"
    # the matcher
    PEER_UNKNOWN = "PEER_UNKNOWN"
    MATCHER_PROTOCOL = "MATCHER_PROTOCOL"
    MATCHER_ESCAPE_ATTEMPT = "MATCHER_ESCAPE_ATTEMPT"
    MATCHER_LOST = "MATCHER_LOST"
    # not a cause: the guard waits
    FRAME_STALE = "FRAME_STALE"
    FIFO_FULL = "FIFO_FULL"
    LEASE_EXPIRED = "LEASE_EXPIRED"
    LEASE_MALFORMED = "LEASE_MALFORMED"
    BRACKET = "BRACKET"
    DWELL = "DWELL"
    NO_LEASE = "NO_LEASE"

    @property
    def family(self) -> Family:
        return _FAMILY[self]

    @property
    def rank(self) -> int:
        """0 for the worst reason; rises towards the mildest."""
        return _RANK[self]


_FIRST_OF = {
    Reason.STATE_ROLLBACK: Family.INTEGRITY,
    Reason.TAMPER: Family.BOARD,
    Reason.MOBILE_CLASS: Family.RECORD,
    Reason.SENSOR_VISION_DISAGREE: Family.VISION,
    Reason.SESSION_MISSING: Family.SESSION,
    Reason.POLICY_DENY: Family.POLICY,
    Reason.PEER_UNKNOWN: Family.MATCHER,
    Reason.FRAME_STALE: Family.WAITING,
}


def _families() -> dict[Reason, Family]:
    family = Family.INTEGRITY
    found = {}
    for reason in Reason:
        family = _FIRST_OF.get(reason, family)
        found[reason] = family
    return found


_FAMILY = _families()
_RANK = {reason: i for i, reason in enumerate(Reason)}


def worst_first(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Each reason once, worst first; waiting is named only where no cause is."""
    ordered = sorted(set(reasons), key=_RANK.__getitem__)
    causes = [r for r in ordered if _FAMILY[r] is not Family.WAITING]
    return tuple(causes or ordered)


@dataclass(frozen=True, slots=True)
class Help:
    """What an operator reads: what happened, what stays off, what to do next."""

    happened: str
    stays_off: str
    next_step: str


_ALL_OFF = "Face matching stays off until this is mended and the dwell has passed."
_RESTART = "Face matching stays off; the guard starts again in the blocked state."
_LOADED = "The policy in force stays in force; with none, everything is blocked."
_OPERATOR = "Face matching stays off until an authenticated operator resets the lockout."

HELP: dict[Reason, Help] = {
    Reason.STATE_ROLLBACK: Help(
        "The stored log and policy are older than what the board has seen.",
        _OPERATOR,
        "Keep the storage card as evidence and re-provision the device.",
    ),
    Reason.LOG_ROLLBACK: Help(
        "The audit log is shorter than the board or the last checkpoint says.",
        _OPERATOR,
        "Keep the log as evidence; compare it with the last exported checkpoint.",
    ),
    Reason.AUDIT_UNAVAILABLE: Help(
        "The audit log could not be written, so no permit may begin.",
        _ALL_OFF,
        "Free space or replace the storage, then restart the guard.",
    ),
    Reason.UNCLEAN_STOP: Help(
        "The guard ended last time without closing its log.",
        _RESTART,
        "Nothing, if it is rare; look at the log before it if it repeats.",
    ),
    Reason.POLICY_UNSIGNED: Help(
        "The policy carries no signature by a trusted key.",
        _LOADED,
        "Sign it with `framegate policy sign` and install it again.",
    ),
    Reason.POLICY_THRESHOLD: Help(
        "Too few different trusted keys signed the policy.",
        _LOADED,
        "Have another key holder sign the same bundle.",
    ),
    Reason.POLICY_MALFORMED: Help(
        "The policy could not be read as what it claims to be.",
        _LOADED,
        "Build the bundle again with `framegate policy build`.",
    ),
    Reason.POLICY_ROLLBACK: Help(
        "The policy is older than the newest one this device has seen.",
        _LOADED,
        "Install the current bundle.",
    ),
    Reason.POLICY_EXPIRED: Help(
        "The policy's last day has passed, by the latest time this device knows.",
        _ALL_OFF,
        "Install a fresh bundle.",
    ),
    Reason.POLICY_LINT: Help(
        "The policy holds a rule that is empty or always true.",
        _LOADED,
        "Run `framegate policy lint` and mend the rule it names.",
    ),
    Reason.MODEL_DIGEST: Help(
        "A model file is missing or is not the one that was pinned.",
        _ALL_OFF,
        "Run `framegate models pull`.",
    ),
    Reason.MODEL_LANE: Help(
        "A model of the matcher puts out what its lane does not allow, such as a vector of a face.",
        "The matcher is not started.",
        "Use a model made for the lane, or have the lane it needs commissioned.",
    ),
    Reason.MODEL_OUTPUT: Help(
        "A model gave an answer that cannot be true (not finite, wrong shape).",
        _ALL_OFF,
        "Restart the guard; pull the model again if it repeats.",
    ),
    Reason.MODEL_TIMEOUT: Help(
        "A model took too long to answer.",
        _ALL_OFF,
        "Look at the load of the device with `framegate doctor`.",
    ),
    Reason.TIME_UNTRUSTED: Help(
        "Nothing proves what time it is, so nobody knows which dated rules hold.",
        "Face matching stays off; every rule is read as on its strictest day.",
        "Let a time service set the clock; `framegate doctor` says whether one does.",
    ),
    Reason.CLOCK_BACKWARDS: Help(
        "The wall clock shows a time before one that is known to have passed.",
        _ALL_OFF,
        "Set the clock; if the recorded time was wrong, sign it away under [clock].",
    ),
    Reason.CLOCK_JUMP: Help(
        "The wall clock jumped. Leases are not affected; dates are judged again.",
        "Nothing by itself.",
        "Check the time source if it repeats.",
    ),
    Reason.RESOURCE: Help(
        "Memory or another resource ran out.",
        _RESTART,
        "Look at memory and disk with `framegate doctor`.",
    ),
    Reason.PROCESS_SILENT: Help(
        "One of the guard's processes has stopped giving its heartbeat.",
        _ALL_OFF,
        "The supervisor restarts it; look at the load if it repeats.",
    ),
    Reason.TIME_GAP: Help(
        "The guard or the camera stood still for longer than a lease lives.",
        "Frames from before the gap are gone; the dwell begins again.",
        "Look for suspend, overload or a stopped process.",
    ),
    Reason.DEADLINE_MISSED: Help(
        "The slow loop could not renew the lease in time.",
        _ALL_OFF,
        "Lower the load, or allow real-time scheduling.",
    ),
    Reason.TAMPER: Help(
        "The board's tamper switch opened.",
        "The interlock stays down until a new decision after the switch is closed.",
        "Inspect the housing, then start a new session.",
    ),
    Reason.INTERLOCK_FAULT: Help(
        "The board holds the interlock down although the guard asked for a permit.",
        _ALL_OFF,
        "Read the board's latched fault with `framegate board status`.",
    ),
    Reason.LINK_KEY: Help(
        "Packets from the board do not authenticate with this device's key.",
        _ALL_OFF,
        "Provision the board and the guard with the same key.",
    ),
    Reason.BOARD_VIRTUAL: Help(
        "The board that answers is a simulated one, and nothing signed lets it stand in.",
        _ALL_OFF,
        "Connect a real board; for a trial, sign a record with [board] virtual = true.",
    ),
    Reason.LINK_VERSION: Help(
        "The board and the guard share no protocol version.",
        _ALL_OFF,
        "Update the older of the two.",
    ),
    Reason.LINK_REPLAY: Help(
        "A packet from the board was sent before.",
        "It counts as no packet at all.",
        "Check the wiring of the serial line; a repeat is either noise or an attack.",
    ),
    Reason.LINK_LOST: Help(
        "Nothing valid has come from the board for longer than a lease lives.",
        _ALL_OFF,
        "Check cable, port and power of the board.",
    ),
    Reason.SENSOR_IMPLAUSIBLE: Help(
        "A board sensor reports values that cannot be real.",
        _ALL_OFF,
        "Check the sensor; flat lines and jumps count as no evidence.",
    ),
    Reason.SENSOR_SILENT: Help(
        "A required board sensor has said nothing for too long.",
        _ALL_OFF,
        "Check the board's sensors.",
    ),
    Reason.NOT_DOCKED: Help(
        "The dock contact is not made.",
        _ALL_OFF,
        "Seat the camera in its dock.",
    ),
    Reason.DOCK_SITE: Help(
        "The dock's id is not the one the signed record names.",
        _ALL_OFF,
        "Use the commissioned dock, or commission this one.",
    ),
    Reason.DOCK_STUCK: Help(
        "The dock contact says docked while the camera moves.",
        _ALL_OFF,
        "Inspect the dock contact.",
    ),
    Reason.MOTION: Help(
        "The board's gyro or accelerometer says the camera moves.",
        _ALL_OFF,
        "Fix the camera to its mount.",
    ),
    Reason.SPEED: Help(
        "The board reports travel speed.",
        _ALL_OFF,
        "Nothing: a moving camera never matches faces.",
    ),
    Reason.LIGHT: Help(
        "The board's light reading contradicts the enrolled site.",
        _ALL_OFF,
        "Check the light sensor and the site.",
    ),
    Reason.MOBILE_CLASS: Help(
        "The signed record says the camera is not of the fixed class.",
        "Face matching stays off for this device.",
        "Only a new signed commissioning can change the class.",
    ),
    Reason.MOUNT_UNSURVEYED: Help(
        "The signed record names no surveyed mount.",
        _ALL_OFF,
        "Check the mount, name it in the record and sign again.",
    ),
    Reason.NO_SITE: Help(
        "The signed record names no enrolled site or dock.",
        _ALL_OFF,
        "Enrol the site and sign the record again.",
    ),
    Reason.NO_VIEW: Help(
        "No usable view is enrolled for this camera.",
        _ALL_OFF,
        "Run `framegate camera enroll` at the site.",
    ),
    Reason.LANE_NOT_COMMISSIONED: Help(
        "The session asks for a lane that the signed record does not list.",
        "Nothing is released in that lane.",
        "Use a commissioned lane.",
    ),
    Reason.CAM_IDENTITY: Help(
        "The camera is not the one that was enrolled, or it is a loopback or a plain file.",
        _ALL_OFF,
        "Reconnect the enrolled camera or enrol this one.",
    ),
    Reason.LAG_UNBOUNDED: Help(
        "Nothing bounds how late the camera's frames come, or one came later than the bound, so "
        "they may show a moment other than the one the board speaks of.",
        _ALL_OFF,
        "Use a camera that dates its frames; or measure the lag and sign a record with "
        "[capture] max_lag_ms above it. If it comes and goes, look for a slow network.",
    ),
    Reason.SENSOR_VISION_DISAGREE: Help(
        "The picture moves while the board says still, or the other way round.",
        _ALL_OFF,
        "Look for a replayed picture or a detached board.",
    ),
    Reason.VIEW_FOREIGN: Help(
        "The picture does not show the enrolled view.",
        _ALL_OFF,
        "Point the camera at the enrolled view; enrol again if the room changed.",
    ),
    Reason.VIEW_PARTIAL: Help(
        "Too little of the enrolled view can be seen to be sure of it.",
        _ALL_OFF,
        "Step back or clear the view.",
    ),
    Reason.VIEW_COVERED: Help(
        "Parts of the view are covered by something that is not a detected person.",
        _ALL_OFF,
        "Remove what covers the view.",
    ),
    Reason.VIEW_UNSEEN: Help(
        "Parts of the enrolled view have not been seen for ten minutes.",
        _ALL_OFF,
        "Clear the view once so that all of it is seen.",
    ),
    Reason.VIEW_SILENT: Help(
        "There is no recent reading of the enrolled view.",
        _ALL_OFF,
        "Wait; if it lasts, the device is overloaded.",
    ),
    Reason.CAM_MOVING: Help(
        "The picture shows that the camera moves.",
        _ALL_OFF,
        "Fix the camera to its mount.",
    ),
    Reason.SCENE_OUTDOOR: Help(
        "The picture looks like a place outdoors.",
        _ALL_OFF,
        "Nothing: outdoors is never a controlled setting.",
    ),
    Reason.SCENE_VEHICLE: Help(
        "The picture looks like the view from a vehicle.",
        _ALL_OFF,
        "Nothing: a vehicle is never a controlled setting.",
    ),
    Reason.SCENE_PUBLIC: Help(
        "The view looks like a public interior.",
        _ALL_OFF,
        "Choose another view, or have a second key holder sign the enrolment.",
    ),
    Reason.PEOPLE_CROWD: Help(
        "More people are in the picture than the signed record allows.",
        _ALL_OFF,
        "Wait until bystanders have left.",
    ),
    Reason.PEOPLE_SMALL: Help(
        "A face in the picture is too small: somebody is too far away to be taking part.",
        _ALL_OFF,
        "Step closer, or wait until bystanders have left.",
    ),
    Reason.PEOPLE_ZONE: Help(
        "A person is outside the zone where the subject is meant to be.",
        _ALL_OFF,
        "Step into the marked zone.",
    ),
    Reason.PEOPLE_UNSETTLED: Help(
        "Something large came into the picture since the last people reading.",
        "Release is held until the next people reading.",
        "Wait.",
    ),
    Reason.PEOPLE_SILENT: Help(
        "There is no recent reading of the people in the picture.",
        _ALL_OFF,
        "Wait; if it lasts, the device is overloaded.",
    ),
    Reason.CAM_COVERED: Help(
        "The lens is covered or the picture is black.",
        _ALL_OFF,
        "Uncover the lens.",
    ),
    Reason.SCENE_UNINFORMATIVE: Help(
        "The picture is white, flat or out of focus.",
        _ALL_OFF,
        "Check light and focus.",
    ),
    Reason.CAM_FROZEN: Help(
        "The same picture comes again and again, or most of it does: a part may move over it.",
        _ALL_OFF,
        "Restart the camera; a still offered as a camera looks like this.",
    ),
    Reason.CAM_LOOP: Help(
        "Pictures or movements that were seen before came again in the same order.",
        _ALL_OFF,
        "Use a live camera; a looped recording looks like this.",
    ),
    Reason.LIVENESS_UNCERTAIN: Help(
        "The picture does not change as a live one does: even noise, or a face that never moves.",
        _ALL_OFF,
        "Use a live camera and look at it for a moment; a still with noise added looks like this.",
    ),
    Reason.FRAME_MALFORMED: Help(
        "A frame had the wrong size, format or time.",
        "The frame is dropped; ten in a second block everything.",
        "Check the camera's driver.",
    ),
    Reason.CAM_LOST: Help(
        "The camera is gone.",
        _ALL_OFF,
        "Reconnect the enrolled camera.",
    ),
    Reason.CAM_STALLED: Help(
        "The camera delivers no frames.",
        _ALL_OFF,
        "Check cable and driver of the camera.",
    ),
    Reason.SESSION_MISSING: Help(
        "There is no session claim.",
        _ALL_OFF,
        "Start a session with a signed claim.",
    ),
    Reason.CONSENT_WITHDRAWN: Help(
        "The person withdrew consent or opted out.",
        "Nothing more of this person is released.",
        "Use the way in that needs no face.",
    ),
    Reason.DESK_UNREADABLE: Help(
        "The consent inbox cannot be read, or new files come too fast.",
        _ALL_OFF,
        "See that the folder named with --desk is readable, holds under 4,096 plain files and "
        "nothing else by their names, and that nothing writes new ones without end.",
    ),
    Reason.COMPARISONS_UNREPORTED: Help(
        "A face was released for 3 s and the matcher reported no comparison.",
        "Nothing more is released until it reports, or the picture has been empty for 2 s.",
        "Have the matcher call `compared` of its connection for every comparison.",
    ),
    Reason.GALLERY_UNREPORTED: Help(
        "The lane compares every face with a gallery, and the matcher has not said whose.",
        "Nothing is released: nobody's consent can be looked up.",
        "Have the matcher call `gallery([...])` of its connection or VideoCapture, with the "
        "digest of each person, before it asks for frames and after each change.",
    ),
    Reason.LANE_MISMATCH: Help(
        "The matcher's lane is not the one the session claims.",
        "Nothing is released to it.",
        "Connect with the lane of the session.",
    ),
    Reason.POLICY_DENY: Help(
        "The policy forbids this operation, or no permit covers it.",
        "Face matching stays off for this session.",
        "Read the named rules with `framegate explain RULE`.",
    ),
    Reason.PEER_UNKNOWN: Help(
        "A process without the session's token or user id asked for frames.",
        "It gets nothing.",
        "Start the matcher through the guard.",
    ),
    Reason.MATCHER_PROTOCOL: Help(
        "The matcher sent a message that is not part of the protocol.",
        "Its connection is gone.",
        "Use `edge.connect`, or mend the matcher.",
    ),
    Reason.MATCHER_ESCAPE_ATTEMPT: Help(
        "The matcher tried to reach past its sandbox.",
        "It is ended; nothing is released.",
        "Examine the matcher before it runs again.",
    ),
    Reason.MATCHER_LOST: Help(
        "The matcher is gone.",
        "Frames are withheld until one connects.",
        "Restart the matcher.",
    ),
    Reason.FRAME_STALE: Help(
        "The frame was captured before the permission began, or too long ago.",
        "That frame is never released.",
        "Nothing.",
    ),
    Reason.FIFO_FULL: Help(
        "The frame waited longer, or took more memory, than the pending queue allows.",
        "That frame is never released.",
        "Nothing, if it is rare; lower the frame rate or size if not.",
    ),
    Reason.LEASE_EXPIRED: Help(
        "The permission ran out before it was renewed.",
        "Waiting frames are erased.",
        "Nothing, if it is rare; look at the load if not.",
    ),
    Reason.LEASE_MALFORMED: Help(
        "A message on the lease channel was not a valid lease.",
        _ALL_OFF,
        "Restart the guard.",
    ),
    Reason.BRACKET: Help(
        "No good reading from after the frame has come yet.",
        "The frame waits, or is erased.",
        "Nothing.",
    ),
    Reason.DWELL: Help(
        "Everything looks right, but not yet for long enough.",
        "Face matching stays off until the dwell has passed.",
        "Wait.",
    ),
    Reason.NO_LEASE: Help(
        "The guard has given no permission yet.",
        "Face matching stays off.",
        "Wait; a new gate blocks.",
    ),
}
