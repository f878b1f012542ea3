"""The signed records of a session, as readings and as facts for the policy.

Pure. `edge.decision.judge` asks it at every step; an answer of the policy is kept until
a fact changes. All times are nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.audit.schema import Release
from edge.commissioning.records import Device, Session
from edge.evidence.readings import Reading, Source
from edge.lease import MIN_VIEW_SCORE, Binding
from edge.policy.outcome import Decides, Decision
from edge.policy.outcome import Verdict as PolicyVerdict
from edge.reasons import Reason


@dataclass(frozen=True, slots=True)
class Setup:
    """What does not change while a guard runs."""

    device: Device
    session: Session
    binding: Binding
    release: Release
    interlocked: bool  # a board must acknowledge before anything is released
    camera_known: bool  # the camera is the enrolled one
    min_view_score: float = MIN_VIEW_SCORE  # share of agreeing signs, 0 to 1
    max_age_ns: int | None = None  # of evidence, where the policy's bundle sets it
    lag_ns: int | None = None  # a frame comes at most this long after its exposure; None: unknown


class Ruling:
    """The policy, asked with the facts of this moment."""

    def __init__(self, setup: Setup, policy: Decides) -> None:
        self._setup = setup
        self._policy = policy
        self._people: Mapping[str, object] = {}  # in place of the session record's facts
        self._decisions: dict[tuple[bool, str], Decision] = {}  # by setting and fault

    @property
    def withdrawn(self) -> bool:
        """Whether the person withdrew consent or opted out."""
        return self._people.get("consent") in ("withdrawn", "opted_out")

    def rule_by(self, policy: Decides) -> None:
        """Ask this policy from now on: the rules of a new day."""
        self._policy = policy
        self._decisions.clear()

    def people(self, facts: Mapping[str, object]) -> None:
        """Take facts about the people that replace the session record's."""
        if facts != self._people:
            self._people = dict(facts)
            self._decisions.clear()

    def of(self, controlled: bool, reasons: tuple[Reason, ...]) -> Decision:
        """The policy's decision.

        Args:
            controlled: the context is a controlled one.
            reasons: what is wrong with the evidence.
        """
        asked = controlled, _fault(reasons)
        if asked not in self._decisions:
            facts = {
                **policy_facts(self._setup, *asked),
                **self._people,
                **realtime_facts(self._setup),
            }
            if asked[1] != "none":
                facts["injected_fault"] = asked[1]  # failing evidence is the worse of two faults
            self._decisions[asked] = self._policy.decide(facts)
        return self._decisions[asked]

    @property
    def denies_anyway(self) -> bool:
        """Whether it denies whatever the evidence says, until facts or rules change."""
        settings = {False, self._setup.binding.lane.identifying}
        best = {self.of(controlled, ()).verdict for controlled in settings}
        return self.withdrawn or PolicyVerdict.ALLOW not in best


def policy_facts(setup: Setup, controlled: bool, fault: str) -> Mapping[str, object]:
    """The policy request of this moment, in the vocabulary of the scenarios."""
    device, session = setup.device, setup.session
    return {
        "user": device.user,
        "by_or_for": device.by_or_for,
        "jurisdiction": device.jurisdiction,
        "camera": device.camera,
        "mount": device.mount,
        "setting": "controlled" if controlled else "uncontrolled",
        "publicly_accessible": device.publicly_accessible,
        "operation": session.operation.value,
        "gallery": session.gallery,
        "active_involvement": session.active_involvement,
        "consent": session.consent,
        "authorisation": session.authorisation,
        "inference_backend": session.inference_backend,
        "result_sink": session.result_sink,
        "injected_fault": fault,
    }


def realtime_facts(setup: Setup) -> Mapping[str, object]:
    """What the policy learns about the source; no record can claim otherwise.

    A guard that runs is an open session, and whatever comes through its camera is
    live: no delay, no clock and no restart is asked. Anything that is not the
    enrolled camera is played into its place. A sealed recording does not come this
    way at all.
    """
    return {"source": "live" if setup.camera_known else "replay_into_live", "session_open": True}


_FAULTS = (  # which evidence failure a policy sees as which fault, worst first
    ("heartbeat_lost", frozenset({Reason.LINK_LOST, Reason.PROCESS_SILENT, Reason.TIME_GAP})),
    ("imu_timeout", frozenset({Reason.SENSOR_SILENT, Reason.SENSOR_IMPLAUSIBLE})),
    ("dock_spoof", frozenset({Reason.DOCK_SITE, Reason.DOCK_STUCK, Reason.TAMPER})),
)


def _fault(reasons: tuple[Reason, ...]) -> str:
    for name, causes in _FAULTS:
        if causes.intersection(reasons):
            return name
    return "none"


def static_readings(setup: Setup, now_ns: int) -> tuple[Reading, ...]:
    """Readings that follow from the signed records alone."""
    device, session = setup.device, setup.session
    commissioning = []
    if device.camera != "fixed":
        commissioning.append(Reason.MOBILE_CLASS)
    if device.mount != "fixed_surveyed":
        commissioning.append(Reason.MOUNT_UNSURVEYED)
    if not device.site or not device.dock_id:
        commissioning.append(Reason.NO_SITE)
    claim = []
    if session.operation not in device.lanes:
        claim.append(Reason.LANE_NOT_COMMISSIONED)
    if session.operation is not setup.binding.lane:
        claim.append(Reason.LANE_MISMATCH)
    if session.consent in ("withdrawn", "opted_out"):
        claim.append(Reason.CONSENT_WITHDRAWN)
    camera: tuple[Reason, ...] = () if setup.camera_known else (Reason.CAM_IDENTITY,)
    if setup.lag_ns is None and setup.binding.lane.identifying:
        camera = (*camera, Reason.LAG_UNBOUNDED)
    return (
        Reading(Source.COMMISSIONING, now_ns, tuple(commissioning)),
        Reading(Source.SESSION, now_ns, tuple(claim)),
        Reading(Source.CAMERA, now_ns, camera),
    )
