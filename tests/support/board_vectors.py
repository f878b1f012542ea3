"""Makes `vectors.json`: examples of the protocol that both sides are tested with.

python -m tests.support.board_vectors > firmware_bridge/vectors.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from edge.evidence.board_link import Fault
from firmware_bridge import packets, payloads, store
from firmware_bridge.framing import crc16, frame
from firmware_bridge.packets import Keys, Kind, Packet, Refusal
from firmware_bridge.virtual.sensors import Sensors

PATH = Path(packets.__file__).parent / "vectors.json"
ROOT = bytes(range(32))
BOOT_ID = 0x1122_3344_5566_7788
SEED = bytes(range(200, 208))

SENSORS = Sensors(
    docked=True,
    dock_id=b"D-0017",
    tampered=False,
    gyro=(8, -5, 3),
    accel=(-1, 2, 4905),
    lux=32000,
    speed=3,
    position=(525_200_000, -1_340_000),
)
STATUS = payloads.Status(
    permitted=True,
    fault=Fault.NONE,
    veto=0,
    mismatches=0,
    decision=7,
    challenge=0xA1A2_A3A4_A5A6_A7A8,
    t_us=123_456_789,
    host_sequence=41,
    host_age_us=1500,
    life_left_ms=199,
    refused=2,
    noise=1,
    refusal=Refusal.TAG,
)
PAYLOADS: tuple[tuple[Kind, bytes, str], ...] = (
    (Kind.HELLO, payloads.Hello(1, 1, 0xC0FFEE).pack(), "versions 1 to 1"),
    (
        Kind.LEASE,
        payloads.LeaseRequest(0xA1A2_A3A4_A5A6_A7A8, 123_456, 7, 200, False).pack(),
        "asks for 200 ms under decision 7",
    ),
    (
        Kind.LEASE,
        payloads.LeaseRequest(0xA1A2_A3A4_A5A6_A7A8, 123_456, 7, 150, True).pack(),
        "renews decision 7, which is in use",
    ),
    (
        Kind.LEASE,
        payloads.LeaseRequest(0xA1A2_A3A4_A5A6_A7A8, 123_456, 0, 0, False).pack(),
        "revokes",
    ),
    (Kind.PING, b"", "nothing but proof of life"),
    (Kind.LOG_FLOOR, payloads.FloorPayload(1000).pack(), "log size 1000"),
    (Kind.POLICY_FLOOR, payloads.FloorPayload(12).pack(), "policy version 12"),
    (
        Kind.GREETING,
        payloads.Greeting(1, 1, 3, b"firmware", 0xC0FFEE, 5, 41, 123_456_789).pack(),
        "an lm3s6965 answers",
    ),
    (Kind.STATUS, STATUS.pack(), "permits decision 7 for 199 ms more"),
    (Kind.EVIDENCE, SENSORS.pack(123_456), "docked, still, at a place"),
    (Kind.EVIDENCE, Sensors().pack(0), "every sensor silent"),
    (Kind.FLOORS, payloads.FloorsPayload(1000, 12).pack(), "both floors"),
    (Kind.REFUSED, payloads.Refused(0x42, Refusal.KIND, 43).pack(), "0x42 is no command"),
)


def vectors() -> dict[str, Any]:
    """Everything in `vectors.json`."""
    keys = Keys.derive(ROOT)
    rows = []
    for sequence, (kind, payload, meaning) in enumerate(PAYLOADS, start=40):
        from_board = bool(kind.value & packets.FROM_BOARD)
        hello = kind is Kind.HELLO
        packet = Packet(kind.value, 0 if hello else BOOT_ID, 0 if hello else sequence, payload)
        key = keys.from_board if from_board else keys.to_board
        content = packets.seal(packet, key, from_board=from_board)
        rows.append(
            {
                "kind": kind.name,
                "meaning": meaning,
                "boot_id": f"{packet.boot_id:016x}",
                "sequence": packet.sequence,
                "payload": payload.hex(),
                "content": content.hex(),
                "crc": f"{crc16(content):04x}",
                "wire": frame(content).hex(),
            }
        )
    return {
        "crc_check": f"{crc16(b'123456789'):04x}",
        "root": ROOT.hex(),
        "host_to_board": keys.to_board.hex(),
        "board_to_host": keys.from_board.hex(),
        "store_seed": SEED.hex(),
        "store": store.block(ROOT, SEED).hex(),
        "packets": rows,
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1)
    print()
