"""What a guard is to run, and the check of it before anything is started.

`check` verifies every record, key, view, policy and model by its signature or
digest. It starts nothing and writes nothing. `examine` does the same and returns
every fault, not only the first: `config check` prints them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from edge.cameras.source import parse_source
from edge.commissioning.keys import KeyStore, RecordKind, store_folder
from edge.commissioning.matcher_models import check_matcher
from edge.commissioning.records import Device, Session, parse_device, parse_session
from edge.errors import GuardError, ModelError, UsageError
from edge.files import sha256_of
from edge.models import FETCHED, SCENE
from edge.models.pull import asset
from edge.policy.engine import Policy
from edge.policy.naming import bundle_file
from edge.policy.selection import Chosen, choose
from edge.sandbox import spec as sandbox
from edge.sandbox.accelerators import nodes
from edge.sandbox.paths import OwnFiles, path_faults, withheld
from edge.scheduling import START_LIMIT_S
from edge.view.view_file import SceneCheck, ViewFile

VIRTUAL = "virtual"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run; the arguments of `framegate run`."""

    source: str
    device: Path
    session: Path
    keys: Path | None = None
    board: str = VIRTUAL
    board_arguments: tuple[str, ...] = ("--still",)
    matcher: tuple[str, ...] = ()
    confinement: sandbox.Confinement | None = None  # the matcher's sandbox; None for none
    results: str = ""  # where the matcher's results go, see `edge.sandbox.result_relay`
    escaped: str = ""  # how a matcher tried to get out: then none is started, all is blocked
    pack: str = "strict"  # its name, or the path of a signed bundle
    policy: Path | None = None  # folder of the installed bundle, if not the usual one
    release: str = "bracketed"
    start_limit_s: float = START_LIMIT_S  # for each process and the camera to be ready
    audit: Path = Path("audit")
    inbox: Path | None = None  # folder where consent is handed in and taken back
    line_fd: int = -1  # where a virtual board writes its interlock's transitions
    name: str = ""  # of a matcher that shares the camera of another plan's
    others: tuple[Plan, ...] = ()  # the matchers that share this plan's camera, see `beside`
    off_limits: tuple[Path, ...] = ()  # logs of the others, which this plan's matcher may not read


def share(plan: Plan, others: Iterable[Plan]) -> Plan:
    """`plan`, on whose camera each of `others` has a matcher as well.

    Each keeps its own session, matcher and log, and has nothing to do with the board: its
    line is the first matcher's alone.

    Raises:
        UsageError: two have one name, or one log.
    """
    asked = list(others)
    logs = [plan.audit, *(other.audit for other in asked)]
    names = [other.name for other in asked]
    for what, given in (("name", names), ("log", [str(log) for log in logs])):
        twice = sorted({word for word in given if given.count(word) > 1})
        if twice:
            raise UsageError(f"each matcher on one camera needs a {what} of its own: {twice[0]}")
    made = [
        replace(
            plan,
            name=other.name,
            session=other.session,
            matcher=other.matcher,
            confinement=other.confinement,
            results=other.results,
            escaped=other.escaped,
            audit=other.audit,
            inbox=None,
            others=(),
            off_limits=tuple(log for log in logs if log != other.audit),
        )
        for other in asked
    ]
    return replace(plan, others=tuple(made), off_limits=tuple(logs[1:]))


@dataclass(frozen=True, slots=True)
class CheckedPlan:
    """A plan whose records, keys, view, policy and models were verified."""

    plan: Plan
    store: KeyStore
    device: Device
    session: Session
    records: tuple[str, str]  # the text of device and session
    view: bytes  # the enrolled view as signed; empty for none
    policy: Policy
    min_view_score: float
    face_model: Path
    confinement: sandbox.Confinement | None  # of the matcher, with what the record leaves out

    @property
    def interlocked(self) -> bool:
        """Whether a board must hold its line up for frames to be released."""
        return self.session.operation.identifying


class _Faults:
    """Takes every step of a check, so that one fault does not hide the next."""

    def __init__(self) -> None:
        self.errors: list[GuardError] = []

    def of(self, step: Callable[[], T]) -> T | None:
        """What `step` gives; None if it was refused, which is kept."""
        try:
            return step()
        except GuardError as err:
            self.errors.append(err)
            return None


def check(plan: Plan, say: Callable[[str], None]) -> CheckedPlan:
    """Check everything; `say` gets the messages for the operator.

    Raises:
        GuardError: a record, key, view, policy or model is not what it should be.
    """
    checked, errors = examine(plan, say)
    if checked is None:
        raise errors[0]
    return checked


def examine(
    plan: Plan, say: Callable[[str], None] = lambda line: None
) -> tuple[CheckedPlan | None, list[GuardError]]:
    """What holds, or None and everything that would stop the start, in the order of the start."""
    faults = _Faults()
    store = faults.of(lambda: KeyStore.open(plan.keys))
    device_bytes = session_bytes = device = session = view = chosen = confinement = None
    if store is not None:
        verified = store.read_verified
        device_bytes = faults.of(lambda: verified(plan.device, RecordKind.DEVICE))
        session_bytes = faults.of(lambda: verified(plan.session, RecordKind.SESSION))
        faults.of(store.log_key)
    if device_bytes is not None:
        data = device_bytes
        device = faults.of(lambda: parse_device(data, plan.device))
    if session_bytes is not None:
        claim = session_bytes
        session = faults.of(lambda: parse_session(claim, plan.session))
    if store is not None and session is not None and session.operation.identifying:
        faults.of(store.board_key)
    if device is not None and session is not None:
        record, lane = device, session
        faults.of(lambda: _require_real_board(plan, record, lane))
        faults.of(lambda: _require_no_line(plan, lane))
    faults.of(lambda: _require_inbox(plan, device))
    if device is not None:
        record, keys = device, store
        assert keys is not None  # the record was verified with them
        view = faults.of(lambda: _view(plan, keys, record))
        chosen = faults.of(lambda: _choose(plan, record))
        confinement = faults.of(lambda: _confinement(plan, record, say))
    faults.errors += matcher_faults(plan, device)
    if plan.matcher:  # its program must be there, so that its loss cannot be its absence
        faults.of(lambda: sandbox.program_of(plan.matcher))
        faults.of(lambda: sandbox.check_script(plan.matcher, plan.confinement))
    face_model = faults.of(_fetched_models)
    if chosen is not None:
        pack, models = chosen, [path for path in (face_model, SCENE) if path is not None]
        faults.of(lambda: pack.check_models(_digested(models)))
        if plan.matcher and session is not None and device is not None:
            lane, record = session, device
            faults.of(lambda: check_matcher(lane.operation, record.matcher_models, pack))
    for other in plan.others:
        known = {str(err) for err in faults.errors}  # of the record that they share
        faults.errors += [
            UsageError(f"matcher {other.name}: {err}")
            for err in examine(other)[1]
            if str(err) not in known
        ]
    if faults.errors:
        return None, faults.errors
    assert store and device_bytes and session_bytes and device and session
    assert view is not None and chosen and face_model
    checked = CheckedPlan(
        plan,
        store,
        device,
        session,
        (device_bytes.decode(), session_bytes.decode()),
        view,
        chosen.policy,
        chosen.min_view_score,
        face_model,
        confinement,
    )
    return checked, []


def _choose(plan: Plan, device: Device) -> Chosen:
    return choose(
        plan.pack, plan.policy, not_yet_s=device.clock_not_yet_s, at_least_s=device.clock_at_least_s
    )


def _digested(models: Iterable[Path]) -> list[tuple[Path, str]]:
    """The models with their digests; the decider asks again with the digests of what it loaded."""
    try:
        return [(path, sha256_of(path)) for path in models]
    except OSError as err:
        raise ModelError(f"a model cannot be read: {err.filename}: {err.strerror}") from err


def _require_inbox(plan: Plan, device: Device | None) -> None:
    if plan.inbox is not None and not os.path.isdir(plan.inbox):
        raise UsageError(f"--desk {plan.inbox}: expected a folder")
    if device is not None and device.fork_alarm and not device.fork_alarm.parent.is_dir():
        raise UsageError(
            f"{plan.device}: [witness] alarm: expected a file in a folder that is there, "
            f"got {device.fork_alarm}"
        )
    if device is not None and device.receipts and plan.name:
        raise UsageError(
            f"{plan.device} asks for receipts of consent, which the first matcher's session "
            f"takes in: expected no other matcher on its camera, got {plan.name}"
        )
    if device is not None and device.receipts and plan.inbox is None:
        raise UsageError(
            f"{plan.device} asks for receipts of consent: name the folder where they are "
            "handed in with --desk DIR"
        )


def _fetched_models() -> Path:
    """The face detector's file; the body masks must be there as well.

    Raises:
        ModelError: one was not pulled, or is not the pinned one.
    """
    face_model, *_ = [asset(name) for name in FETCHED]
    return face_model


def _require_no_line(plan: Plan, session: Session) -> None:
    """The board's line guards the first matcher alone; another could not be held by it."""
    if plan.name and session.operation.identifying:
        raise UsageError(
            f"{plan.session}: lane {session.operation.value} needs the board's line, which guards "
            "the first matcher on a camera only: name it first, or give it a camera of its own"
        )


def _require_real_board(plan: Plan, device: Device, session: Session) -> None:
    """A virtual board proves nothing: with a camera, only a signed record allows one."""
    wanted = plan.board == VIRTUAL and session.operation.identifying
    if wanted and parse_source(plan.source).live and not device.virtual_board:
        raise UsageError(
            "a camera needs a real board: expected its serial port in --board, or board in the "
            "daemon's configuration, got virtual; "
            f"{plan.device} does not say [board] virtual = true"
        )


def _view(plan: Plan, store: KeyStore, device: Device) -> bytes:
    """The enrolled view, fit for this source."""
    if device.fingerprint is None:
        return b""
    view = store.read_verified(device.fingerprint, RecordKind.VIEW)
    fingerprint = ViewFile.from_bytes(view)
    if parse_source(plan.source).live and fingerprint.trial:
        raise UsageError(
            f"{device.fingerprint} is a trial (--unenforced), good for recordings "
            "only: a camera needs a view enrolled by the full limits"
        )
    if fingerprint.scene is SceneCheck.OVERRIDDEN:
        store.check_override(view, device.fingerprint)
    return view


def _confinement(
    plan: Plan, device: Device, say: Callable[[str], None]
) -> sandbox.Confinement | None:
    """The matcher's sandbox, all of whose layers this machine has."""
    if not plan.matcher or plan.confinement is None:
        return plan.confinement
    own = own_files(plan)
    given = plan.confinement
    confinement = given.completed(
        device.matcher_without, device.matcher_models, own.secret, device.matcher_accelerators
    )
    for name in device.matcher_accelerators:
        if not nodes(name):
            say(f"accelerator {name}: no device node of it is here; the matcher goes without")
    sandbox.require(confinement)
    for layer in sorted(confinement.without, key=sandbox.LAYERS.index):
        say(f"sandbox: {layer.value} is left out, as the signed record says")
    for line in withheld(plan.matcher, confinement):
        say(line)
    return confinement


def own_files(plan: Plan) -> OwnFiles:
    """What of the plan is the guard's own."""
    secret = (store_folder(plan.keys), plan.audit, plan.inbox, *plan.off_limits)
    signed = (plan.device, plan.session, plan.policy, bundle_file(plan.pack))
    return OwnFiles(
        tuple(path for path in secret if path is not None),
        tuple(path for path in signed if path is not None),
    )


def matcher_faults(plan: Plan, device: Device | None) -> list[UsageError]:
    """Each path that the matcher cannot be given."""
    if not plan.matcher or plan.confinement is None:
        return []
    own = own_files(plan)
    without = () if device is None else device.matcher_without
    confinement = plan.confinement.completed(without, (), own.secret)
    return [UsageError(line) for line in path_faults(confinement, own)]
