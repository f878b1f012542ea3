"""The wall clock is set while frames flow (attack D46): it is told, and no lease knows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.audit.log import AuditLog
from edge.audit.proofs.verify import verify_log
from edge.audit.schema import Floor
from edge.clock import MS, S
from edge.errors import SignatureError
from edge.guard.plan import Plan
from edge.guard.supervisor import Guard
from framegate_client.connection import Connection
from tests.support import other_decider
from tests.support.audit_helpers import read_all, stamp, start
from tests.support.guards import DEVICE, Site, site

pytestmark = pytest.mark.guard

DAY_S = 86_400


@pytest.fixture(scope="module")
def kiosk(
    tmp_path_factory: pytest.TempPathFactory, lived_in: Callable[[int], Path], face_model: Path
) -> Site:
    """A room for ten seconds."""
    clip = lived_in(300)
    return site(tmp_path_factory.mktemp("kiosk") / "site", clip, clip, face_model)


@pytest.mark.parametrize(
    "by_s",
    [
        DAY_S,
        pytest.param(-365 * DAY_S, marks=pytest.mark.long),
        pytest.param(0, marks=pytest.mark.long),
    ],
)
def test_a_clock_set_under_a_permit_is_written_and_frames_go_on(
    kiosk: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_s: int
) -> None:
    monkeypatch.setenv("SET_CLOCK_S", str(by_s))
    monkeypatch.setenv("SET_CLOCK_AT", str(tmp_path / "now"))
    other_decider.use(monkeypatch, "tests.support.bad_clock", "SET_CLOCK")
    plan = Plan(
        source=str(kiosk.clip),
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        audit=tmp_path / "audit",
    )
    times = []
    with Guard(plan, lambda line: None) as guard:
        matcher = Connection(*guard.environment.values())
        while not guard.over and guard.failure is None:
            guard.turn()
            while (frame := matcher.read(timeout_s=0)) is not None:
                times.append(frame.captured_ns)
            if len(times) > 20:
                (tmp_path / "now").touch()
            if times and times[-1] - times[0] > 3 * S:
                break
        matcher.close()
    log = read_all(tmp_path / "audit", guard.store.log_verifier())

    jumps = [entry for entry in log if entry["kind"] == "clock_jump"]
    assert guard.failure is None
    assert max(times) - min(times) > 3 * S
    if not by_s:
        assert jumps == []
        return
    assert [entry["by_s"] for entry in jumps] == [by_s]
    jumped_ns = int(jumps[0]["mono_ns"])
    ended_ns = [int(entry["mono_ns"]) for entry in log if entry["kind"] == "end"]
    assert not [at for at in ended_ns if 0 <= at - jumped_ns < 500 * MS]  # no lease ended of it
    assert min(times) < jumped_ns < max(times)


def _seconds_of(kiosk: Site, audit: Path, seconds: float, enough: int = 1000) -> tuple[int, int]:
    """Run a guard for so long, or for `enough` frames; frames released, entries in its log."""
    frames = 0
    plan = Plan(
        source=str(kiosk.clip),
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        audit=audit,
    )
    with Guard(plan, lambda line: None) as guard:
        until = time.monotonic() + seconds
        matcher = Connection(*guard.environment.values())
        while not guard.over and guard.failure is None and time.monotonic() < until:
            if frames >= enough:
                break
            guard.turn()
            while matcher.read(timeout_s=0) is not None:
                frames += 1
        matcher.close()
        assert guard.failure is None
    return frames, len(read_all(audit, guard.store.log_verifier()))


def test_started_in_1970_or_2099_nothing_flows_and_a_right_clock_mends_it(
    kiosk: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One log for all three starts: a wrong clock leaves nothing behind that blocks."""
    wrong = tmp_path / "now"
    wrong.touch()
    monkeypatch.setenv("SET_CLOCK_AT", str(wrong))
    other_decider.use(monkeypatch, "tests.support.bad_clock", "SET_CLOCK")
    before = 0
    for by_s in (-int(time.time()), 73 * 365 * DAY_S):
        monkeypatch.setenv("SET_CLOCK_S", str(by_s))
        frames, entries = _seconds_of(kiosk, tmp_path / "audit", 2.5)
        assert frames == 0
        assert entries - before < 12
        before = entries
    wrong.unlink()

    frames, _ = _seconds_of(kiosk, tmp_path / "audit", 30, enough=61)

    assert frames > 60
    log = read_all(tmp_path / "audit", kiosk.store.log_verifier())
    denied = [entry["kind"] == "deny" and "TIME_UNTRUSTED" in entry["reasons"] for entry in log]
    assert sum(denied) >= 2  # once in each of the two starts
    assert max(entry["wall"] for entry in log) < "2090"


CLOCK = f"""\
[clock]
unproven = true
not_yet = "{time.gmtime().tm_year + 1}-01-01T00:00:00Z"
at_least = "{time.gmtime().tm_year}-01-01T00:00:00Z"
"""


def _in_2099(kiosk: Site, audit: Path) -> None:
    """A log that was kept while the clock was wrong and that took it for proven."""
    wrong_ns = (int(time.time()) + 73 * 365 * DAY_S) * S
    log = AuditLog.create_or_open(audit, kiosk.store.log_key())
    log.append(start(), durable=True)
    log.append(Floor(replace(stamp(1), wall_ns=wrong_ns), 0, wrong_ns), durable=True)
    log.close()


def test_a_clock_record_that_nobody_signed_takes_no_time_back(kiosk: Site) -> None:
    signed = kiosk.device.read_bytes()
    kiosk.device.write_bytes(signed + CLOCK.encode())
    plan = Plan(
        str(kiosk.clip), kiosk.device, kiosk.session, kiosk.store.directory, audit=kiosk.folder
    )

    with pytest.raises(SignatureError):
        Guard(plan, lambda line: None)
    kiosk.device.write_bytes(signed)
    Guard(plan, lambda line: None).close()


@pytest.mark.long
@pytest.mark.parametrize("record", [True, False], ids=["record", "no record"])
def test_a_signed_record_brings_a_log_of_2099_back_and_says_so_once(
    kiosk: Site, tmp_path: Path, record: bool
) -> None:
    _in_2099(kiosk, tmp_path / "audit")
    kiosk.sign(device=DEVICE + (CLOCK if record else ""))
    try:
        frames = [_seconds_of(kiosk, tmp_path / "audit", 9)[0] for _ in range(2)]
    finally:
        kiosk.sign()
    log = read_all(tmp_path / "audit", kiosk.store.log_verifier())

    assert all(frames) if record else frames == [0, 0]
    assert [entry["kind"] for entry in log].count("clock_reset") == int(record)
    assert len(log) < 60
    verify_log(tmp_path / "audit", kiosk.store.log_verifier())
