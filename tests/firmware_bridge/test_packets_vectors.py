"""The published examples of the protocol hold in Python and in the firmware's C."""

from __future__ import annotations

import json

import pytest

from firmware_bridge import packets
from firmware_bridge.framing import Deframer
from firmware_bridge.packets import FROM_BOARD, Keys, Kind, Packet
from tests.support import board_vectors

VECTORS = json.loads(board_vectors.PATH.read_text())
ROWS = VECTORS["packets"]
IDS = [f"{row['kind']}: {row['meaning']}" for row in ROWS]


def test_the_file_is_what_the_code_says():
    assert board_vectors.vectors() == VECTORS


def test_every_kind_of_packet_has_an_example():
    assert {row["kind"] for row in ROWS} == {kind.name for kind in Kind}


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_python_reads_the_example(row):
    keys = Keys.derive(bytes.fromhex(VECTORS["root"]))
    from_board = bool(Kind[row["kind"]].value & FROM_BOARD)
    key = keys.from_board if from_board else keys.to_board

    (content,) = Deframer().feed(bytes.fromhex(row["wire"]))

    assert content.hex() == row["content"]
    assert packets.unseal(content, key, from_board=from_board) == Packet(
        Kind[row["kind"]].value,
        int(row["boot_id"], 16),
        row["sequence"],
        bytes.fromhex(row["payload"]),
    )


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_the_firmware_reads_and_writes_the_example(library, row):
    ffi, lib = library
    kind = Kind[row["kind"]].value
    key, packet = ffi.new("fg_key *"), ffi.new("fg_packet *")
    info = b"board to host" if kind & FROM_BOARD else b"host to board"
    lib.fg_derive(bytes.fromhex(VECTORS["root"]), info, key)
    content, deframer = ffi.new("uint8_t[80]"), ffi.new("fg_deframer *")

    sizes = [lib.fg_deframe(deframer, byte, content) for byte in bytes.fromhex(row["wire"])]

    assert set(sizes[:-1]) <= {0}
    assert bytes(ffi.buffer(content, sizes[-1])).hex() == row["content"]
    assert lib.fg_crc16(content, sizes[-1]) == int(row["crc"], 16)
    assert lib.fg_unseal(content, sizes[-1], key, kind & FROM_BOARD, packet) == 0
    assert bytes(ffi.buffer(packet.payload, packet.length)).hex() == row["payload"]
    assert packet.sequence == row["sequence"]
    sealed, wire = ffi.new("uint8_t[78]"), ffi.new("uint8_t[82]")
    size = lib.fg_seal(packet, key, kind & FROM_BOARD, sealed)
    size = lib.fg_frame(sealed, size, wire)
    assert bytes(ffi.buffer(wire, size)).hex() == row["wire"]
