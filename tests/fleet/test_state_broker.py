"""Three devices at a real mosquitto with the shipped configuration: states, wills, walls."""

from __future__ import annotations

import json
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.fleet.broker import Broker, mosquitto
from bench.fleet.certificates import make_certificates
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.cli import main
from edge.fleet.state.message import link_topic, state_topic
from tests.support.audit_helpers import start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(mosquitto() is None, reason="no mosquitto here"),
]
KEYS = {name: Signer.generate(f"{name}/log") for name in ("fg-1", "fg-2", "fg-3")}


def until(happened: Callable[[], object], what: str) -> None:
    end_s = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end_s, what
        time.sleep(0.02)


@dataclass
class Rig:
    """A broker, three logs, and what publishes them."""

    folder: Path
    broker: Broker
    publishers: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def options(self, name: str) -> list[str]:
        files = [f"--ca={self.folder}/ca.pem", f"--cert={self.folder}/{name}.pem"]
        return [*files, f"--key={self.folder}/{name}.key", f"--broker={self.broker.url}"]

    def publish(self, name: str, *, cert: str = "", once: bool = False) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "edge.cli", "fleet", "publish", "--every", "1"]
        command += ["--log", str(self.folder / name), *self.options(cert or name)]
        process = subprocess.Popen(
            [*command, *(["--once"] if once else [])], stderr=subprocess.PIPE, text=True
        )
        self.publishers[name] = process
        return process

    def status(self, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        command = ["fleet", "status", "--policy", str(self.folder / "policy"), "--json"]
        code = main([*command, *self.options("fleet-watch")])
        return code, {row["device"]: row for row in json.loads(capsys.readouterr().out)}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    pytest.importorskip("paho.mqtt.client")
    make_certificates(tmp_path, "localhost", [*KEYS, "fleet-watch"])
    lines = "".join(f"log {key.verifier.text}\n" for key in KEYS.values())
    (tmp_path / "policy").write_text(f"{lines}quorum none\n")
    for number, (name, key) in enumerate(KEYS.items(), 1):
        journal = AuditLog.create_or_open(tmp_path / name, key)
        for entry in range(10 * number):
            journal.append(start(float(entry)), durable=False)
        journal.close()
    found = Rig(tmp_path, Broker(tmp_path))
    yield found
    for process in found.publishers.values():
        if process.poll() is None:
            process.kill()
        process.wait()
    found.broker.end()


def test_states_outlast_the_broker_a_kill_is_a_last_will_and_an_end_is_none(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in KEYS:
        rig.publish(name)
    until(lambda: all(r["size"] for r in rig.status(capsys)[1].values()), "all publish")
    code, rows = rig.status(capsys)
    assert [rows[name]["size"] for name in KEYS] == [10, 20, 30]
    assert {row["shown"] for row in rows.values()} == {"GUARD_ABSENT"}  # no daemon runs here
    assert code == 1

    rig.publishers["fg-1"].kill()
    rig.publishers["fg-2"].send_signal(signal.SIGTERM)
    assert rig.publishers["fg-2"].wait(30) == 0
    until(lambda: rig.status(capsys)[1]["fg-1"]["link"] == "lost", "the last will")
    _, rows = rig.status(capsys)
    assert (rows["fg-1"]["shown"], rows["fg-2"]["shown"]) == ("LOST", "ENDED")
    assert rows["fg-1"]["size"] == 10  # what it said last is still there

    rig.publishers["fg-3"].kill()
    rig.broker.end()
    rig.broker.start()
    until(lambda: len(rig.status(capsys)[1]) == 3, "the broker is back")
    assert [row["size"] for row in rig.status(capsys)[1].values()] == [10, 20, 30]


def test_a_device_can_write_its_own_state_alone_and_read_none(rig: Rig) -> None:
    """A stolen client certificate: fg-1's, used for everything that is not fg-1's."""
    other = rig.publish("fg-2", cert="fg-1", once=True)
    _, printed = other.communicate(timeout=60)
    assert other.returncode == 1
    assert "Not authorized" in printed

    own = rig.publish("fg-1", once=True)
    assert own.wait(60) == 0

    heard = _all_that(rig, "fg-1")
    assert heard == []
    assert _all_that(rig, "fleet-watch") == [link_topic("fg-1"), state_topic("fg-1")]


def test_without_a_certificate_of_the_fleet_nobody_gets_in(rig: Rig, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    make_certificates(stranger, "elsewhere", ["fg-1"])
    shutil.copy(stranger / "fg-1.pem", rig.folder / "false.pem")
    shutil.copy(stranger / "fg-1.key", rig.folder / "false.key")

    for options in ([], [f"--cert={rig.folder}/false.pem", f"--key={rig.folder}/false.key"]):
        command = ["fleet", "status", "--policy", str(rig.folder / "policy"), "--wait", "1"]
        command += [f"--ca={rig.folder}/ca.pem", f"--broker={rig.broker.url}", *options]
        assert main(command) == 1


def _all_that(rig: Rig, name: str) -> list[str]:
    """The topics that a client gets with this certificate when it asks for all."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    got: list[str] = []
    answered: list[object] = []
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    context = ssl.create_default_context(cafile=f"{rig.folder}/ca.pem")
    context.load_cert_chain(f"{rig.folder}/{name}.pem", f"{rig.folder}/{name}.key")
    client.tls_set_context(context)
    client.on_message = lambda _c, _d, message: got.append(message.topic)
    client.on_subscribe = lambda *_: answered.append(1)
    client.connect("localhost", rig.broker.port)
    client.loop_start()
    client.subscribe("#", qos=1)
    until(lambda: answered, "the subscription is answered")
    client.publish(state_topic(name), b"{}", qos=1).wait_for_publish(30)  # after what was retained
    client.disconnect()
    client.loop_stop()
    return sorted(topic for topic in got if topic != state_topic("fleet-watch"))
