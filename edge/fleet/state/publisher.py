"""Publishes a device's state to a broker: retained, QoS 1, MQTT 5, with a last will.

The broker announces the last will when the connection breaks. The will has a topic
of its own, so that the last known state is still there. This process subscribes to
nothing: whatever a broker sends, no guard can get it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.fleet.mqtt import BrokerAddress, MqttBroker, mqtt_client
from edge.fleet.state.message import (
    DeviceState,
    Link,
    link_topic,
    state_topic,
    written,
    written_link,
)

_LAST_S = 3.0


class StatePublisher:
    """The connection of one device."""

    def __init__(self, address: BrokerAddress, device: str, say: Callable[[str], None]) -> None:
        self._device = device
        self._newest: DeviceState | None = None
        self._sent = False  # a state was handed to paho
        client = mqtt_client(f"{device}-state", five=True)
        client.will_set(link_topic(device), written_link(Link.LOST), qos=1, retain=True)
        client.max_queued_messages_set(8)  # while there is no broker; only the newest state counts
        self._broker = MqttBroker(address, state_topic(device), say, client)
        self._broker.on_up = self._arrived

    def start(self) -> None:
        """Begin to connect; return at once."""
        self._broker.start()

    def tell(self, state: DeviceState) -> None:
        """Publish a state; without a connection the newest one goes out with the next."""
        self._newest = state
        if self._broker.connected:
            self._send(state)

    def close(self) -> None:
        """Take leave: the broker keeps that the device ended in good order, not the last will."""
        if self._broker.connected:
            self._link(Link.ENDED)
            end_s = time.monotonic() + _LAST_S
            while self._broker.unconfirmed and time.monotonic() < end_s:
                time.sleep(0.02)
        self._broker.close()

    @property
    def settled(self) -> bool:
        """Whether the broker has taken what was told."""
        return self._sent and not self._broker.unconfirmed and not self._broker.refused

    @property
    def refused(self) -> bool:
        """Whether the broker did not want a message: this client may not write there."""
        return self._broker.refused > 0

    def _arrived(self) -> None:
        self._link(Link.UP)
        if self._newest is not None:
            self._send(self._newest)

    def _send(self, state: DeviceState) -> None:
        self._sent = self._broker.send(written(state), retain=True)

    def _link(self, link: Link) -> None:
        self._broker.send(written_link(link), topic=link_topic(self._device), retain=True)
