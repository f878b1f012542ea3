"""The host's end of the link: bytes in, bytes out, no port and no clock.

The link is up while the newest status is less than `LINK_LIFE_NS` old and echoes a
sequence number that the host sent less than that long ago. So neither side takes
old packets for fresh ones, even if they waited in a buffer. No input makes this
code raise, grow or wait; it counts what is wrong and goes on.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass

from edge.clock import MS
from edge.errors import BridgeError
from edge.evidence.board_link import Floors
from edge.evidence.readings import BoardSample
from edge.reasons import Reason
from firmware_bridge import packets, payloads
from firmware_bridge.framing import Deframer, frame
from firmware_bridge.packets import Keys, Kind, Packet, Refusal
from firmware_bridge.strangers import TAIL
from firmware_bridge.virtual import sensors

LINK_LIFE_NS = 200 * MS
HELLO_NS = 100 * MS
PING_NS = 50 * MS
DOUBT_NS = 1000 * MS  # how long a sign of trouble is remembered
_HALF_WORD = 1 << 31
_SENT = 64  # packets whose sending time is remembered


_BLAMED = {
    Refusal.TAG: Reason.LINK_KEY,
    Refusal.KEY_ID: Reason.LINK_KEY,
    Refusal.VERSION: Reason.LINK_VERSION,
}


@dataclass(slots=True)
class Counters:
    """Counts of received and sent packets; for messages only."""

    received: int = 0
    noise: int = 0
    bad_tag: int = 0
    replayed: int = 0
    foreign_boot: int = 0
    malformed: int = 0
    lost: int = 0  # gaps in the board's sequence numbers
    refused: int = 0  # packets of ours that the board reported as refused
    greetings: int = 0
    sent: int = 0


class Session:
    """One host talking to one board; survives any number of resets of the board."""

    def __init__(
        self,
        keys: Keys,
        *,
        versions: tuple[int, int] = (packets.VERSION, packets.VERSION),
        simulated: bool = True,
    ) -> None:
        """With `simulated` false only a real board is ever greeted."""
        self.counters = Counters()
        self.greeting: payloads.Greeting | None = None
        self.status: payloads.Status | None = None
        self.last_refused: payloads.Refused | None = None
        self._keys = keys
        self._versions = versions
        self._simulated = simulated
        self._deframer = Deframer()
        self.tail = b""  # the last bytes that came, whatever they are
        self._hello: tuple[int, int] | None = None  # nonce, sent_ns
        self._hello_after_ns = 0
        self._boot_id = 0
        self._challenge = 0
        self._echo_ms = 0
        self.sent_sequence = 0  # the number of the newest packet sent
        self._rx_sequence = 0
        self._sent: deque[tuple[int, int]] = deque(maxlen=_SENT)
        self._sent_ns = 0
        self._fresh_ns: int | None = None  # when we sent what the board last confirmed
        self._heard: tuple[int, int] = (0, 0)  # board time of hearing us (us), when we sent it (ns)
        self._trouble_ns: dict[Reason, int] = {}  # what was wrong with received bytes, and when

    def up(self, now_ns: int) -> bool:
        """Whether the board's messages can be trusted at this moment."""
        return self.status is not None and self._confirmed(now_ns) and not self.exhausted

    def troubles(self, now_ns: int) -> tuple[Reason, ...]:
        """What has been wrong within the last second."""
        return tuple(t for t, at_ns in self._trouble_ns.items() if now_ns - at_ns <= DOUBT_NS)

    @property
    def exhausted(self) -> bool:
        """Whether no sequence number is left; only a reset of the board helps."""
        return self.sent_sequence >= packets.MAX_SEQUENCE

    def restart(self) -> None:
        """Accept nothing until the board has sent a new hello."""
        self.greeting = None
        self.status = None
        self._fresh_ns = None
        self._hello = None
        self._hello_after_ns = 0
        self._sent.clear()
        self._deframer.clear()

    # sending

    def due(self, now_ns: int) -> bytes:
        """What keeps the link alive: a hello, a ping or nothing."""
        if self.greeting is not None and not self._confirmed(now_ns):
            self.restart()
        if self.greeting is None:
            if now_ns < self._hello_after_ns:
                return b""
            nonce = secrets.randbits(64)
            self._hello = (nonce, now_ns)
            self._hello_after_ns = now_ns + HELLO_NS
            payload = payloads.Hello(*self._versions, nonce).pack()
            return self._seal(Packet(Kind.HELLO.value, 0, 0, payload))
        if now_ns - self._sent_ns >= PING_NS:
            return self.packet(Kind.PING.value, b"", now_ns)
        return b""

    def lease(self, decision: int, life_ms: int, *, releasing: bool, now_ns: int) -> bytes:
        """A lease, or with `life_ms` 0 a revocation; nothing while no board has greeted."""
        request = payloads.LeaseRequest(
            self._challenge, self._echo_ms, decision, life_ms, releasing
        )
        return self.packet(Kind.LEASE.value, request.pack(), now_ns)

    def floors(self, floors: Floors, now_ns: int) -> bytes:
        """Raise the board's floors; zeros only ask for them."""
        log = payloads.FloorPayload(floors.log_size).pack()
        policy = payloads.FloorPayload(floors.policy_version).pack()
        raised = self.packet(Kind.LOG_FLOOR.value, log, now_ns)
        return raised + self.packet(Kind.POLICY_FLOOR.value, policy, now_ns)

    def packet(self, kind: int, payload: bytes, now_ns: int) -> bytes:
        """A correctly sealed packet of any kind, to test the board's answer."""
        if self.greeting is None or self.exhausted:
            return b""
        self.sent_sequence += 1
        self._sent.append((self.sent_sequence, now_ns))
        self._sent_ns = now_ns
        return self._seal(Packet(kind, self._boot_id, self.sent_sequence, payload))

    def _seal(self, packet: Packet) -> bytes:
        self.counters.sent += 1
        return frame(packets.seal(packet, self._keys.to_board, from_board=False))

    # receiving

    def receive(self, data: bytes, now_ns: int) -> list[BoardSample | Floors]:
        """Take bytes from the port; returns the evidence and floors that were authenticated."""
        heard: list[BoardSample | Floors] = []
        self.tail = (self.tail + data)[-TAIL:]
        for content in self._deframer.feed(data):
            packet = packets.unseal(content, self._keys.from_board, from_board=True)
            if isinstance(packet, Refusal):
                self.counters.bad_tag += 1
                self._blame(packet, now_ns)
                continue
            self.counters.received += 1
            try:
                found = self._packet(packet, now_ns)
            except BridgeError:
                self.counters.malformed += 1
                continue
            if found is not None:
                heard.append(found)
        self.counters.noise = self._deframer.noise
        return heard

    def _blame(self, refusal: Refusal, now_ns: int) -> None:
        """Note what a refusal, by us or by the board, says of key and version."""
        if refusal in _BLAMED:
            self._trouble_ns[_BLAMED[refusal]] = now_ns

    def _packet(self, packet: Packet, now_ns: int) -> BoardSample | Floors | None:
        if packet.kind == Kind.GREETING.value:
            self._greeted(packet, now_ns)
            return None
        if self.greeting is None:  # no packet counts, but a refusal may say why no greeting comes
            if packet.kind == Kind.REFUSED.value:
                self.last_refused = payloads.Refused.unpack(packet.payload)
                self._blame(self.last_refused.refusal, now_ns)
            return None
        if packet.boot_id != self._boot_id:
            self.counters.foreign_boot += 1
            if packet.kind == Kind.REFUSED.value:
                self.restart()  # the board that answers us now is in another boot
            else:
                self._trouble_ns[Reason.LINK_REPLAY] = now_ns  # recorded in another boot
            return None
        if packet.sequence <= self._rx_sequence:
            self.counters.replayed += 1
            self._trouble_ns[Reason.LINK_REPLAY] = now_ns
            return None
        self.counters.lost += packet.sequence - self._rx_sequence - 1
        self._rx_sequence = packet.sequence
        if packet.kind == Kind.STATUS.value:
            self._take_status(payloads.Status.unpack(packet.payload), now_ns)
        elif packet.kind == Kind.EVIDENCE.value:
            t_ms, reading = sensors.unpack(packet.payload)
            self._echo_ms = t_ms
            dated_ns = self._dated_ns(t_ms, now_ns)
            return sensors.sample(reading, dated_ns) if self.up(now_ns) else None
        elif packet.kind == Kind.FLOORS.value:
            floors = payloads.FloorsPayload.unpack(packet.payload)
            return Floors(floors.log_size, floors.policy_version) if self.up(now_ns) else None
        elif packet.kind == Kind.REFUSED.value:
            self.counters.refused += 1
            self.last_refused = payloads.Refused.unpack(packet.payload)
        return None

    def _greeted(self, packet: Packet, now_ns: int) -> None:
        greeting = payloads.Greeting.unpack(packet.payload)
        if self._hello is None or greeting.nonce != self._hello[0]:
            self.counters.replayed += 1
            self._trouble_ns[Reason.LINK_REPLAY] = now_ns
            return
        low, high = self._versions
        if greeting.max_version < low or greeting.min_version > high:
            self._trouble_ns[Reason.LINK_VERSION] = now_ns
            return
        if not self._simulated and greeting.board not in payloads.REAL_BOARDS:
            self._trouble_ns[Reason.BOARD_VIRTUAL] = now_ns
            return
        self.counters.greetings += 1
        self.greeting = greeting
        self.status = None
        self._boot_id = packet.boot_id
        self._rx_sequence = packet.sequence
        self._challenge = greeting.challenge
        self._echo_ms = greeting.t_us // 1000 & payloads.WORD
        self.sent_sequence = greeting.host_sequence
        self._fresh_ns = self._hello[1]
        self._heard = (greeting.t_us, self._hello[1])
        self._sent.clear()
        self._sent.append((greeting.host_sequence, self._hello[1]))
        self._sent_ns = now_ns - PING_NS  # the first ping goes out at once
        self._hello = None

    def _take_status(self, status: payloads.Status, now_ns: int) -> None:
        self.status = status
        self._challenge = status.challenge
        self._echo_ms = status.t_us // 1000 & payloads.WORD
        while self._sent and self._sent[0][0] < status.host_sequence:
            self._sent.popleft()
        if self._sent and self._sent[0][0] == status.host_sequence:
            sent_ns = self._sent[0][1]
            self._fresh_ns = sent_ns
            self._heard = (status.t_us - status.host_age_us, sent_ns)

    def _dated_ns(self, t_ms: int, now_ns: int) -> int:
        """The earliest that a measurement at board time `t_ms` (modulo 2^32) can have been made.

        The board heard a packet of ours no earlier than we sent it. So a line that is slow, or
        made slow, can make evidence look old, but never newer than it is.
        """
        board_us, sent_ns = self._heard
        since_ms = (t_ms + -board_us // 1000 + _HALF_WORD & payloads.WORD) - _HALF_WORD
        return min(sent_ns + since_ms * MS, now_ns)

    def _confirmed(self, now_ns: int) -> bool:
        """Whether the board has lately confirmed a packet of ours."""
        return self._fresh_ns is not None and now_ns - self._fresh_ns <= LINK_LIFE_NS
