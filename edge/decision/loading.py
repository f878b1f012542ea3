"""Loads and checks everything that the decider needs before it reports that it is ready.

Records, keys, policy, log, models and consent are read from disk once, at the start. If
anything is wrong the start fails, before anything was permitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from edge.audit.clerk import Clerk
from edge.audit.log import AuditLog
from edge.audit.schema import Enrolment, Release
from edge.clock import Clock, S, boot_id
from edge.commissioning.keys import KeyStore, Office
from edge.commissioning.records import Device, Session, parse_device, parse_session
from edge.consent.consent import Consent as People
from edge.consent.inbox import ConsentInbox
from edge.consent.state import ConsentState
from edge.decision.session_facts import Setup
from edge.decision.settings import DeciderSettings
from edge.errors import ModelError, PolicyError
from edge.evidence.faces import FaceBoxes, face_finder
from edge.evidence.scene import SceneModel
from edge.evidence.vision import Models, check_rate, check_room
from edge.frames.gate import Limits
from edge.lease import Binding
from edge.models import SCENE
from edge.policy.selection import Chosen, choose
from edge.policy.signed.bundle import Floors
from edge.policy.signed.trust import BundleError
from edge.view.bodies import Bodies
from edge.view.fingerprint import Fingerprint
from edge.view.view_file import SceneCheck

LOOKS = 4  # tried before the start; the first one only warms the detector up


@dataclass(frozen=True, slots=True)
class Loaded:
    """What does not change while a decider runs, and the log and the consent that it keeps."""

    setup: Setup
    chosen: Chosen  # the policy and its term
    fingerprint: Fingerprint | None
    models: Models
    reload: Callable[[], Models]  # the same models afresh; may raise ModelError
    clerk: Clerk
    time_floor_ns: int  # UTC that the log knows to have passed, at the start
    consent_state: ConsentState

    @property
    def enrolment(self) -> Enrolment:
        """How the view in force was enrolled, in the log's words."""
        if self.fingerprint is None:
            return Enrolment.NONE
        if self.fingerprint.file.scene is SceneCheck.OVERRIDDEN:
            return Enrolment.OVERRIDDEN
        return Enrolment(self.fingerprint.file.enrolment.value)


def load(settings: DeciderSettings, clock: Clock) -> Loaded:
    """Load everything that the settings name.

    Raises:
        GuardError: something is not what it should be, or this machine is too slow.
    """
    device = parse_device(settings.device.encode(), settings.device_path)
    session = parse_session(settings.session.encode(), settings.session_path)
    fingerprint = Fingerprint.from_bytes(settings.view) if settings.view else None
    store = KeyStore.open(settings.keys)
    log = AuditLog.create_or_open(settings.audit, store.log_key())
    chosen = choose(
        settings.pack,
        settings.policy_store,
        [Floors(version=log.policy_floor, time_s=log.time_floor_ns // S)],
        not_yet_s=device.clock_not_yet_s,
        at_least_s=device.clock_at_least_s,
    )
    device = replace(device, dwell_s=chosen.dwell_s(device.dwell_s))
    if chosen.policy.digest != settings.policy:
        raise PolicyError("the policy changed while the guard started; start it again")
    masking = session.operation.masked
    faces = face_finder(settings.face_model, masking=masking)
    shape = settings.picture.height, settings.picture.width
    models = load_models(settings.face_model, chosen, shape, faces, masking=masking)
    _check_speed(faces, settings, clock)  # the last: what it lets go, no model's weights may split
    return Loaded(
        _setup(settings, chosen, device, session),
        chosen,
        fingerprint,
        models,
        partial(load_models, settings.face_model, chosen, shape, masking=masking),
        Clerk(log),
        log.time_floor_ns,
        _consent_state(settings.inbox, store, device, session),
    )


def load_models(
    face_model: Path,
    chosen: Chosen,
    shape: tuple[int, int],
    faces: FaceBoxes | None = None,
    *,
    masking: bool,
) -> Models:
    """The models for pictures of this height and width, loaded.

    The bundle must name the very bytes that were.

    Raises:
        ModelError: it does not, or one cannot be loaded.
    """
    faces = faces or face_finder(face_model, masking=masking)
    scene = SceneModel.load()
    try:
        chosen.check_models([(face_model, faces.sha256), (SCENE, scene.sha256)])
    except BundleError as err:
        raise ModelError(str(err)) from err
    return Models(faces, scene, Bodies(both=False, wide=shape[1] > shape[0]))


def _setup(settings: DeciderSettings, chosen: Chosen, device: Device, session: Session) -> Setup:
    lane = session.operation
    return Setup(
        device,
        session,
        Binding(settings.camera, boot_id(), chosen.policy.digest, lane),
        settings.release,
        settings.bridge_fd is not None and lane.identifying,
        settings.camera_known,
        chosen.min_view_score,
        chosen.max_age_ns,
        settings.lag_ns,
    )


def _check_speed(faces: FaceBoxes, settings: DeciderSettings, clock: Clock) -> None:
    """Look at an empty picture as often as it takes to know how long one look lasts.

    Raises:
        GuardError: frames that wait for a look would not leave in time.
    """
    picture = settings.picture
    blank = np.zeros((picture.height, picture.width, 3), np.uint8)
    looks_ns = []
    for _ in range(LOOKS):
        began_ns = clock.now_ns()
        faces.detect(blank)
        looks_ns.append(clock.now_ns() - began_ns)
    if settings.release is not Release.BRACKETED:
        return
    spent_ns = min(looks_ns)
    limits = Limits()
    check_rate(spent_ns, limits.max_age_ns)
    frame_bytes = picture.layout.bytes(picture.height, picture.width)
    check_room(spent_ns, frame_bytes, picture.rate_hz, limits.max_bytes)


def _consent_state(
    folder: Path | None, store: KeyStore, device: Device, session: Session
) -> ConsentState:
    """Reads the consent of this session's people; without an inbox the session record gives it."""
    lane = session.operation
    consent = People(lane, device.site)
    inbox = None
    if folder is not None:
        receipt_keys, authorities = store.trusted(Office.DESK), store.trusted(Office.AUTHORITY)
        inbox = ConsentInbox(folder, consent, receipt_keys=receipt_keys, authorities=authorities)
    return ConsentState(lane, consent, inbox, counted=device.matcher_counted)
