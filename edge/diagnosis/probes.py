"""Takes the facts about this machine that `edge.diagnosis.findings` judges. Changes nothing."""

from __future__ import annotations

import fcntl
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from edge.clock import synchronised
from edge.diagnosis import findings as doctor
from edge.diagnosis.findings import Finding
from edge.diagnosis.wheels import processor
from edge.errors import GuardError, SandboxError
from edge.version import BUILT_S

_F_ADD_SEALS = 1033
_SEALS = 0x0002 | 0x0004 | 0x0010  # shrink, grow, future write
_PORTS = ("ttyACM*", "ttyUSB*", "ttyAMA*", "ttyTHS*", "serial[0-9]")


def examine(keys_dir: Path | None, place: Path, log: Path | None) -> list[Finding]:
    """Every finding about this machine.

    Args:
        keys_dir: the key store; the default one if None.
        place: where the guard is to write.
        log: an audit log to verify, if there is one.
    """
    from edge.sandbox.seccomp import can_report

    findings = [
        processor(platform.machine(), 64 if sys.maxsize > 2**32 else 32),
        doctor.kernel("sealed memory", _sealed_memory()),
        doctor.kernel("process handles", _works(_pidfd)),
        doctor.sandbox(_sandbox()),
        doctor.escape_reports(can_report()),
        doctor.kernel("boot clock", _works(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME))),
        doctor.wall_clock(synchronised(), time.time() < BUILT_S),
        doctor.scheduling(_real_time(), len(os.sched_getaffinity(0))),
        doctor.memory(_available_bytes()),
        _disk(place),
        _keys(keys_dir),
        _models(),
        _policy(),
        _cameras(),
        _board(),
    ]
    if log is not None:
        findings.append(_audit(log))
    return findings


def _works(work: Callable[[], object]) -> bool:
    try:
        work()
    except (OSError, AttributeError):
        return False
    return True


def _sealed_memory() -> bool:
    def work() -> None:
        fd = os.memfd_create("framegate-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            fcntl.fcntl(fd, _F_ADD_SEALS, _SEALS)
        finally:
            os.close(fd)

    return _works(work)


def _pidfd() -> None:
    os.close(os.pidfd_open(os.getpid()))


def _sandbox() -> dict[str, str]:
    from edge.sandbox.spec import missing

    try:
        return {layer.value: why for layer, why in missing().items()}
    except SandboxError as err:
        return {"no layer": str(err)}


def _real_time() -> bool:
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    if not _works(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))):
        return False
    os.sched_setscheduler(0, policy, parameters)
    return True


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _disk(place: Path) -> Finding:
    there = place
    while not there.exists():
        there = there.parent
    room = os.statvfs(there)
    free = room.f_bavail * room.f_frsize
    return doctor.disk(
        str(place), free, os.access(there, os.W_OK) and not room.f_flag & os.ST_RDONLY
    )


def _keys(directory: Path | None) -> Finding:
    from edge.commissioning.keys import KeyStore

    try:
        store = KeyStore.open(directory)
        store.record_verifier()
        store.log_key()
        store.board_key()
    except GuardError as err:
        return doctor.keys("", str(err))
    return doctor.keys(str(store.directory), None)


def _models() -> Finding:
    from edge.models.catalogue import WHEELS, Kind
    from edge.models.pull import State, state

    wanted = [asset for wheel in WHEELS for asset in wheel.assets if asset.kind is Kind.MODEL]
    states = {asset.name: state(asset) for asset in wanted}
    return doctor.models(
        tuple(name for name, found in states.items() if found is State.ABSENT),
        tuple(name for name, found in states.items() if found is State.ALTERED),
        tuple(name for name, found in states.items() if found is State.UNREADABLE),
    )


def _policy() -> Finding:
    from edge.policy.engine import Policy, utc_today
    from edge.policy.shipped import names

    try:
        packs = {name: Policy.load(name) for name in names()}
    except GuardError as err:
        return doctor.policy({}, str(err))
    today = utc_today()
    stale = {r.id for p in packs.values() for r in p.pack.rules if r.stale_days(today)}
    digests = {name: pack.digest.hex() for name, pack in packs.items()}
    return doctor.policy(digests, None, tuple(sorted(stale)))


def _cameras() -> Finding:
    from edge.cameras.v4l2 import is_camera

    asked = {str(p): is_camera(str(p)) for p in sorted(Path("/dev").glob("video*"))}
    nodes = tuple(node for node, camera in asked.items() if camera is not False)
    return doctor.cameras(nodes, tuple(node for node in nodes if asked[node]))


def _board() -> Finding:
    ports = sorted(str(p) for pattern in _PORTS for p in Path("/dev").glob(pattern))
    return doctor.board(tuple(ports), tuple(p for p in ports if os.access(p, os.W_OK)))


def _audit(log: Path) -> Finding:
    from edge.audit.proofs.verify import verify_log
    from edge.commissioning.keys import read_verifier

    try:
        found = verify_log(log, read_verifier(log / "log.pub"))
    except GuardError as err:
        return doctor.audit(str(log), 0, str(err))
    return doctor.audit(str(log), found.entries, None)
