"""Reason codes: the one table of why a frame is blocked, worst first.

The order of the members is the order in which reasons are reported. `family`
says which evidence a reason comes from: a test that forges everything but the
picture checks that only `Family.VISION` is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import lru_cache


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


_ALL_OFF = "Face matching stays off until this is fixed and the dwell has passed."
_RESTART = "Face matching stays off; the guard starts again in the blocked state."
_LOADED = "The policy in force stays in force; with none, everything is blocked."
_ROLLED_BACK = "Face matching stays off until the log is whole or the device provisioned again."


class Reason(Enum):
    """Why a frame is blocked; the value is what logs and JSON store."""

    __hash__ = object.__hash__  # by identity, as its members are equal: a tenth of Enum's time

    _value_: str
    family: Family
    rank: int  # 0 for the worst reason; rises towards the mildest
    happened: str  # what an operator reads: what happened,
    next_step: str  # what to do next,
    stays_off: str  # and what stays off until then

    def __new__(
        cls, code: str, family: Family, happened: str, next_step: str, stays_off: str = _ALL_OFF
    ) -> Reason:
        """A row of the table; nearly every reason keeps all face matching off."""
        self = object.__new__(cls)
        self._value_ = code
        self.family, self.rank = family, len(cls.__members__)
        self.happened, self.stays_off, self.next_step = happened, stays_off, next_step
        return self

    # fmt: off
    # integrity: nothing the guard says can be trusted until this is fixed
    STATE_ROLLBACK = ("STATE_ROLLBACK", Family.INTEGRITY,
        "The stored log and policy are older than what the board has seen.",
        "Keep the storage card unchanged and re-provision the device with another one.",
        _ROLLED_BACK)
    LOG_ROLLBACK = ("LOG_ROLLBACK", Family.INTEGRITY,
        "The audit log is shorter than the board or the last checkpoint says.",
        "Keep the log unchanged; compare it with the last exported checkpoint.",
        _ROLLED_BACK)
    LOG_FORKED = ("LOG_FORKED", Family.INTEGRITY,
        "This log's key signed two histories, or the alarm's place cannot be read.",
        "Keep the file, take the device out of service and find out who else holds its key.",
        "Where the signed record names the alarm's file, face matching, until the file is gone.")
    AUDIT_UNAVAILABLE = ("AUDIT_UNAVAILABLE", Family.INTEGRITY,
        "The audit log could not be written, so no permit may begin.",
        "Free space or replace the storage, then restart the guard.")
    UNCLEAN_STOP = ("UNCLEAN_STOP", Family.INTEGRITY,
        "The guard stopped last time without closing its log.",
        "Nothing, if it is rare. If it repeats, read the log from before the stop.",
        _RESTART)
    POLICY_UNSIGNED = ("POLICY_UNSIGNED", Family.INTEGRITY,
        "No trusted key has signed the policy.",
        "Sign it with `framegate policy sign` and install it again.",
        _LOADED)
    POLICY_THRESHOLD = ("POLICY_THRESHOLD", Family.INTEGRITY,
        "Too few different trusted keys signed the policy.",
        "Have another key holder sign the same bundle.",
        _LOADED)
    POLICY_MALFORMED = ("POLICY_MALFORMED", Family.INTEGRITY,
        "The policy is damaged, or is not a policy bundle.",
        "Build the bundle again with `framegate policy build`.",
        _LOADED)
    POLICY_ROLLBACK = ("POLICY_ROLLBACK", Family.INTEGRITY,
        "The policy is older than the newest one this device has seen.",
        "Install the current bundle.",
        _LOADED)
    POLICY_EXPIRED = ("POLICY_EXPIRED", Family.INTEGRITY,
        "The policy's last day has passed, by the latest time this device knows.",
        "Install a fresh bundle.")
    POLICY_LINT = ("POLICY_LINT", Family.INTEGRITY,
        "The policy holds a rule that is empty or always true.",
        "Run `framegate policy lint` and fix the rule it names.",
        _LOADED)
    MODEL_DIGEST = ("MODEL_DIGEST", Family.INTEGRITY,
        "A model file is missing or is not the one that was pinned.",
        "Run `framegate models pull`.")
    MODEL_LANE = ("MODEL_LANE", Family.INTEGRITY,
        "A model of the matcher can output what its lane does not allow, such as a face vector.",
        "Use a model made for the lane, or sign a record that allows the lane it needs.",
        "The matcher is not started.")
    MODEL_OUTPUT = ("MODEL_OUTPUT", Family.INTEGRITY,
        "A model gave an answer that cannot be true (not finite, wrong shape).",
        "Restart the guard; if it repeats, pull the model again.")
    MODEL_TIMEOUT = ("MODEL_TIMEOUT", Family.INTEGRITY,
        "A model took too long to answer.",
        "Check the load of the device with `framegate doctor`.")
    TIME_UNTRUSTED = ("TIME_UNTRUSTED", Family.INTEGRITY,
        "Nothing proves the time, so the guard cannot tell which dated rules apply.",
        "Let a time service set the clock; `framegate doctor` says whether one does.",
        "Face matching stays off; every rule is read as on its strictest day.")
    CLOCK_BACKWARDS = ("CLOCK_BACKWARDS", Family.INTEGRITY,
        "The wall clock shows a time before one that has surely passed.",
        "Set the clock. If the recorded time was wrong, correct it in a signed record, under "
        "[clock].")
    CLOCK_JUMP = ("CLOCK_JUMP", Family.INTEGRITY,
        "The wall clock jumped. Leases are not affected; the guard checks all dates again.",
        "Check the time source if it repeats.",
        "Nothing by itself.")
    RESOURCE = ("RESOURCE", Family.INTEGRITY,
        "Memory or another resource ran out.",
        "Check memory and disk with `framegate doctor`.",
        _RESTART)
    PROCESS_SILENT = ("PROCESS_SILENT", Family.INTEGRITY,
        "One of the guard's processes has stopped sending its heartbeat.",
        "The supervisor restarts it; check the load if it repeats.")
    TIME_GAP = ("TIME_GAP", Family.INTEGRITY,
        "The guard or the camera stood still for longer than a lease lasts.",
        "Look for suspend, overload or a stopped process.",
        "Frames from before the gap are erased; the dwell begins again.")
    DEADLINE_MISSED = ("DEADLINE_MISSED", Family.INTEGRITY,
        "The slow loop could not renew the lease in time.",
        "Lower the load, or allow real-time scheduling.")
    # the board
    TAMPER = ("TAMPER", Family.BOARD,
        "The board's tamper switch opened.",
        "Inspect the housing, then start a new session.",
        "The interlock stays down until a new decision after the switch is closed.")
    INTERLOCK_FAULT = ("INTERLOCK_FAULT", Family.BOARD,
        "The board holds the interlock down although the guard asked for a permit.",
        "Read the board's latched fault with `framegate board status`.")
    LINK_KEY = ("LINK_KEY", Family.BOARD,
        "Packets from the board do not authenticate with this device's key.",
        "Provision the board and the guard with the same key.")
    LINK_VERSION = ("LINK_VERSION", Family.BOARD,
        "The board and the guard have no protocol version in common.",
        "Update the older of the two.")
    BOARD_VIRTUAL = ("BOARD_VIRTUAL", Family.BOARD,
        "The board that answers is a simulated one, and no signed record allows that.",
        "Connect a real board; for a trial, sign a record with [board] virtual = true.")
    LINK_REPLAY = ("LINK_REPLAY", Family.BOARD,
        "A packet from the board came a second time.",
        "Check the wiring of the serial line; a repeat is either noise or an attack.",
        "The packet is ignored.")
    LINK_LOST = ("LINK_LOST", Family.BOARD,
        "No valid packet has come from the board for longer than a lease lasts.",
        "Check cable, port and power of the board.")
    SENSOR_IMPLAUSIBLE = ("SENSOR_IMPLAUSIBLE", Family.BOARD,
        "A board sensor reports values that cannot be real.",
        "Check the sensor. The guard ignores flat lines and jumps.")
    SENSOR_SILENT = ("SENSOR_SILENT", Family.BOARD,
        "A required board sensor has sent nothing for too long.",
        "Check the board's sensors.")
    NOT_DOCKED = ("NOT_DOCKED", Family.BOARD,
        "The dock contact reports that the camera is not in its dock.",
        "Put the camera in its dock.")
    DOCK_SITE = ("DOCK_SITE", Family.BOARD,
        "The dock's id is not the one the signed record names.",
        "Use the commissioned dock, or commission this one.")
    DOCK_STUCK = ("DOCK_STUCK", Family.BOARD,
        "The dock contact says docked while the camera moves.",
        "Inspect the dock contact.")
    MOTION = ("MOTION", Family.BOARD,
        "The board's gyro or accelerometer reports that the camera moves.",
        "Fix the camera to its mount.")
    SPEED = ("SPEED", Family.BOARD,
        "The board reports that it travels.",
        "Nothing: a travelling camera is never a controlled setting.")
    LIGHT = ("LIGHT", Family.BOARD,
        "The board's light reading contradicts the enrolled site.",
        "Check the light sensor and the site.")
    # the signed records
    MOBILE_CLASS = ("MOBILE_CLASS", Family.RECORD,
        "The signed record says the camera is not of the fixed class.",
        "Only a new signed device record can change the class.",
        "Face matching stays off for this device.")
    MOUNT_UNSURVEYED = ("MOUNT_UNSURVEYED", Family.RECORD,
        "The signed record does not say that anybody checked the mount.",
        "Check the mount, enter it in the record and sign again.")
    NO_SITE = ("NO_SITE", Family.RECORD,
        "The signed record names no enrolled site or dock.",
        "Enrol the site and sign the record again.")
    NO_VIEW = ("NO_VIEW", Family.RECORD,
        "No usable view is enrolled for this camera.",
        "Run `framegate camera enroll` at the site.")
    LANE_NOT_COMMISSIONED = ("LANE_NOT_COMMISSIONED", Family.RECORD,
        "The session asks for a lane that the signed record does not list.",
        "Use a commissioned lane.",
        "Nothing is released in that lane.")
    CAM_IDENTITY = ("CAM_IDENTITY", Family.RECORD,
        "The camera is not the one that was enrolled, or it is a loopback or a plain file.",
        "Reconnect the enrolled camera or enrol this one.")
    LAG_UNBOUNDED = ("LAG_UNBOUNDED", Family.RECORD,
        "Nothing limits how late the camera's frames come, or a frame came later than the limit. "
        "Such a frame may show another moment than the board's readings.",
        "Use a camera that dates its frames, or measure the delay and sign a record with "
        "[capture] max_lag_ms above it. If this comes and goes, look for a slow network.")
    # the picture
    SENSOR_VISION_DISAGREE = ("SENSOR_VISION_DISAGREE", Family.VISION,
        "The picture moves while the board reports no movement, or the other way round.",
        "Look for a replayed picture or a detached board.")
    VIEW_FOREIGN = ("VIEW_FOREIGN", Family.VISION,
        "The picture does not show the enrolled view.",
        "Point the camera at the enrolled view; enrol again if the room changed.")
    VIEW_FADED = ("VIEW_FADED", Family.VISION,
        "The enrolled view lost a quarter of its contrast at once: a lamp went out, the exposure "
        "changed, or another picture is being faded in.",
        "Wait a second. If it repeats, keep the light and the exposure steady.")
    VIEW_DIMMED = ("VIEW_DIMMED", Family.VISION,
        "The light on the enrolled view fell by a quarter at once, twice within ten seconds: lamps "
        "went out, or the exposure changed.",
        "Wait a second. If it repeats, keep the light and the exposure steady.")
    VIEW_PARTIAL = ("VIEW_PARTIAL", Family.VISION,
        "Too little of the enrolled view is visible to recognise it.",
        "Step back or clear the view.")
    VIEW_COVERED = ("VIEW_COVERED", Family.VISION,
        "Something that is no person hides parts of the view, or somebody moved furniture.",
        "Remove what hides the view; if furniture was moved for good, enrol the view again.")
    VIEW_CHANGED = ("VIEW_CHANGED", Family.VISION,
        "For half a minute parts of the picture have held still and shown something else than "
        "was enrolled: furniture was moved, or something stands before it.",
        "Put it back. If it stays, enrol the view again: with --renew while three quarters of it "
        "are as they were.")
    VIEW_UNSEEN = ("VIEW_UNSEEN", Family.VISION,
        "The camera has not seen parts of the enrolled view for ten minutes.",
        "Clear the view once, so that the camera sees all of it.")
    VIEW_SILENT = ("VIEW_SILENT", Family.VISION,
        "There is no recent reading of the enrolled view.",
        "Wait; if it lasts, the device is overloaded.")
    CAM_MOVING = ("CAM_MOVING", Family.VISION,
        "The picture shows that the camera moves.",
        "Fix the camera to its mount.")
    SCENE_OUTDOOR = ("SCENE_OUTDOOR", Family.VISION,
        "The picture looks like a place outdoors.",
        "Nothing: outdoors is never a controlled setting.")
    SCENE_VEHICLE = ("SCENE_VEHICLE", Family.VISION,
        "The picture looks like the view from a vehicle.",
        "Nothing: a vehicle is never a controlled setting.")
    SCENE_PUBLIC = ("SCENE_PUBLIC", Family.VISION,
        "The view looks like a public interior.",
        "Choose another view, or have a second key holder sign the enrolment.")
    PEOPLE_CROWD = ("PEOPLE_CROWD", Family.VISION,
        "More people are in the picture than the signed record allows.",
        "Wait until bystanders have left.")
    PEOPLE_SMALL = ("PEOPLE_SMALL", Family.VISION,
        "A face in the picture is too small: somebody is too far away to be taking part.",
        "Step closer, or wait until bystanders have left.")
    PEOPLE_ZONE = ("PEOPLE_ZONE", Family.VISION,
        "A person is outside the zone where the subject is meant to be.",
        "Step into the marked zone.")
    PEOPLE_UNSETTLED = ("PEOPLE_UNSETTLED", Family.VISION,
        "Something large came into the picture since the guard last looked for people.",
        "Wait.",
        "Frames wait until the guard has looked again.")
    PEOPLE_SILENT = ("PEOPLE_SILENT", Family.VISION,
        "There is no recent reading of the people in the picture.",
        "Wait; if it lasts, the device is overloaded.")
    CAM_COVERED = ("CAM_COVERED", Family.VISION,
        "The lens is covered or the picture is black.",
        "Uncover the lens.")
    SCENE_UNINFORMATIVE = ("SCENE_UNINFORMATIVE", Family.VISION,
        "The picture is white, flat or out of focus.",
        "Check light and focus.")
    CAM_FROZEN = ("CAM_FROZEN", Family.VISION,
        "The same picture comes again and again, or most of it does while a part changes.",
        "Restart the camera. A still picture in place of the camera looks like this, too.")
    CAM_LOOP = ("CAM_LOOP", Family.VISION,
        "Pictures or movements came again in the same order.",
        "Use a live camera; a looped recording looks like this.")
    LIVENESS_UNCERTAIN = ("LIVENESS_UNCERTAIN", Family.VISION,
        "The picture does not change as a live one does: its noise is too even, or a face never "
        "moves.",
        "Use a live camera and look at it for a moment. A still with noise added looks like this.")
    FRAME_MALFORMED = ("FRAME_MALFORMED", Family.VISION,
        "A frame had the wrong size, format or time.",
        "Check the camera's driver.",
        "The frame is dropped; ten in a second block everything.")
    CAM_LOST = ("CAM_LOST", Family.VISION,
        "The camera is gone.",
        "Reconnect the enrolled camera.")
    CAM_STALLED = ("CAM_STALLED", Family.VISION,
        "The camera delivers no frames.",
        "Check cable and driver of the camera.")
    # the session
    SESSION_MISSING = ("SESSION_MISSING", Family.SESSION,
        "There is no session claim.",
        "Start a session with a signed claim.")
    CONSENT_WITHDRAWN = ("CONSENT_WITHDRAWN", Family.SESSION,
        "The person withdrew consent or opted out.",
        "Let the person use the way that needs no face.",
        "Nothing more of this person is released.")
    DESK_UNREADABLE = ("DESK_UNREADABLE", Family.SESSION,
        "The consent inbox cannot be read, or new files come too fast.",
        "Check that the folder named with --desk is readable, that it holds fewer than 4,096 "
        "token, withdrawal and opt-out files, and that no program keeps writing new ones.")
    COMPARISONS_UNREPORTED = ("COMPARISONS_UNREPORTED", Family.SESSION,
        "A face was released for 3 s and the matcher reported no comparison.",
        "Have the matcher call `compared` of its connection for every comparison.",
        "Nothing more is released until it reports, or the picture has been empty for 2 s.")
    GALLERY_UNREPORTED = ("GALLERY_UNREPORTED", Family.SESSION,
        "The lane compares every face with a gallery, and the matcher has not reported whose "
        "faces are in it.",
        "Have the matcher call `gallery([...])` of its connection or VideoCapture, with the "
        "digest of each person, before it asks for frames and after each change.",
        "Nothing is released: the guard cannot check anybody's consent.")
    LANE_MISMATCH = ("LANE_MISMATCH", Family.SESSION,
        "The matcher's lane is not the one the session claims.",
        "Connect with the lane of the session.",
        "Nothing is released to it.")
    # the policy
    POLICY_DENY = ("POLICY_DENY", Family.POLICY,
        "The policy forbids this operation, or no permit covers it.",
        "Read the named rules with `framegate explain RULE`.",
        "Face matching stays off for this session.")
    # the matcher
    PEER_UNKNOWN = ("PEER_UNKNOWN", Family.MATCHER,
        "A process without the session's token or user id asked for frames.",
        "Start the matcher through the guard.",
        "It gets nothing.")
    MATCHER_PROTOCOL = ("MATCHER_PROTOCOL", Family.MATCHER,
        "The matcher sent a message that is not part of the protocol.",
        "Use `edge.connect`, or fix the matcher.",
        "The guard has closed its connection.")
    MATCHER_ESCAPE_ATTEMPT = ("MATCHER_ESCAPE_ATTEMPT", Family.MATCHER,
        "The matcher tried to get out of its sandbox.",
        "Examine the matcher before it runs again.",
        "The matcher is stopped; nothing is released.")
    MATCHER_LOST = ("MATCHER_LOST", Family.MATCHER,
        "The matcher has ended or has lost its connection.",
        "Restart the matcher.",
        "Frames are withheld until one connects.")
    # no cause: the guard waits
    FRAME_STALE = ("FRAME_STALE", Family.WAITING,
        "The frame was captured before the permit began, or too long ago.",
        "Nothing.",
        "That frame is never released.")
    FIFO_FULL = ("FIFO_FULL", Family.WAITING,
        "The frame waited too long, or the waiting frames took too much memory.",
        "Nothing, if it is rare. If it repeats, lower the frame rate or the frame size.",
        "That frame is never released.")
    LEASE_EXPIRED = ("LEASE_EXPIRED", Family.WAITING,
        "The lease ran out before it was renewed.",
        "Nothing, if it is rare. If it repeats, check the load.",
        "Waiting frames are erased.")
    LEASE_MALFORMED = ("LEASE_MALFORMED", Family.WAITING,
        "A message on the lease channel was not a valid lease.",
        "Restart the guard.")
    BRACKET = ("BRACKET", Family.WAITING,
        "The frame waits for a good reading from after its capture.",
        "Nothing.",
        "It is released when one comes, and erased otherwise.")
    DWELL = ("DWELL", Family.WAITING,
        "Everything looks right, but not yet for long enough.",
        "Wait.",
        "Face matching stays off until the dwell has passed.")
    NO_LEASE = ("NO_LEASE", Family.WAITING,
        "The guard has given no permit yet.",
        "Wait; every start begins blocked.",
        "Face matching stays off.")
    # fmt: on


def worst_first(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Each reason once, worst first; waiting is named only where no cause is."""
    return _worst_first(tuple(reasons))


@lru_cache(1024)  # the same few come again and again
def _worst_first(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    ordered = sorted(set(reasons), key=lambda reason: reason.rank)
    causes = [reason for reason in ordered if reason.family is not Family.WAITING]
    return tuple(causes or ordered)
