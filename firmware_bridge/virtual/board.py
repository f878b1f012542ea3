"""The companion board in Python: the same rule as the firmware, packet for packet.

It serves runs without hardware and is the oracle the C is compared with, so
every branch here has its twin in `firmware/interlock.c`. It holds no clock:
`receive`, `sense` and `tick` get the board's free-running time in microseconds,
which never goes back. The interlock line is down until `_permit`, the one
function that raises it, has been reached.
"""

from __future__ import annotations

import hashlib
import hmac

from edge.errors import BridgeError
from edge.evidence.board_link import Fault
from firmware_bridge import packets, payloads
from firmware_bridge.framing import Deframer, frame
from firmware_bridge.packets import Keys, Kind, Packet, Refusal
from firmware_bridge.virtual import sensors
from firmware_bridge.virtual.sensors import Sensors, Veto

MS = 1000
MAX_LIFE_MS = 500
MAX_ECHO_MS = 250  # a lease held back longer than this is refused
ROLL_US = 1000 * MS  # the challenge changes; the one before is good for as long again
SENSOR_LIFE_US = 100 * MS
STATUS_US = 50 * MS
EVIDENCE_US = 20 * MS
COMPLAIN_US = 100 * MS  # between reports of packets that did not authenticate
MAX_MISMATCHES = 3
TX_ROOM = 1024  # bytes waiting to go out; a packet that does not fit is not sent
VIRTUAL = 1
FIRMWARE = hashlib.sha256(b"framegate virtual board 1").digest()[:8]


class VirtualBoard:
    """One boot of the board."""

    def __init__(self, root: bytes, boot_id: int, now_us: int = 0, *, board: int = VIRTUAL) -> None:
        self._keys = Keys.derive(root)
        self._boot_id = boot_id
        self._board = board
        self._deframer = Deframer()
        self._tx = bytearray()
        self._tx_sequence = 0
        self._rx_sequence = 0
        self._rx_us = now_us
        self.streaming = False  # a host has greeted; nothing is sent before the first hello
        self._status_us = now_us
        self._evidence_us = now_us
        self._complained_us: int | None = None
        self._rolls = 0
        self._rolled_us = now_us
        self._challenge = self._draw(0)
        self._before: int | None = None
        self._sensors = Sensors()
        self._sensed_us: int | None = None
        self._veto = Veto.SILENT
        self.line = False  # the interlock line: True permits
        self._decision = 0
        self._until_us = now_us
        self._last_decision = 0
        self.fault = Fault.NONE
        self._fault_decision = 0
        self._mismatches = 0
        self._refused = 0
        self._refusal = Refusal.NONE
        self._log_floor = self._policy_floor = 0

    @property
    def floors(self) -> tuple[int, int]:
        """Audit log size and policy version, to be kept over a reset."""
        return self._log_floor, self._policy_floor

    def take(self) -> bytes:
        """The bytes to send now."""
        out = bytes(self._tx)
        self._tx.clear()
        return out

    # what happens to a board

    def tick(self, now_us: int) -> None:
        """Let time pass: leases end, a challenge rolls or one packet that is due goes out."""
        self._expire(now_us)
        if self._sensed_us is not None and now_us - self._sensed_us > SENSOR_LIFE_US:
            self._sensed_us = None
            self._sensors = Sensors()
            self._judge(Veto.SILENT, now_us)
        if now_us - self._rolled_us >= ROLL_US:
            skipped = now_us - self._rolled_us >= 2 * ROLL_US
            self._before = None if skipped else self._challenge
            self._rolls += 1
            self._rolled_us = now_us
            self._challenge = self._draw(self._rolls)
        elif now_us - self._status_us >= STATUS_US:
            self._send_status(now_us)
        elif now_us - self._evidence_us >= EVIDENCE_US:
            self._evidence_us = now_us
            if self.streaming and self._sensed_us is not None:
                self._send(Kind.EVIDENCE, self._sensors.pack(now_us // MS), now_us)

    def sense(self, reading: Sensors, now_us: int) -> None:
        """Take one reading of every sensor."""
        self._expire(now_us)
        self._sensors = reading
        self._sensed_us = now_us
        self._judge(sensors.veto(reading), now_us)

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes from the line."""
        self._expire(now_us)
        for content in self._deframer.feed(data):
            self._packet(content, now_us)

    def _expire(self, now_us: int) -> None:
        """Asked before anything else, so that nothing ever sees a lease past its end."""
        if self.line and now_us >= self._until_us:
            self._inhibit()
            self._send_status(now_us)

    # packets

    def _packet(self, content: bytes, now_us: int) -> None:
        packet = packets.unseal(content, self._keys.to_board, from_board=False)
        if isinstance(packet, Refusal):
            self._refuse(packet)
            may_say = packet in (Refusal.VERSION, Refusal.KEY_ID, Refusal.TAG)
            since = self._complained_us
            if may_say and (since is None or now_us - since >= COMPLAIN_US):
                self._complained_us = now_us
                _, kind, _, _, _, sequence = packets.HEADER.unpack_from(content)
                self._report(kind, sequence, packet, now_us)
            return
        refusal = self._fresh(packet)
        if refusal is Refusal.NONE:
            refusal = self._act(packet, now_us)
        if refusal is not Refusal.NONE:
            self._refuse(refusal)
            self._report(packet.kind, packet.sequence, refusal, now_us)
        else:
            self._send_status(now_us)

    def _fresh(self, packet: Packet) -> Refusal:
        if packet.kind == Kind.HELLO.value:
            return Refusal.NONE  # it changes nothing, so a repeated one is harmless
        if packet.boot_id != self._boot_id:
            return Refusal.BOOT
        if packet.sequence <= self._rx_sequence:
            return Refusal.SEQUENCE
        return Refusal.NONE

    def _act(self, packet: Packet, now_us: int) -> Refusal:
        payload = packet.payload
        if packet.kind != Kind.HELLO.value:
            self._rx_sequence = packet.sequence
            self._rx_us = now_us
        try:
            match packet.kind:
                case Kind.HELLO.value:
                    return self._hello(payloads.Hello.unpack(payload), now_us)
                case Kind.LEASE.value:
                    if len(payload) == payloads.LeaseRequest.LAYOUT.size and payload[-1] > 1:
                        return Refusal.FIELD
                    return self._lease(payloads.LeaseRequest.unpack(payload), now_us)
                case Kind.PING.value:
                    return Refusal.LENGTH if payload else Refusal.NONE
                case Kind.LOG_FLOOR.value:
                    floor = payloads.FloorPayload.unpack(payload).value
                    self._log_floor = max(self._log_floor, floor)
                case Kind.POLICY_FLOOR.value:
                    floor = payloads.FloorPayload.unpack(payload).value
                    self._policy_floor = max(self._policy_floor, floor)
                case _:
                    return Refusal.KIND
        except BridgeError:
            return Refusal.LENGTH
        floors = payloads.FloorsPayload(self._log_floor, self._policy_floor)
        self._send(Kind.FLOORS, floors.pack(), now_us)
        return Refusal.NONE

    def _hello(self, hello: payloads.Hello, now_us: int) -> Refusal:
        speaks = hello.min_version <= packets.VERSION <= hello.max_version
        greeting = payloads.Greeting(
            packets.VERSION,
            packets.VERSION,
            self._board,
            FIRMWARE,
            hello.nonce,
            self._challenge,
            self._rx_sequence,
            now_us,
        )
        self._send(Kind.GREETING, greeting.pack(), now_us)
        if not speaks:
            return Refusal.VERSION
        self.streaming = True
        return Refusal.NONE

    # the interlock

    def _lease(self, lease: payloads.LeaseRequest, now_us: int) -> Refusal:
        if lease.challenge not in (self._challenge, self._before):
            return Refusal.CHALLENGE
        if (now_us // MS - lease.echo_ms) & payloads.WORD > MAX_ECHO_MS:
            return Refusal.STALE
        if lease.life_ms == 0:
            self._inhibit()
            self._mismatches = 0
            return Refusal.NONE
        if lease.decision == 0:
            return Refusal.FIELD
        self._last_decision = lease.decision
        if lease.releasing and not (self.line and lease.decision == self._decision):
            self._mismatch()
        elif self._may_permit(lease.decision):
            self._permit(lease.decision, now_us + min(lease.life_ms, MAX_LIFE_MS) * MS)
        return Refusal.NONE

    def _may_permit(self, decision: int) -> bool:
        """Whether nothing forbids `decision`; a new one clears a latched fault."""
        if self.fault is Fault.SEQUENCE or self._veto:
            return False
        if self.fault is not Fault.NONE and decision <= self._fault_decision:
            return False
        self.fault = Fault.NONE
        return True

    def _permit(self, decision: int, until_us: int) -> None:
        """Raise the line: nothing else does."""
        self.line = True
        self._decision = decision
        self._until_us = until_us
        self._mismatches = 0

    def _inhibit(self) -> None:
        self.line = False
        self._decision = 0

    def _latch(self, fault: Fault) -> None:
        self._inhibit()
        if fault.value > self.fault.value:
            self.fault = fault
        self._fault_decision = self._last_decision

    def _mismatch(self) -> None:
        """Inhibit, and count a claim of the host to release frames while the line is down."""
        self._inhibit()
        self._mismatches = min(self._mismatches + 1, MAX_MISMATCHES)
        if self._mismatches == MAX_MISMATCHES:
            self._latch(Fault.CLAIM)

    def _judge(self, found: Veto, now_us: int) -> None:
        news = found != self._veto  # neither line nor fault changes here without it
        self._veto = found
        if found & Veto.TAMPERED:
            self._latch(Fault.TAMPER)
        elif found and self.line:
            self._latch(Fault.VETO)
        if news:
            self._send_status(now_us)

    # sending

    def _draw(self, rolls: int) -> int:
        """A challenge that cannot be predicted without the key."""
        seed = b"challenge" + self._boot_id.to_bytes(8, "little") + rolls.to_bytes(8, "little")
        return int.from_bytes(hmac.digest(self._keys.from_board, seed, "sha256")[:8], "little")

    def _refuse(self, refusal: Refusal) -> None:
        self._refused = (self._refused + 1) & 0xFFFF
        self._refusal = refusal

    def _report(self, kind: int, sequence: int, refusal: Refusal, now_us: int) -> None:
        refused = payloads.Refused(kind, refusal, sequence)
        self._send(Kind.REFUSED, refused.pack(), now_us)

    def _send_status(self, now_us: int) -> None:
        self._status_us = now_us
        if not self.streaming:
            return
        left_us = self._until_us - now_us if self.line else 0
        status = payloads.Status(
            permitted=self.line,
            fault=self.fault,
            veto=self._veto.value,
            mismatches=self._mismatches,
            decision=self._decision,
            challenge=self._challenge,
            t_us=now_us,
            host_sequence=self._rx_sequence,
            host_age_us=min(now_us - self._rx_us, payloads.WORD),
            life_left_ms=left_us // MS,
            refused=self._refused,
            noise=self._deframer.noise & 0xFFFF,
            refusal=self._refusal,
        )
        self._send(Kind.STATUS, status.pack(), now_us)

    def _send(self, kind: Kind, payload: bytes, now_us: int) -> None:
        if self._tx_sequence == packets.MAX_SEQUENCE:
            self._latch(Fault.SEQUENCE)  # only a reset, with a new boot id, permits new packets
            return
        packet = Packet(kind.value, self._boot_id, self._tx_sequence + 1, payload)
        wire = frame(packets.seal(packet, self._keys.from_board, from_board=True))
        self._tx_sequence += 1
        if len(self._tx) + len(wire) <= TX_ROOM:
            self._tx += wire
