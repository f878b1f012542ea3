"""`framegate board`: one line that says what is wrong, a table of duties, a key file."""

from __future__ import annotations

import json
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest

from edge.cli import main
from edge.commissioning.keys import KeyStore
from firmware_bridge import store
from firmware_bridge.checks import duties as checks
from firmware_bridge.images.elf import boot_crc, flash_bytes, rp2040_uf2
from firmware_bridge.images.memory_map import RP2040
from firmware_bridge.images.uf2 import uf2
from firmware_bridge.provision import PLACES, Platform


@pytest.fixture
def keys(tmp_path) -> KeyStore:
    return KeyStore.init(tmp_path / "keys")


def _board(root: bytes) -> tuple[subprocess.Popen[str], str]:
    read, write = os.pipe()
    os.write(write, root)
    os.close(write)
    process = subprocess.Popen(
        [sys.executable, "-m", "firmware_bridge.virtual.process", "--still", "--key-fd", str(read)],
        pass_fds=[read],
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(read)
    return process, process.stdout.readline().strip()


@pytest.fixture
def board(keys) -> Iterator[str]:
    process, port = _board(keys.board_key())
    yield port
    process.kill()
    process.communicate()


@pytest.fixture
def stranger() -> Iterator[str]:
    process, port = _board(bytes(32))
    yield port
    process.kill()
    process.communicate()


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    os.close(master)
    os.close(slave)


def _status(keys: KeyStore, port: str, *more: str) -> int:
    return main(["board", "status", "--port", port, "--keys", str(keys.directory), *more])


def test_status_says_what_the_board_says(keys, board, capsys):
    assert _status(keys, board, "--json") == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown["board"] == "virtual"
    assert shown["interlock"] == "inhibits"
    assert shown["dock"] == "D-0017"
    assert shown["objects"] == []


@pytest.mark.slow
def test_a_board_with_another_key_is_named_as_such(keys, stranger, capsys):
    assert _status(keys, stranger) == 2

    assert "another key" in capsys.readouterr().err


def test_a_port_where_nothing_answers_is_named_as_such(keys, terminal, capsys, monkeypatch):
    monkeypatch.setattr("edge.commands.live.board.ANSWER_MS", 300)

    assert _status(keys, terminal[1]) == 2

    assert "nothing answers" in capsys.readouterr().err


def test_a_port_with_something_else_behind_it_is_named_as_such(keys, terminal, capsys, monkeypatch):
    monkeypatch.setattr("edge.commands.live.board.ANSWER_MS", 300)
    os.write(terminal[0], b"$GPRMC,081836,A,3751.65,S,14507.36,E*62\r\n\0")
    echo = terminal[0]
    os.set_blocking(echo, False)
    monkeypatch.setattr(
        "firmware_bridge.checks.harness.Harness.write",
        lambda self, data: os.write(echo, b"$GPGGA,081836\r\n\0") and None,
    )

    assert _status(keys, terminal[1]) == 2

    assert "not a board" in capsys.readouterr().err


def test_a_port_that_is_busy_or_missing_is_one_line(keys, board, capsys):
    from firmware_bridge.port import Port

    held = Port(board)
    assert _status(keys, board) == 2
    assert "another program holds it" in capsys.readouterr().err
    held.close()

    assert _status(keys, "/dev/no-such-port") == 2
    error = capsys.readouterr().err
    assert "no port /dev/no-such-port" in error
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_the_table_of_duties_counts_what_passed_and_what_cannot_be_run(
    keys, board, capsys, monkeypatch
):
    wanted = ("lease ends by itself", "undocking vetoes")
    monkeypatch.setattr(checks, "CHECKS", tuple(row for row in checks.CHECKS if row[0] in wanted))

    code = main(["board", "test", "--port", board, "--keys", str(keys.directory)])

    shown = capsys.readouterr().out
    assert code == 0
    assert "1 passed, 0 failed, 1 cannot be run on this rig" in shown
    assert "needs sensors that can be played" in shown


@pytest.mark.slow
def test_a_failed_duty_is_exit_code_1_and_says_why(keys, board, capsys, monkeypatch):
    def fails(harness: object) -> None:
        raise checks.CheckFailed("the line went up by itself")

    monkeypatch.setattr(checks, "CHECKS", (("never", fails, ()),))

    code = main(["board", "test", "--port", board, "--keys", str(keys.directory)])

    assert code == 1
    assert "FAILED   the line went up by itself" in capsys.readouterr().out


@pytest.mark.slow
def test_figures_are_measured_and_reported_in_the_common_form(keys, board, capsys, monkeypatch):
    monkeypatch.setattr(checks, "CHECKS", ())

    code = main(
        ["board", "test", "--port", board, "--rounds", "2", "--json", "--keys", str(keys.directory)]
    )

    shown = json.loads(capsys.readouterr().out)
    assert code in (0, 1)  # a wall time may miss its target on a busy machine
    assert {"name", "value", "target", "unit", "holds"} == set(shown["figures"][0])
    assert "revoke to line, p50" in {row["name"] for row in shown["figures"]}
    assert shown["environment"]["rounds"] == 2


@pytest.mark.parametrize("platform", ["rp2040", "lm3s6965"])
def test_provisioning_writes_the_key_for_its_owner_alone(keys, tmp_path, capsys, platform):
    out = tmp_path / "block"
    command = ["board", "provision", "--platform", platform, "--out", str(out)]
    command += ["--keys", str(keys.directory)]

    assert main(command) == 0

    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert keys.board_key() in out.read_bytes()
    assert "put it on the board with:" in capsys.readouterr().out
    assert main(command) == 2
    assert "never overwritten" in capsys.readouterr().err


def test_provisioning_without_its_flash_tool_says_so(keys, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    command = ["board", "provision", "--platform", "rp2040", "--flash"]
    command += ["--out", str(tmp_path / "k.uf2"), "--keys", str(keys.directory)]

    assert main(command) == 2

    assert "cannot run picotool" in capsys.readouterr().err


@pytest.mark.slow
def test_the_firmware_accepts_the_provisioned_block_and_no_damaged_one(library, tmp_path):
    block = store.block(bytes(range(32)))
    ffi, _ = library
    from firmware_bridge.images.build import FIRMWARE, STRICT

    out = tmp_path / "store.so"
    command = [sys.executable, "-m", "ziglang", "cc", *STRICT, "-shared", "-fPIC", "-o", str(out)]
    command += [str(FIRMWARE / "store.c"), str(FIRMWARE / "protocol.c")]
    subprocess.run(command, check=True)
    ffi = type(ffi)()
    ffi.cdef(
        "bool fg_store_valid(const uint8_t *); uint64_t fg_boot_id(const uint8_t *, uint64_t);"
    )
    lib = ffi.dlopen(str(out))

    assert lib.fg_store_valid(block)
    for bit in range(50 * 8):
        changed = bytearray(block)
        changed[bit // 8] ^= 1 << bit % 8
        assert not lib.fg_store_valid(bytes(changed))
    assert not lib.fg_store_valid(b"\xff" * 64)
    assert len({lib.fg_boot_id(block, fresh) for fresh in range(100)}) == 100
    assert lib.fg_boot_id(block, 1) != lib.fg_boot_id(store.block(bytes(range(32))), 1)


def test_a_uf2_file_is_blocks_of_512_bytes_that_name_their_place():
    made = uf2(bytes(600), 0x1000_0000)

    assert len(made) == 3 * 512
    for number in range(3):
        block = made[512 * number : 512 * (number + 1)]
        words = struct.unpack("<8I", block[:32])
        assert words[:2] == (0x0A324655, 0x9E5D5157)
        assert words[3:7] == (0x1000_0000 + 256 * number, 256, number, 3)
        assert block[-4:] == struct.pack("<I", 0x0AB16F30)


def test_the_boot_crc_is_the_published_one():
    assert boot_crc(b"123456789") == 0x0376_E6E7  # CRC-32/MPEG-2


def test_the_key_lies_where_the_image_does_not():
    assert PLACES[Platform.RP2040].address % 4096 == 0
    assert PLACES[Platform.LM3S6965].address == 0x3FC00


@pytest.mark.hil
def test_the_rp2040_image_fits_and_starts_with_a_sealed_second_stage(request, tmp_path):
    if not request.config.getoption("--emulated"):
        pytest.skip("ARM images are built in `make hil`")
    from firmware_bridge.images.build import Target, build

    elf = build(Target.RP2040, tmp_path / "board.elf")
    image = rp2040_uf2(elf)

    flash = flash_bytes(elf.read_bytes(), 0x1000_0000, 0x1020_0000)
    assert len(flash) < PLACES[Platform.RP2040].address - 0x1000_0000
    boot2 = image[32 : 32 + RP2040.boot2_size]
    assert int.from_bytes(boot2[-4:], "little") == boot_crc(boot2[:-4])
    stack, entry = struct.unpack_from("<2I", flash, RP2040.boot2_size)
    assert 0x2000_0000 < stack <= 0x2004_0000
    assert 0x1000_0100 < entry < 0x1000_0000 + len(flash) and entry & 1
