"""The doctor: what it says of good and of poor machines, and that it says it here."""

import datetime
import json
import time
from pathlib import Path

import pytest

from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.cli import main
from edge.commissioning.keys import KeyStore
from edge.diagnosis import findings as doctor
from edge.diagnosis.findings import MIB, State
from edge.diagnosis.wheels import MEASURING, NEEDED, processor
from edge.policy import engine
from edge.policy.engine import Policy
from edge.policy.rules import CHECK_DAYS
from edge.version import BUILT
from tests.daemon.test_settings import GOOD as GUARD_TOML
from tests.support.audit_helpers import start

GOOD = [
    processor("aarch64", 64),
    processor("x86_64", 64),
    doctor.kernel("sealed memory", True),
    doctor.kernel("process handles", True),
    doctor.sandbox({}),
    doctor.escape_reports(True),
    doctor.kernel("boot clock", True),
    doctor.wall_clock(True, False),
    doctor.scheduling(True, 4),
    doctor.memory(4096 * MIB),
    doctor.disk("/data", 4096 * MIB, True),
    doctor.keys("/keys", None),
    doctor.models((), ()),
    doctor.policy({"strict": "ab" * 32}, None),
    doctor.cameras(("/dev/video0",), ("/dev/video0",)),
    doctor.board(("/dev/ttyACM0",), ("/dev/ttyACM0",)),
    doctor.audit("/log", 12, None),
]
POOR = [
    (processor("armv7l", 32), State.DEGRADED, False),
    (processor("aarch64", 32), State.DEGRADED, False),
    (processor("riscv64", 64), State.DEGRADED, False),
    (doctor.kernel("sealed memory", False), State.MISSING, True),
    (doctor.kernel("process handles", False), State.MISSING, True),
    (doctor.sandbox({"landlock": "this kernel has none"}), State.DEGRADED, False),
    (doctor.escape_reports(False), State.DEGRADED, False),
    (doctor.kernel("boot clock", False), State.MISSING, True),
    (doctor.wall_clock(False, False), State.DEGRADED, False),
    (doctor.wall_clock(True, True), State.MISSING, False),
    (doctor.scheduling(False, 4), State.DEGRADED, False),
    (doctor.scheduling(True, 1), State.DEGRADED, False),
    (doctor.memory(300 * MIB), State.DEGRADED, False),
    (doctor.memory(100 * MIB), State.MISSING, True),
    (doctor.disk("/data", 100 * MIB, True), State.DEGRADED, False),
    (doctor.disk("/data", 1 * MIB, True), State.MISSING, True),
    (doctor.disk("/data", 4096 * MIB, False), State.MISSING, True),
    (doctor.keys("", "no keys"), State.MISSING, False),
    (doctor.models(("face.onnx",), ()), State.MISSING, True),
    (doctor.models((), ("face.onnx",)), State.MISSING, True),
    (doctor.policy({}, "no schema"), State.MISSING, True),
    (doctor.policy({"strict": "ab" * 32}, None, ("MS-02",)), State.DEGRADED, False),
    (doctor.cameras((), ()), State.MISSING, False),
    (doctor.cameras(("/dev/video0",), ()), State.DEGRADED, False),
    (doctor.silent_camera("No frame has come for 9 s."), State.DEGRADED, False),
    (doctor.board((), ()), State.MISSING, False),
    (doctor.board(("/dev/ttyACM0",), ()), State.DEGRADED, False),
    (doctor.audit("/log", 0, "entry 3: not what was signed"), State.MISSING, True),
]


@pytest.mark.parametrize("finding", GOOD, ids=lambda f: f.part)
def test_what_is_good_asks_for_nothing(finding):
    assert finding.state is State.OK
    assert finding.todo == ""
    assert not finding.stops


@pytest.mark.parametrize(("finding", "state", "stops"), POOR)
def test_what_is_poor_says_what_to_do(finding, state, stops):
    assert finding.state is state
    assert finding.todo
    assert finding.stops is stops


def test_the_last_line_says_whether_the_guard_can_run_and_what_only_some_uses_need():
    assert doctor.summary(GOOD) == "the guard can run here"
    for finding, state, stops in POOR:
        summary = doctor.summary([*GOOD, finding])
        assert ("cannot run here" in summary) is stops
        assert summary.endswith(finding.part) is (state is State.MISSING)


@pytest.mark.slow
@pytest.mark.parametrize(("days", "state"), [(CHECK_DAYS, "ok"), (CHECK_DAYS + 1, "degraded")])
def test_the_command_says_when_nobody_has_checked_the_rules_for_half_a_year(
    days, state, tmp_path, capsys, monkeypatch
):
    oldest = min(rule.checked for rule in Policy.load("strict").pack.rules)
    monkeypatch.setattr(engine, "utc_today", lambda: oldest + datetime.timedelta(days=days))

    main(["doctor", "--quick", "--place", str(tmp_path), "--json"])

    rows = {row["part"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["policy"]["state"] == state
    assert ("FA-03" in rows["policy"]["found"]) is (state == "degraded")


@pytest.mark.slow
def test_the_command_names_every_part_with_its_state(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(engine, "utc_today", lambda: BUILT)
    keys = KeyStore.init(tmp_path / "keys").directory

    code = main(["doctor", "--quick", "--keys", str(keys), "--place", str(tmp_path), "--json"])

    rows = {row["part"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"sealed memory", "matcher sandbox", "boot clock", "keys", "policy"} <= set(rows)
    assert rows["keys"]["state"] == rows["policy"]["state"] == "ok"
    assert code == int(any(r["needed"] and r["state"] == "missing" for r in rows.values()))


@pytest.mark.slow
def test_the_command_fails_on_a_log_that_does_not_verify(tmp_path, capsys):
    where = tmp_path / "audit"
    log = AuditLog.create_or_open(where, Signer.generate("framegate-test/log"))
    log.append(start(), durable=True)
    log.close()
    asked = ["doctor", "--quick", "--place", str(tmp_path), "--audit", str(where)]

    main(asked)
    assert "1 entry verifies" in capsys.readouterr().out
    (where / "segments/000000.log").write_bytes(b"")
    assert main(asked) == 1
    assert "entry 0" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("silent_s", [0.2, 9.0])
def test_a_running_guard_whose_camera_is_silent_is_told_with_its_time(
    silent_s: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "guard.toml"
    config.write_bytes(GUARD_TOML + b'[status]\nfile = "state.json"\n')
    state = {"at_s": time.time(), "phase": "running", "camera_silent_s": silent_s}
    (tmp_path / "state.json").write_text(json.dumps({**state, "permitted": False}))

    main(["doctor", "--quick", "--config", str(config), "--place", str(tmp_path)])

    printed = capsys.readouterr().out
    assert ("No frame has come from the camera for 9 s, since " in printed) is (silent_s > 1)


@pytest.mark.slow
def test_the_keys_of_a_configuration_are_looked_at_not_the_usual_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "usual"))
    config = tmp_path / "guard.toml"
    config.write_bytes(GUARD_TOML + b'keys = "own"\n')
    KeyStore.init(tmp_path / "own")

    main(["doctor", "--quick", "--config", str(config), "--place", str(tmp_path)])

    assert f"ok        keys: {tmp_path / 'own'}" in capsys.readouterr().out


def test_the_doctor_names_what_has_no_wheel_as_the_page_on_devices_does() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "devices.md").read_text()

    for machine in NEEDED:
        bits = 32 if machine == "armv7l" else 64
        found = processor(machine, bits).found
        assert all(name in found for name in NEEDED[machine])
        assert all(f"`{name}`" in page for name in NEEDED[machine] + MEASURING[machine])
