"""The daemon: what it runs is watched, what is lost means blocked, what is reloaded is checked."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.audit.proofs.verify import verify_log
from edge.audit.schema import Context as Setting
from edge.cli import main
from edge.clock import MS, S
from edge.commissioning.keys import KeyStore, RecordKind
from edge.daemon.notify import Notifier, handed_listener
from edge.daemon.service import bound, verified
from edge.daemon.settings import Listen, load_settings
from edge.decision.judge import Outlook
from edge.errors import SandboxError, SignatureError, UsageError
from edge.evidence.readings import Reading, Source
from edge.guard.recorder import Recorder
from edge.guard.supervisor import Guard
from edge.reasons import Reason
from edge.sandbox import spec as sandbox
from edge.sandbox.spec import NOBODY, Layer
from edge.status.alive import FRESH_S
from tests.support import render
from tests.support.daemons import Daemon, configure, daemon, until
from tests.support.guards import DEVICE, Site, site

pytestmark = pytest.mark.guard

NOW = 1_000 * S
ALLOWED = Outlook(Setting.CONTROLLED, True, (), ("FA-03",))
FORBIDDEN = 'operation = "infer_emotion"\ngallery = "none"\n'
PERMITTED = 'operation = "detect"\ngallery = "none"\n'
BLOCKED = Outlook(Setting.UNCONTROLLED, False, (Reason.VIEW_FOREIGN,), ())


def recorder(outlook_ns: int = NOW, dock_ns: int | None = NOW) -> Recorder:
    found = Recorder(outlook=ALLOWED, outlook_ns=outlook_ns)
    if dock_ns is not None:
        found.newest[Source.DOCK] = Reading(Source.DOCK, dock_ns)
    return found


def test_fresh_decisions_and_a_fresh_board_are_verified() -> None:
    assert verified(recorder(), NOW, board=True)
    blocked = recorder()
    blocked.outlook = BLOCKED
    assert verified(blocked, NOW, board=True)  # a guard that blocks is well
    assert verified(recorder(dock_ns=None), NOW, board=False)


@pytest.mark.parametrize(
    "silent",
    [
        Recorder(),
        recorder(outlook_ns=NOW - 1 * S),
        recorder(outlook_ns=NOW + 1 * MS),
        recorder(dock_ns=NOW - 1 * S),
        recorder(dock_ns=NOW + 1 * MS),
        recorder(dock_ns=None),
    ],
    ids=["nothing", "old decision", "future decision", "old board", "future board", "no board"],
)
def test_silence_is_not_verified(silent: Recorder) -> None:
    assert not verified(silent, NOW, board=True)


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port} cannot be used"):
            bound(Listen("127.0.0.1", port))
    free = bound(Listen("127.0.0.1", port))
    assert free is not None
    free.close()


def test_only_a_socket_meant_for_this_process_is_taken() -> None:
    assert handed_listener({}) is None
    assert handed_listener({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) is None
    assert handed_listener({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}) is None


def test_without_a_service_manager_nothing_is_told(tmp_path: Path) -> None:
    Notifier({}).tell("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")


@pytest.fixture(scope="module")
def commissioned(
    tmp_path_factory: pytest.TempPathFactory, lived_in: Callable[[int], Path], face_model: Path
) -> Site:
    """A kiosk in a room somebody lives in, half a minute long."""
    clip = lived_in(900)
    return site(tmp_path_factory.mktemp("commissioned") / "site", clip, clip, face_model)


@pytest.fixture
def kiosk(commissioned: Site, tmp_path: Path) -> Site:
    folder = shutil.copytree(commissioned.folder, tmp_path / "site")
    return Site(folder, KeyStore.open(folder / "keys"), commissioned.clip)


def test_a_running_daemon_is_ready_watched_seen_and_stops_in_good_order(
    kiosk: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    def snapshot() -> dict[str, Any]:
        assert main(["status", "--config", str(guard.config), "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    def sources() -> set[str]:
        return {reading["source"] for reading in snapshot()["evidence"]}

    with daemon(kiosk) as guard:
        until(guard.ready, "readiness")
        until(lambda: guard.manager.listen().count("WATCHDOG=1") >= 3, "the watchdog's food")
        assert guard.manager.heard[0] == "READY=1"
        assert snapshot()["phase"] == "running"
        until(lambda: sources() >= {"dock", "people", "view"}, "evidence of every kind")
        assert main(["status", "--config", str(guard.config)]) == 0
        assert "framegate_running 1.0" in guard.get("/metrics")[1]
        assert guard.get("/")[0] == 200

        assert guard.stop() == 0

        assert guard.manager.listen()[-1] == "STOPPING=1"
        assert main(["status", "--config", str(guard.config)]) == 1
    verify_log(kiosk.folder / "audit", kiosk.store.log_verifier())


def test_a_daemon_that_is_stopped_or_killed_is_said_not_to_run(
    kiosk: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    def status(file: Path) -> tuple[int, str]:
        old = time.time() - _at(file.read_text()) > FRESH_S  # before it is asked
        code = main(["status", "--config", str(guard.config)])
        words = "".join(capsys.readouterr())
        assert not (old and "frames pass" in words)
        return code, words

    with daemon(kiosk) as guard:
        until(guard.ready, "readiness")
        file = load_settings(guard.config).status_file
        until(lambda: "frames pass" in status(file)[1], "a permit")
        assert status(file)[0] == 0

        guard.process.send_signal(signal.SIGSTOP)
        until(lambda: status(file)[0] == 1, "word that it stands still")
        assert "is not running" in status(file)[1]
        guard.process.send_signal(signal.SIGCONT)
        until(lambda: status(file)[0] == 0, "word that it goes on")

        guard.process.kill()
        guard.process.wait()
        until(lambda: status(file)[0] == 1, "word that it is gone")
        assert "is not running" in status(file)[1]


def test_every_change_on_the_page_can_be_proven_with_the_public_key_alone(
    kiosk: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with daemon(kiosk) as guard:
        until(lambda: '"permitted": true' in guard.get("/status.json")[1], "a permit")
        os.kill(guard.pid("firmware_bridge.virtual.process"), signal.SIGSTOP)
        until(lambda: _proven(guard.get("/status.json")[1]) == {True, False}, "both entries")
        snapshot = json.loads(guard.get("/status.json")[1])
        numbers = [change["entry"] for change in snapshot["transitions"] if change.get("entry")]
        links = [f'href="/proof/{number}"' for number in numbers]
        until(lambda: all(link in guard.get("/")[1] for link in links), "a checkpoint over both")
        handed = {number: guard.get(f"/proof/{number}")[1] for number in numbers}
        assert guard.get("/proof/100000")[0] == 404
        guard.stop()

    audit, key = str(kiosk.folder / "audit"), str(kiosk.store.directory / "log.pub")
    proven = [change for change in snapshot["transitions"] if change.get("entry") is not None]
    assert {change["permitted"] for change in proven} == {True, False}
    for change in proven:
        proof = str(tmp_path / f"{change['entry']}.proof")
        number = str(change["entry"])
        assert main(["audit", "prove", audit, "--key", key, "--entry", number, "--out", proof]) == 0
        capsys.readouterr()
        assert main(["audit", "verify-proof", proof, "--key", key, "--json"]) == 0
        kind = json.loads(capsys.readouterr().out)["entry"]["kind"]
        assert (kind == "permit") is change["permitted"]
        Path(proof).write_text(handed[change["entry"]])
        assert main(["audit", "verify-proof", proof, "--key", key, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["entry"]["kind"] == kind
        spot = handed[change["entry"]].index("extra ") + 20
        Path(proof).write_bytes(_one_bit_flipped(handed[change["entry"]].encode(), spot))
        assert main(["audit", "verify-proof", proof, "--key", key, "--json"]) == 1
        assert not json.loads(capsys.readouterr().out)["proven"]


def _one_bit_flipped(data: bytes, spot: int) -> bytes:
    return data[:spot] + bytes([data[spot] ^ 1]) + data[spot + 1 :]


@pytest.fixture(scope="module")
def shared(commissioned: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for the tests that leave it as they found it; a start takes seconds."""
    folder = shutil.copytree(commissioned.folder, tmp_path_factory.mktemp("shared") / "site")
    place = Site(folder, KeyStore.open(folder / "keys"), commissioned.clip)
    with daemon(place, matcher=False) as guard:
        yield guard


@pytest.fixture
def steady(shared: Daemon) -> Daemon:
    """The shared daemon, ready; its recording begins anew where it was over."""
    until(lambda: snapshot_of(shared), "the page")
    if snapshot_of(shared)["phase"] == "over":
        shared.process.send_signal(signal.SIGHUP)
    until(shared.ready, "readiness")
    return shared


def health_of(guard: Daemon) -> tuple[int, int]:
    """How often it was started again, and how often with new files."""
    health = snapshot_of(guard).get("health", {})
    return health.get("restarts", -1), health.get("reloads", -1)


def test_a_lost_status_process_comes_back_and_the_guard_goes_on(steady: Daemon) -> None:
    gate, first = steady.pid("edge.frames.gate_process"), steady.pid("edge.status.process")

    os.kill(first, signal.SIGKILL)

    until(lambda: steady.pid("edge.status.process") not in (0, first), "a new page")
    until(steady.ready, "the page's return")
    assert steady.pid("edge.frames.gate_process") == gate


def test_a_reload_is_checked_first_and_revokes_before_it_begins(steady: Daemon) -> None:
    gate, (restarts, reloads) = steady.pid("edge.frames.gate_process"), health_of(steady)
    good, heard = steady.config.read_text(), len(steady.log_text())

    steady.config.write_text(good + "[extra]\n")
    steady.process.send_signal(signal.SIGHUP)
    until(lambda: "reload refused" in steady.log_text()[heard:], "the refusal")
    assert "the old files stay in force" in steady.log_text()[heard:]
    assert steady.ready()
    assert steady.pid("edge.frames.gate_process") == gate

    steady.config.write_text(good)
    steady.process.send_signal(signal.SIGHUP)
    until(lambda: "starting with the new files" in steady.log_text()[heard:], "the reload")
    until(lambda: health_of(steady)[1] == reloads + 1, "the new guard's word")
    until(steady.ready, "readiness")
    assert steady.pid("edge.frames.gate_process") != gate
    assert health_of(steady) == (restarts, reloads + 1)


def test_a_lost_process_means_blocked_and_then_a_new_guard(steady: Daemon) -> None:
    held, (before, _) = descriptors(steady.process.pid), health_of(steady)
    heard = len(steady.log_text())
    for losses, module in enumerate(("edge.frames.gate_process", "edge.decision.decider"), 1):
        first = steady.pid(module)

        os.kill(first, signal.SIGKILL)

        until(lambda n=losses: steady.log_text()[heard:].count("starting again") == n, "the loss")
        until(lambda: not steady.ready(), "unhealthiness")
        until(steady.ready, "readiness after the loss")
        assert steady.pid(module) != first
        snapshot = snapshot_of(steady)
        assert snapshot["health"]["restarts"] == before + losses
        assert not snapshot["transitions"][-1]["permitted"]
        assert descriptors(steady.process.pid) == held  # nothing of the lost guard is left


def test_the_watchdog_starves_when_the_board_falls_silent(steady: Daemon) -> None:
    board = steady.pid("firmware_bridge.virtual.process")
    os.kill(board, signal.SIGSTOP)
    until(lambda: steady.get("/healthz")[0] == 503, "unhealthiness")
    steady.manager.listen().clear()
    before = steady.get("/status.json")[1]
    until(lambda: _at(steady.get("/status.json")[1]) > _at(before) + 1.5, "more snapshots")

    assert "WATCHDOG=1" not in steady.manager.listen()
    assert '"permitted": false' in steady.get("/status.json")[1]
    os.kill(board, signal.SIGCONT)


def test_a_recording_that_is_over_leaves_the_daemon_blocked_to_be_looked_at(
    kiosk: Site, tmp_path: Path
) -> None:
    short_clip = render.write_clip(tmp_path / "short.avi", render.still(render.room(), 15))
    site_ = Site(kiosk.folder, kiosk.store, short_clip)
    site_.sign()

    with daemon(site_, matcher=False) as guard:
        until(lambda: '"phase": "over"' in guard.get("/status.json")[1], "the end")

        assert not guard.ready()
        assert "Everything is blocked" in guard.get("/")[1]
        assert guard.stop() == 0


def test_a_missing_layer_stops_the_guard_unless_the_signed_record_names_it(
    kiosk: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "missing", lambda: {Layer.SECCOMP: "seccomp: not here"})
    plan = load_settings(configure(kiosk, 1)).plan
    text = re.sub(r"without = .*", "without = []", kiosk.device.read_text())
    heard: list[str] = []

    kiosk.device.write_text(text)
    kiosk.store.sign_file(kiosk.device, RecordKind.DEVICE)
    with pytest.raises(SandboxError, match='without = \\["seccomp"\\]'):
        Guard(plan, heard.append)
    kiosk.device.write_text(text.replace("without = []", 'without = ["seccomp"]'))
    with pytest.raises(SignatureError):
        Guard(plan, heard.append)
    kiosk.store.sign_file(kiosk.device, RecordKind.DEVICE)
    Guard(plan, heard.append).close()

    assert heard == ["sandbox: seccomp is left out, as the signed record says"]


def test_unsigned_records_end_the_daemon_at_its_start(kiosk: Site) -> None:
    kiosk.device.write_text(kiosk.device.read_text().replace("till-2", "till-3"))

    with daemon(kiosk, matcher=False) as guard:
        assert guard.process.wait(60) == 2

        assert len(guard.log_text().splitlines()) == 1
        assert "D.toml" in guard.log_text()


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _proven(body: str) -> set[bool]:
    """Which kinds of change name their entry in the log."""
    with contextlib.suppress(ValueError, KeyError):
        changes = json.loads(body)["transitions"]
        return {c["permitted"] for c in changes if c.get("entry") is not None}
    return set()


def _at(body: str) -> float:
    try:
        return float(json.loads(body)["at_s"])
    except (ValueError, KeyError):
        return time.time()


def snapshot_of(guard: Daemon) -> dict[str, Any]:
    code, body = guard.get("/status.json")
    found: dict[str, Any] = json.loads(body) if code == 200 else {}
    return found


def released(guard: Daemon) -> tuple[int, int]:
    """How many frames were released to the first matcher, and how many to the other."""
    if not (found := snapshot_of(guard)):
        return 0, 0
    (other,) = found["also"]
    return found["frames"]["released"], other["frames"]["released"]


@pytest.mark.long
def test_one_that_is_forbidden_gets_nothing_and_after_a_reload_what_its_new_record_permits(
    kiosk: Site,
) -> None:
    kiosk.sign(DEVICE.replace('"detect"', '"detect", "infer_emotion"'))
    record, seen = kiosk.folder / "other.toml", seen_by_the_other(kiosk)
    sign_session(kiosk, record, FORBIDDEN)
    counts = json.dumps([sys.executable, "-m", "framegate_client.counter", str(seen)])
    also = f'[[also]]\nsession = "other.toml"\nwrite = ["other"]\ncommand = {counts}\n'

    with daemon(kiosk, also=also) as guard:
        until(lambda: released(guard)[0] > 30, "frames for the first")
        found = snapshot_of(guard)
        (other,) = found["also"]
        assert (other["name"], other["lane"]) == ("other", "infer_emotion")
        assert other["frames"]["released"] == 0 < other["frames"]["blocked"]
        assert other["permitted"] is False and other["reasons"]
        assert guard.ready()  # one that is forbidden for a reason is well
        assert re.search(
            r'also_permitted\{lane="infer_emotion",matcher="other"\} 0', guard.get("/metrics")[1]
        )

        sign_session(kiosk, record, PERMITTED)
        guard.process.send_signal(signal.SIGHUP)
        until(lambda: released(guard)[1] > 5, "frames for the other, as its new record permits")
        assert snapshot_of(guard)["also"][0]["lane"] == "detect"
        first = kiosk.folder / "matcher" / "received.json"  # of the guard before the reload
        counted = [json.loads(file.read_text())["received"] for file in (first, seen)]
        assert counted[0] > 0 == counted[1]

        assert guard.stop() == 0

    assert json.loads(seen.read_text())["received"] > 0
    for log in (kiosk.folder / "audit", kiosk.folder / "also" / "other" / "audit"):
        verify_log(log, kiosk.store.log_verifier())


def seen_by_the_other(kiosk: Site) -> Path:
    """Where the other matcher writes what it got."""
    room = kiosk.folder / "other"
    room.mkdir()
    if os.getuid() == 0:
        os.chown(room, NOBODY, NOBODY)
    return room / "received.json"


def sign_session(kiosk: Site, record: Path, text: str) -> None:
    record.write_text(text)
    kiosk.store.sign_file(record, RecordKind.SESSION)
