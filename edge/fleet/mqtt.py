"""A connection to an MQTT broker by `paho-mqtt` (extra `framegate[mqtt]`), QoS 1.

Paho's thread connects, and connects again after 1 to 120 s (doubled at each failure).
It keeps what the broker has not confirmed, and sends that again after a break: the
broker gets each message once or more. `MqttBroker` publishes; who reads is `state.watcher`.
"""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edge.errors import UsageError, meaning

if TYPE_CHECKING:
    from paho.mqtt.client import Client
    from paho.mqtt.properties import Properties

PORTS = {"mqtts": 8883, "mqtt": 1883}
HERE = ("localhost", "127.0.0.1", "::1")
MAX_TOPIC_BYTES = 255
_RETRY_S = (1, 120)


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker listens, and how it is reached; `tls` is False only on this machine."""

    host: str
    port: int
    tls: bool
    context: ssl.SSLContext | None = None  # whom TLS trusts, and what this client shows

    @property
    def shown(self) -> str:
        return f"{self.host}:{self.port}"


def parse_broker(text: str) -> BrokerAddress:
    """The broker in `mqtts://HOST[:PORT]`, or `mqtt://localhost[:PORT]`.

    Raises:
        UsageError: it is neither.
    """
    expected = f"expected mqtts://HOST[:PORT], got {text!r}"
    with meaning(expected, ValueError):
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    extra = parts.path or parts.query or parts.fragment or parts.username or parts.password
    if parts.scheme not in PORTS or not host or port == 0 or extra or text != text.strip():
        raise UsageError(expected)
    if parts.scheme == "mqtt" and host not in HERE:
        raise UsageError(f"mqtt:// is not encrypted: use it for localhost only, got {host!r}")
    return BrokerAddress(host, port or PORTS[parts.scheme], parts.scheme == "mqtts")


def checked_topic(text: str) -> str:
    """A topic to publish to.

    Raises:
        UsageError: MQTT does not allow it, or it is the broker's own.
    """
    size = len(text.encode(errors="replace"))
    if not 1 <= size <= MAX_TOPIC_BYTES:
        raise UsageError(f"expected 1 to {MAX_TOPIC_BYTES} bytes, got {size}")
    if not text.isprintable() or "+" in text or "#" in text or text.startswith("$"):
        raise UsageError(f"expected printable text without + and #, not after $; got {text!r}")
    return text


def tls_context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """The broker's certificate must come from `ca` (default: the system's) and name its host.

    Raises:
        UsageError: a file is missing or is not what it should be.
    """
    if (cert is None) != (key is None):
        raise UsageError("expected --cert and --key together")
    for option, path in (("--ca", ca), ("--cert", cert), ("--key", key)):
        if path is not None and not path.is_file():
            raise UsageError(f"{option} {path}: expected a file in PEM")
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except OSError as err:  # ssl.SSLError is one
        raise UsageError(f"--ca {ca}: expected certificates in PEM ({err.strerror})") from err
    if cert is not None and key is not None:
        expected = f"--cert {cert}, --key {key}: expected a certificate and its key in PEM"
        with meaning(f"{expected}, without a password", OSError, UsageError):
            context.load_cert_chain(cert, key, password=_no_password)
    return context


def _no_password() -> str:
    raise UsageError("the key has a password")


class MqttConnection:
    """One connection that comes again by itself, and says each change of it once."""

    def __init__(
        self,
        address: BrokerAddress,
        say: Callable[[str], None],
        client: Client,
        retry_s: tuple[int, int],
    ) -> None:
        """`say` hears each change, from paho's thread; `client` is paho's, or its stand-in."""
        self._address, self._say, self._client, self._retry_s = address, say, client, retry_s
        self.trouble = ""  # why there is no connection, or nothing
        self.on_up: Callable[[], None] = lambda: None  # after each connection, in paho's thread
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.reconnect_delay_set(*retry_s)
        if address.context is not None:
            client.tls_set_context(address.context)

    def start(self, properties: Properties | None = None) -> None:
        """Begin to connect; return at once. `properties` are those of MQTT 5's CONNECT."""
        host, port = self._address.host, self._address.port
        self._client.connect_async(host, port, keepalive=60, properties=properties)
        self._client.loop_start()

    @property
    def connected(self) -> bool:
        return bool(self._client.is_connected())  # its library may be absent, and untyped then

    def close(self) -> None:
        """Take leave of the broker and end paho's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def report(self, trouble: str) -> None:
        """Say what is wrong: once for each kind, not at each try."""
        if trouble != self.trouble:
            self.trouble = trouble
            self._say(f"{trouble}; trying again every {self._retry_s[0]} to {self._retry_s[1]} s")

    def _on_connect(self, client: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            self.report(f"{self._address.shown} refuses this client: {code}")
        else:
            self.trouble = ""
            self._say(f"connected to {self._address.shown}")
            self.on_up()

    def _on_connect_fail(self, client: Any, data: Any) -> None:
        err = sys.exc_info()[1]  # paho calls this while it handles the error
        self.report(f"cannot reach {self._address.shown}: {err or 'no connection'}")

    def _on_disconnect(
        self, client: Any, data: Any, flags: Any, code: Any, properties: Any
    ) -> None:
        if code.is_failure:
            self.report(f"lost {self._address.shown}: {code}")


class MqttBroker(MqttConnection):
    """Takes messages and publishes them, to one topic unless they name another."""

    def __init__(
        self,
        address: BrokerAddress,
        topic: str,
        say: Callable[[str], None],
        client: Client | None = None,
    ) -> None:
        super().__init__(address, say, mqtt_client() if client is None else client, _RETRY_S)
        self._topic = topic
        self._lock = threading.Lock()
        self._unconfirmed = 0
        self._refused = 0
        self._client.on_publish = self._on_publish

    @property
    def unconfirmed(self) -> int:
        with self._lock:
            return self._unconfirmed

    @property
    def refused(self) -> int:
        """How many messages the broker did not want, as MQTT 5 says it."""
        with self._lock:
            return self._refused

    def send(self, message: bytes, *, topic: str = "", retain: bool = False) -> bool:
        """Hand one message to paho; False if it does not take it."""
        with self._lock:
            self._unconfirmed += 1  # before it is sent: its confirmation may come at once
        done = self._client.publish(topic or self._topic, message, qos=1, retain=retain)
        # 0: sent; 4: the connection broke just now, and paho sends it after the next one
        if int(done.rc) in (0, 4):
            return True
        with self._lock:
            self._unconfirmed -= 1
        return False

    def _on_publish(self, client: Any, data: Any, mid: Any, code: Any, properties: Any) -> None:
        with self._lock:
            self._unconfirmed -= 1
            self._refused += code.is_failure
        if code.is_failure:  # MQTT 5 says so: an access list, a quota
            self.report(f"{self._address.shown} refused a message: {code}")


def mqtt_client(name: str = "", *, five: bool = False) -> Client:
    """A client of paho's, for MQTT 5 or 3.1.1; `name` is what the broker calls it.

    Raises:
        UsageError: paho is not installed.
    """
    with meaning("paho-mqtt is not installed: pip install 'framegate[mqtt]'", ImportError):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
    protocol = MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311
    return Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=protocol)
