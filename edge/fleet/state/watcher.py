"""A reader of a fleet's topics: MQTT 5, subscribes, publishes nothing.

QoS 0: a broker limits how many messages of QoS 1 it queues for one client, and the
retained states of a large fleet are more. Mosquitto limits those of QoS 0 too, in one
number; the shipped configuration has room for all. Within it a connection loses nothing,
and after a break the subscription brings every retained state again. The broker is told
to send no message above the schema's size.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge.fleet.mqtt import BrokerAddress, MqttConnection, mqtt_client
from edge.fleet.state.fleet import Fleet
from edge.fleet.state.message import MAX_BYTES, link_topic, state_topic

if TYPE_CHECKING:
    from paho.mqtt.properties import Properties

_RETRY_S = (1, 10)
_TOPIC_BYTES = 512
_QUIET_S = 1.0


class Watcher(MqttConnection):
    """Fills a `Fleet` from one broker, in paho's thread."""

    def __init__(self, address: BrokerAddress, fleet: Fleet, say: Callable[[str], None]) -> None:
        super().__init__(address, say, mqtt_client(five=True), _RETRY_S)
        self._fleet = fleet
        self._subscribed = threading.Event()
        self._heard_s = 0.0  # of the last message, monotonic
        self.on_up = self._subscribe
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def start(self, properties: Properties | None = None) -> None:
        """Begin to connect; return at once."""
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        wanted: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call,unused-ignore]
        wanted.MaximumPacketSize = MAX_BYTES + _TOPIC_BYTES
        super().start(wanted)

    def wait(self, most_s: float) -> bool:
        """Wait until every device has a state or no more come; False if there is no broker."""
        end_s = time.monotonic() + most_s
        if not self._subscribed.wait(most_s):
            return False
        everything = len(self._fleet.devices)
        while time.monotonic() < min(end_s, self._heard_s + _QUIET_S):
            if self._fleet.stated == everything:
                time.sleep(0.1)  # the links come with them
                break
            time.sleep(0.05)
        return True

    def _subscribe(self) -> None:
        self._client.subscribe([(state_topic("+"), 0), (link_topic("+"), 0)])

    def _on_subscribe(self, client: Any, data: Any, mid: Any, codes: Any, properties: Any) -> None:
        if any(code.is_failure for code in codes):
            self.report(f"{self._address.shown} lets this client read nothing: {codes[0]}")
            return
        self._heard_s = time.monotonic()
        self._subscribed.set()

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        self._heard_s = time.monotonic()
        self._fleet.take(message.topic, message.payload)

    def _on_disconnect(
        self, client: Any, data: Any, flags: Any, code: Any, properties: Any
    ) -> None:
        self._subscribed.clear()
        super()._on_disconnect(client, data, flags, code, properties)
