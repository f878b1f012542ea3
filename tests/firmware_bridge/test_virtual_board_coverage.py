"""Every edge of the firmware's control flow is taken by comparing it with its twin.

Edges are finer than lines and branches: each way out of each condition counts.
They are counted by clang's own instrumentation, so no other tool is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from firmware_bridge import packets
from firmware_bridge.images.build import FIRMWARE, RULE, STRICT
from firmware_bridge.virtual.board import VirtualBoard
from tests.firmware_bridge.test_floors import RECORD, SIZE, Kept
from tests.support import sequences
from tests.support.boards import BOOT_ID, MS, ROOT, STILL, Host
from tests.support.c_board import CBoard, load

COUNTER = Path(__file__).parents[1] / "support" / "coverage.c"


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """The rule built to count the edges it takes; (library, path)."""
    out = tmp_path_factory.mktemp("coverage") / "rule.so"
    command = [sys.executable, "-m", "ziglang", "cc", *STRICT, f"-I{FIRMWARE}"]
    command += [
        "-O0",
        "-g",
        "-shared",
        "-fPIC",
        "-fno-sanitize=undefined",
        "-Wno-reserved-identifier",
    ]
    command += ["-fsanitize-coverage=edge,trace-pc-guard,pc-table,no-prune"]
    subprocess.run([*command, *map(str, RULE), str(COUNTER), "-o", str(out)], check=True)
    ffi, lib = load(out)
    ffi.cdef("uint32_t fg_edges(void); uint32_t fg_hit(uint32_t); uintptr_t fg_place(uint32_t);")
    return (ffi, lib), out


def _missed(lib) -> list[int]:
    return [edge for edge in range(1, lib.fg_edges() + 1) if not lib.fg_hit(edge)]


def _where(lib, out: Path, edges: list[int]) -> str:
    """Source lines of edges, where this machine has a tool that tells them."""
    symbols = shutil.which("nm")
    tool = shutil.which("addr2line")
    if not symbols or not tool:
        return f"edges {edges}"
    table = subprocess.run([symbols, str(out)], capture_output=True, text=True, check=True).stdout
    base = next(int(row.split()[0], 16) for row in table.splitlines() if row.endswith("fg_edges"))
    places = [hex((base + lib.fg_place(edge)) % (1 << 64)) for edge in edges]
    found = subprocess.run(
        [tool, "-e", str(out), *places], capture_output=True, text=True, check=True
    )
    return " ".join(sorted({row.rsplit("/", 1)[-1] for row in found.stdout.split()}))


@pytest.mark.long
def test_every_edge_of_the_rule_and_the_protocol_is_taken(counted):
    library, out = counted
    ffi, lib = library

    for seed in range(1500):
        c = CBoard(library, ROOT, BOOT_ID)
        for step, output, line in sequences.play(seed, VirtualBoard(ROOT, BOOT_ID)):
            assert sequences.apply(c, step) == (output, line)
    _rare_things(library)
    _published_vectors(ffi, lib)
    _kept_floors(library)

    missed = _missed(lib)
    assert lib.fg_edges() > 300
    assert not missed, _where(lib, out, missed)


def _rare_things(library) -> None:
    """What a random life is too short for."""
    ffi, lib = library
    host = Host(CBoard(library, ROOT, BOOT_ID)).ready()
    host.now_us += (1 << 33) * MS
    host.pass_ms(60)
    assert host.status.host_age_us == 0xFFFF_FFFF
    for _ in range(5):
        host.lease(releasing=True)
    for _ in range(40):  # until what waits to be sent is full
        host.now_us += 50 * MS
        host.board.sense(STILL, host.now_us)
        host.board.tick(host.now_us)
    half = ffi.new("uint8_t[]", 10)
    assert lib.fg_take(host.board.state, half, 10) == 10
    host.board.take()
    host.pass_ms(3000)
    host.lease(decision=9, challenge=1)
    host.lease(decision=9, challenge=host.board.state.before)
    assert host.board.line
    host.lease(decision=10, releasing=True)
    assert not host.board.line
    host.board.state.tx_sequence = packets.MAX_SEQUENCE
    host.pass_ms(60)
    host.lease(decision=11, challenge=host.board.state.challenge)
    assert not host.board.line


def _kept_floors(library) -> None:
    """A memory that fills up, and one with a torn record in it."""
    kept = Kept(library, b"\xa5" * SIZE)
    for log in range(20):
        kept.keep(log, 1)
    kept.keep(30, 0)
    kept.memory[-RECORD:] = b"\xff" * (RECORD - 1) + b"\0"
    kept.board(lambda: CBoard(library, ROOT, BOOT_ID))


def _published_vectors(ffi, lib) -> None:
    """RFC 4231 cases 1, 2 and 6, whose key is longer than a block; FIPS 180-4 lengths."""
    for key, text in (
        (b"\x0b" * 20, b"Hi There"),
        (b"Jefe", b"what do ya want for nothing?"),
        (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First"),
    ):
        state, digest = ffi.new("fg_key *"), ffi.new("uint8_t[32]")
        lib.fg_key_init(state, key, len(key))
        lib.fg_hmac(state, text, len(text), digest)
        assert bytes(digest) == hmac.digest(key, text, "sha256")
    for size in (0, 1, 55, 56, 63, 64, 65, 1000):
        state, digest = ffi.new("fg_sha256 *"), ffi.new("uint8_t[32]")
        text = b"a" * size
        lib.fg_sha256_init(state)
        lib.fg_sha256_add(state, text, size)
        lib.fg_sha256_end(state, digest)
        assert bytes(digest) == hashlib.sha256(text).digest()
