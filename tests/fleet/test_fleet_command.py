"""`framegate fleet` as an operator runs it: a witness in its process, a courier's round, a fork."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.cli import main
from tests.support.audit_helpers import start

KEY = Signer.generate("framegate-0001/log")
NEEDS_PAHO = pytest.mark.skipif(
    find_spec("paho") is None, reason="paho-mqtt is not installed: framegate[mqtt]"
)


def grow(log: Path, count: int, shift: float = 0.0) -> None:
    journal = AuditLog.create_or_open(log, KEY)
    for _ in range(count):
        journal.append(start(float(journal.size) + shift), durable=False)
    journal.close()


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A log, a witness's key, and the policy that its line makes."""
    grow(tmp_path / "audit", 30)
    assert main(["fleet", "keygen", "witness.example/w1", "--out", str(tmp_path / "w1.key")]) == 0
    line = capsys.readouterr().out.split()[2]
    (tmp_path / "witness-side").write_text(f"log {KEY.verifier.text}\nquorum none\n")
    (tmp_path / "vkey").write_text(line)
    return tmp_path


@pytest.fixture
def witness(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "edge.cli", "fleet", "witness", "--new"]
    command += ["--policy", "witness-side", "--key", "w1.key", "--state", "w1.db"]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    port = process.stderr.readline().split()[-1]
    (folder / "policy").write_text(
        f"log {KEY.verifier.text}\n"
        f"witness w1 {(folder / 'vkey').read_text()} http://127.0.0.1:{port}\nquorum w1\n"
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_log_is_witnessed_verified_and_its_fork_is_an_alarm_on_both_sides(
    folder: Path, witness: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    courier = ["fleet", "courier", "--once", "--log", str(folder / "audit")]
    courier += ["--policy", str(folder / "policy")]
    verify = ["audit", "verify", str(folder / "audit"), "--key", str(folder / "audit" / "log.pub")]

    assert main(courier) == 0
    assert "size 30: the quorum stands" in capsys.readouterr().err
    status = ["fleet", "status", "--state", str(folder / "w1.db")]
    status += ["--policy", str(folder / "policy")]
    assert main(status) == 0
    assert "framegate-0001/log          30  20" in capsys.readouterr().out
    grow(folder / "audit", 5)
    assert main([*verify, "--witnesses", str(folder / "policy")]) == 0
    shutil.rmtree(folder / "audit")
    grow(folder / "audit", 60, shift=0.5)
    capsys.readouterr()
    assert main(courier) == 1
    assert (
        "LOG_FORKED: w1: forked, its 60 entries do not continue the 30" in capsys.readouterr().err
    )

    assert main([*status, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)[0]["state"] == "LOG_FORKED"

    witness.send_signal(signal.SIGTERM)
    assert witness.wait(60) == 0
    assert witness.stderr is not None
    assert "LOG_FORKED framegate-0001/log" in witness.stderr.read()
    assert main(["fleet", "evidence", "--state", str(folder / "w1.db")]) == 1
    assert "1 pieces of evidence" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("keygen 'two words' --out new.key", "holds a space"),
        ("keygen w --out w1.key", "exists already"),
        ("evidence --state gone.db", "expected a witness's state file"),
        ("witness --policy gone --key w1.key --state x.db", "cannot read"),
        ("witness --policy w1.key --key w1.key --state x.db", "line 1: expected log, witness"),
        ("witness --policy empty --key w1.key --state x.db --new", "expected the logs to witness"),
        ("witness --policy witness-side --key vkey --state x.db", "expected a private key"),
        ("witness --policy witness-side --key w1.key --state x.db", "create it once with --new"),
        ("witness --policy witness-side --key w1.key --state x.db --listen 8330", "HOST:PORT"),
        ("status --policy witness-side --state gone.db", "expected a witness's state file"),
        ("status --policy witness-side", "expected --state or --store, --broker, or both"),
        ("status --policy witness-side --broker mqtt://far.example", "localhost only"),
        ("publish --log audit --broker mqtt://localhost --every 0", "--every: expected 1 to 3600"),
        ("page --policy witness-side", "expected --state"),
        pytest.param(
            "page --policy witness-side --broker mqtt://localhost --listen 0.0.0.0:1",
            "a loopback",
            marks=NEEDS_PAHO,
        ),
        ("page --policy witness-side --broker mqtt://localhost --pages gone", "cannot read gone"),
        ("publish --log gone --broker mqtt://localhost", "gone"),
        (
            "publish --log audit --broker mqtt://localhost --cert w1.key",
            "--cert: expected --broker",
        ),
        ("courier --log audit --policy witness-side --once", "a witness with its URL"),
        ("courier --log audit --policy ours --every 0", "expected 1 or more seconds"),
        ("courier --log gone --policy ours --once", "gone"),
    ],
)
def test_bad_input_is_one_line(
    folder: Path,
    arguments: str,
    wanted: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    (folder / "empty").write_text("# nobody\nquorum none\n")
    vkey = (folder / "vkey").read_text()
    (folder / "ours").write_text(f"witness w1 {vkey} http://127.0.0.1:9\nquorum w1\n")

    assert main(["fleet", *shlex.split(arguments)]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert wanted in line
    assert not (folder / "x.db").exists()
