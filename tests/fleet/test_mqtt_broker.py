"""Results through a real broker (mosquitto): over TLS, across its restart, and to the last one."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.sandbox.result_relay import ResultRelay
from framegate_client.results import Result

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Mosquitto:
    """One broker on this machine; it can end and come back at its port."""

    def __init__(self, folder: Path, *, tls: bool) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true"]
        lines += ["persistence true", f"persistence_location {folder}/"]  # for the listener
        if tls:
            lines += [
                f"certfile {folder}/b.pem",
                f"keyfile {folder}/b.key",
                f"cafile {folder}/b.pem",
            ]
            lines += ["require_certificate true"]
        self._file = folder / "mosquitto.conf"
        self._file.write_text("\n".join([*lines, "user root", ""]))
        self.start()

    def start(self) -> None:
        assert MOSQUITTO is not None
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(self._file)], stderr=subprocess.PIPE)
        until(self._answers, "mosquitto listens")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


def until(happened: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end_s, what
        time.sleep(0.02)


def certificate(folder: Path) -> None:
    """Self-signed, for the broker and its client alike."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += " -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    command += f" -keyout {folder}/b.key -out {folder}/b.pem"
    subprocess.run(command.split(), check=True, capture_output=True)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Mosquitto, bool]]:
    pytest.importorskip("paho.mqtt.client")
    if MOSQUITTO is None or shutil.which("openssl") is None:
        pytest.skip("no mosquitto or no openssl here")
    if request.param:
        certificate(tmp_path)
    found = Mosquitto(tmp_path, tls=request.param)
    yield found, request.param
    found.end()


def listener(folder: Path, port: int, tls: bool) -> tuple[Any, queue.Queue[Any]]:
    """A client that hears the topic, also after the broker's restart."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    heard: queue.Queue[Any] = queue.Queue()
    client = Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
    client.reconnect_delay_set(1, 1)
    if tls:
        client.tls_set(f"{folder}/b.pem", f"{folder}/b.pem", f"{folder}/b.key")
    client.on_connect = lambda c, *_: c.subscribe("site/door1", qos=1)
    client.on_subscribe = lambda *_: heard.put("subscribed")
    client.on_message = lambda _c, _d, message: heard.put(message)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert heard.get(timeout=30) == "subscribed"
    return client, heard


@pytest.mark.slow
def test_results_reach_a_real_broker_and_outlast_its_restart(
    broker: tuple[Mosquitto, bool], tmp_path: Path
) -> None:
    mosquitto, tls = broker
    client, heard = listener(tmp_path, mosquitto.port, tls)
    command = [sys.executable, "-m", "edge.cli", "fleet", "results", "--topic", "site/door1"]
    command += ["--socket", str(tmp_path / "r"), "--broker"]
    command += [f"mqtt{'s' if tls else ''}://127.0.0.1:{mosquitto.port}"]
    if tls:
        command += ["--ca", f"{tmp_path}/b.pem", "--cert", f"{tmp_path}/b.pem"]
        command += ["--key", f"{tmp_path}/b.key"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until((tmp_path / "r").exists, "the socket is there")
    relay = ResultRelay(f"unix:{tmp_path / 'r'}", lambda line: None)

    relay.take(Result("0a1b2c3d" * 8, 0.93, 1), 0)
    first = heard.get(timeout=30)
    mosquitto.end()
    relay.take(Result(None, 0.25, 2), 0)  # while there is no broker
    mosquitto.start()
    second = first  # a broker that was ended may send once more what it saw no receipt for
    while second == "subscribed" or second.payload == first.payload:
        second = heard.get(timeout=60)
    process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=30)
    client.disconnect()
    client.loop_stop()
    relay.close()

    assert json.loads(first.payload) == {"subject": "0a1b2c3d", "score": 0.93, "comparisons": 1}
    assert first.qos == 1
    assert json.loads(second.payload) == {"subject": None, "score": 0.25, "comparisons": 2}
    assert process.returncode == 0, printed
    assert "2 sent, 0 waiting, 0 dropped, 0 refused" in printed
    assert not (tmp_path / "r").exists()
    assert "Traceback" not in printed


@pytest.mark.slow
def test_a_broker_that_another_authority_signed_gets_nothing(tmp_path: Path) -> None:
    """The twin of the TLS case above: the same broker, and a --ca that did not sign it."""
    pytest.importorskip("paho.mqtt.client")
    if MOSQUITTO is None or shutil.which("openssl") is None:
        pytest.skip("no mosquitto or no openssl here")
    certificate(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    certificate(other)
    mosquitto = Mosquitto(tmp_path, tls=True)
    command = [sys.executable, "-m", "edge.cli", "fleet", "results", "--topic", "site/door1"]
    command += ["--socket", str(tmp_path / "r"), "--ca", f"{other}/b.pem"]
    command += ["--cert", f"{tmp_path}/b.pem", "--key", f"{tmp_path}/b.key"]
    process = subprocess.Popen(
        [*command, "--broker", f"mqtts://127.0.0.1:{mosquitto.port}"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        lines = [process.stderr.readline() for _ in range(2)]
        relay = ResultRelay(f"unix:{tmp_path / 'r'}", lambda line: None)
        relay.take(Result(None, 0.25, 2), 0)
        relay.close()
        process.send_signal(signal.SIGTERM)
        _, printed = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
        mosquitto.end()

    assert "listening at" in lines[0]
    assert "CERTIFICATE_VERIFY_FAILED" in lines[1]
    assert "0 sent, 1 waiting" in printed
    assert process.returncode == 0
