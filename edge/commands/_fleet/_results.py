"""`framegate fleet results`: a process that publishes the guard's results to an MQTT broker."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.commands._fleet._broker import add_broker, broker_of
from edge.commands._fleet._common import until_stopped
from edge.commands._options import Actions
from edge.commands._output import saying
from edge.errors import UsageError, wrong_in

if TYPE_CHECKING:
    from edge.fleet.result_publisher import ResultPublisher

_TICK_S = 0.2
_LAST_S = 3.0  # for what still waits, at the end
_SAY_S = 60.0

_say = saying("results")
EXAMPLES = """\
examples:
  framegate fleet results --socket /run/framegate/results --broker mqtts://broker.example \\
    --topic site/door1/results --ca ca.pem --cert door1.pem --key door1.key
  framegate fleet results --socket results.sock --broker mqtt://localhost --topic results
and in guard.toml, under [matcher]:  results = "unix:/run/framegate/results"
"""


def register(actions: Actions) -> None:
    parser = actions.add(
        "results",
        "publish the matcher's results to an MQTT broker",
        run,
        description="Listen where the guard hands on results, check each one again, and publish "
        "it (QoS 1). Needs framegate[mqtt]. It is no part of the guard: if the broker is away, "
        "results wait, the oldest are dropped and counted, and the guard goes on.",
        epilog=EXAMPLES,
    )
    parser.path("--socket PATH", "a Unix socket", required=True)
    parser.text("--topic NAME", "where to publish", required=True)
    add_broker(parser)


def run(args: argparse.Namespace) -> int:
    """Publish until SIGTERM."""
    from edge.fleet.mqtt import MqttBroker, checked_topic
    from edge.fleet.result_publisher import ResultPublisher
    from edge.fleet.result_socket import ResultSocket

    with wrong_in("--topic", UsageError):
        topic = checked_topic(args.topic)
    address = broker_of(args)
    broker = MqttBroker(address, topic, _say)
    publisher = ResultPublisher(broker)
    inlet = ResultSocket(args.socket)
    over = threading.Event()
    until_stopped(over.set)
    _say(f"listening at {args.socket}, publishing to {topic}")
    try:
        broker.start()
        _publish(publisher, inlet.receive, over)
    finally:
        inlet.close()
        broker.close()
        _say(publisher.counts.text)
    return 0


def _publish(
    publisher: ResultPublisher, receive: Callable[[float], bytes | None], over: threading.Event
) -> None:
    quiet_until_s = 0.0
    while not over.is_set():
        message = receive(_TICK_S)
        lost = "" if message is None else publisher.take(message)
        if lost and time.monotonic() >= quiet_until_s:
            quiet_until_s = time.monotonic() + _SAY_S
            _say(lost)
        publisher.pump()
    end_s = time.monotonic() + _LAST_S
    while (message := receive(0.0)) is not None:
        publisher.take(message)
    while not publisher.settled and time.monotonic() < end_s:
        publisher.pump()
        time.sleep(0.05)
