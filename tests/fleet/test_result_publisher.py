"""What leaves for a broker: results alone, no more than the queue holds, the newest if not all."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.cli import main
from edge.errors import UsageError
from edge.fleet.mqtt import BrokerAddress, MqttBroker, checked_topic, parse_broker
from edge.fleet.result_message import checked
from edge.fleet.result_publisher import MOST_UNCONFIRMED, ResultPublisher
from edge.fleet.result_socket import ResultSocket
from edge.sandbox.result_relay import ResultRelay
from framegate_client.results import Result

GOOD = {"subject": "0a1b2c3d", "score": 0.93, "comparisons": 1}


def message(**changed: Any) -> bytes:
    return json.dumps({**GOOD, **changed}).encode()


class StandIn:
    """A broker that takes what it is set to take."""

    def __init__(self) -> None:
        self.connected = True
        self.unconfirmed = 0
        self.refuses = False
        self.got: list[bytes] = []

    def send(self, message: bytes) -> bool:
        if self.refuses:
            return False
        self.got.append(message)
        self.unconfirmed += 1
        return True


@pytest.mark.parametrize("changed", [{}, {"subject": None}, {"score": -2}, {"comparisons": 4096}])
def test_a_result_goes_out_as_it_came(changed: dict[str, Any]) -> None:
    assert json.loads(checked(message(**changed))) == {**GOOD, **changed}


def test_only_the_three_values_go_out_written_anew() -> None:
    hidden = b'{"comparisons": 1,  "score": 0.93000000001, "subject": "ffffffff", "score": 0.9312}'

    assert checked(hidden) == b'{"subject": "ffffffff", "score": 0.93, "comparisons": 1}'


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[" * 250, "JSON"),
        (b"[]", "fields"),
        (b'{"subject": null, "score": 1}', "fields"),
        (message(name="x"), "fields"),
        (message(subject="0a1b2c3d" * 8), "subject"),
        (message(subject="0A1B2C3D"), "subject"),
        (message(subject=17), "subject"),
        (message(score="0.9"), "score"),
        (message(score=True), "score"),
        (message(score=float("nan")), "score"),
        (message(score=2.1), "score"),
        (message(comparisons=1.0), "comparisons"),
        (message(comparisons=4097), "comparisons"),
        (message(comparisons=True), "comparisons"),
        (message(subject="a" * 300), "256 bytes"),
    ],
)
def test_what_is_no_result_is_refused_and_counted(wrong: bytes, named: str) -> None:
    broker = StandIn()
    publisher = ResultPublisher(broker)

    heard = publisher.take(wrong)
    publisher.take(message())
    publisher.pump()

    assert named in heard
    assert heard.endswith("1 so far")
    assert broker.got == [checked(message())]
    assert publisher.counts.refused == 1


def test_results_wait_for_the_broker_and_go_in_order() -> None:
    broker = StandIn()
    broker.connected = False
    publisher = ResultPublisher(broker)
    for n in range(3):
        assert publisher.take(message(comparisons=n)) == ""
    publisher.pump()
    assert broker.got == []
    assert not publisher.settled

    broker.connected = True
    publisher.pump()

    assert [json.loads(one)["comparisons"] for one in broker.got] == [0, 1, 2]
    assert not publisher.settled
    broker.unconfirmed = 0
    assert publisher.settled


def test_a_full_queue_drops_the_oldest_and_says_how_many() -> None:
    broker = StandIn()
    broker.connected = False
    publisher = ResultPublisher(broker, most_waiting=3)

    heard = [publisher.take(message(comparisons=n)) for n in range(5)]
    broker.connected = True
    publisher.pump()

    assert heard[:3] == ["", "", ""]
    assert heard[4].endswith("dropped the oldest result; 2 so far")
    assert [json.loads(one)["comparisons"] for one in broker.got] == [2, 3, 4]
    assert publisher.counts.text == "3 sent, 0 waiting, 2 dropped, 0 refused"


def test_no_more_is_sent_than_the_broker_confirms() -> None:
    broker = StandIn()
    publisher = ResultPublisher(broker)
    for _ in range(MOST_UNCONFIRMED + 5):
        publisher.take(message())

    publisher.pump()
    assert len(broker.got) == MOST_UNCONFIRMED
    broker.unconfirmed = 0
    broker.refuses = True
    publisher.pump()
    assert publisher.counts.waiting == 5
    broker.refuses = False
    publisher.pump()
    assert publisher.counts.waiting == 0


class PahoStandIn:
    """What `MqttBroker` uses of paho's client."""

    def __init__(self, rc: int = 0) -> None:
        self.rc = rc
        self.published: list[tuple[str, bytes, int]] = []

    def reconnect_delay_set(self, least_s: int, most_s: int) -> None:
        assert 0 < least_s < most_s

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> SimpleNamespace:
        assert retain is False  # a result is of its moment
        self.published.append((topic, payload, qos))
        return SimpleNamespace(rc=self.rc)

    def is_connected(self) -> bool:
        return True


def made(client: PahoStandIn, heard: list[str]) -> MqttBroker:
    address = BrokerAddress("broker.example", 8883, tls=True)
    return MqttBroker(address, "door1", heard.append, client)  # type: ignore[arg-type]


@pytest.mark.parametrize(("rc", "taken"), [(0, True), (4, True), (15, False)])
def test_a_result_is_published_with_qos_1_and_counts_until_confirmed(rc: int, taken: bool) -> None:
    client = PahoStandIn(rc)
    broker = made(client, [])

    assert broker.send(b"{}") is taken
    assert client.published == [("door1", b"{}", 1)]
    assert broker.unconfirmed == int(taken)
    if taken:
        client.on_publish(client, None, 1, SimpleNamespace(is_failure=False), None)  # type: ignore[attr-defined]
        assert broker.unconfirmed == 0


def test_a_lasting_trouble_is_said_once_and_again_after_a_connection() -> None:
    client, heard = PahoStandIn(), list[str]()
    made(client, heard)
    fine, bad = SimpleNamespace(is_failure=False), SimpleNamespace(is_failure=True)
    for _ in range(3):
        client.on_connect_fail(client, None)  # type: ignore[attr-defined]
    client.on_connect(client, None, None, fine, None)  # type: ignore[attr-defined]
    client.on_disconnect(client, None, None, fine, None)  # type: ignore[attr-defined]
    client.on_connect_fail(client, None)  # type: ignore[attr-defined]
    client.on_connect(client, None, None, bad, None)  # type: ignore[attr-defined]

    assert [line.split()[0] for line in heard] == [
        "cannot",
        "connected",
        "cannot",
        "broker.example:8883",
    ]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mqtts://broker.example", BrokerAddress("broker.example", 8883, True)),
        ("mqtts://10.0.0.1:9000", BrokerAddress("10.0.0.1", 9000, True)),
        ("mqtt://localhost", BrokerAddress("localhost", 1883, False)),
        ("mqtt://[::1]:1884", BrokerAddress("::1", 1884, False)),
    ],
)
def test_a_broker_is_named_by_its_url(text: str, address: BrokerAddress) -> None:
    assert parse_broker(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "broker", "http://b", "mqtts://", "mqtts://b:0", "mqtts://b:99999", "mqtts://b:x",
     "mqtts://u:p@b", "mqtts://b/t", "mqtt://broker.example", " mqtts://b"],
)  # fmt: skip
def test_another_broker_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"mqtts://HOST|not encrypted"):
        parse_broker(text)


@pytest.mark.parametrize("topic", ["", "a/#", "+/b", "$SYS/a", "a\n", "a" * 256])
def test_a_topic_that_mqtt_forbids_is_refused(topic: str) -> None:
    assert checked_topic("site/door 1") == "site/door 1"
    with pytest.raises(UsageError, match="expected"):
        checked_topic(topic)


def test_the_guards_relay_reaches_the_socket_and_a_stale_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "results"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stale:
        stale.bind(str(path))
    inlet = ResultSocket(path)
    assert path.stat().st_mode & 0o777 == 0o660
    relay = ResultRelay(f"unix:{path}", lambda line: None)

    relay.take(Result("0a1b2c3d" * 8, 0.93, 1), 0)

    got = inlet.receive(1.0)
    assert got is not None
    assert checked(got) == checked(message())
    assert inlet.receive(0.0) is None
    with pytest.raises(UsageError, match="another program listens"):
        ResultSocket(path)
    relay.close()
    inlet.close()
    assert not path.exists()


@pytest.mark.slow
def test_bad_input_is_one_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("paho.mqtt.client")
    (tmp_path / "no.pem").write_text("no certificate")
    (tmp_path / "file").write_text("")
    fine = {"socket": tmp_path / "s", "broker": "mqtts://b.example", "topic": "t"}
    wrong: list[tuple[dict[str, object], str]] = [
        ({"socket": tmp_path / "file"}, "expected a Unix socket"),
        ({"socket": tmp_path / "no" / "s"}, "No such file"),
        ({"socket": tmp_path / ("s" * 108)}, "107 bytes"),
        ({"broker": "b.example"}, "--broker"),
        ({"topic": "#"}, "--topic"),
        ({"ca": tmp_path / "none"}, "--ca"),
        ({"ca": tmp_path / "no.pem"}, "--ca"),
        ({"cert": tmp_path / "no.pem"}, "--cert and --key together"),
        ({"cert": tmp_path / "no.pem", "key": tmp_path / "no.pem"}, "without a password"),
        ({"broker": "mqtt://localhost", "ca": tmp_path / "no.pem"}, "--ca: expected --broker"),
    ]
    for changed, named in wrong:
        given = {**fine, **changed}
        code = main(["fleet", "results", *(f"--{name}={value}" for name, value in given.items())])
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert code == 2, named
        assert named in line
    assert not (tmp_path / "s").exists()
