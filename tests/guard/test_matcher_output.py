"""What a matcher prints reaches the guard in lines, bounded, and shares nothing with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import S
from edge.guard.matcher_output import BURST, LONGEST, MOST_ADVICE, RATE, Lines, OutputRelay


def test_lines_arrive_whole_however_they_come_in_pieces() -> None:
    lines = Lines("matcher: ")

    found = lines.take(b"on", 0) + lines.take("e\ntwo é".encode(), 1) + lines.end(2)

    assert found.decode() == "matcher: one\nmatcher: two é\n"
    assert (lines.last, lines.left_out) == ("two é", 0)


@pytest.mark.slow
@given(st.lists(st.binary(max_size=300), max_size=20))
def test_nothing_that_moves_a_cursor_gets_through(pieces: list[bytes]) -> None:
    lines = Lines("> ")

    found = b"".join(lines.take(piece, 0) for piece in pieces) + lines.end(0)

    text = found.decode()
    assert all(line.startswith("> ") for line in text.split("\n")[:-1])
    assert all(sign in "\t\n" or sign.isprintable() or ord(sign) > 0x9F for sign in text)


def test_a_matcher_that_prints_without_end_is_bounded_counted_and_told() -> None:
    lines = Lines()
    line = b"x" * 99 + b"\n"

    written = sum(len(lines.take(line * 1000, second * S)) for second in range(60))
    after = lines.take(b"later\n", 120 * S).decode()

    assert BURST < written <= BURST + 60 * RATE + 60 * 200
    assert lines.left_out > 1000
    assert "more than 64 KiB a second; lines left out: " in after
    assert after.endswith("\nlater\n")
    assert "left out" not in lines.take(b"again\n", 121 * S).decode()


def test_a_line_without_end_is_cut_and_the_next_one_is_not() -> None:
    lines = Lines()

    found = b"".join(lines.take(b"y" * 5000, 0) for _ in range(40)) + lines.take(b"end\nnext\n", 0)

    first, second = found.decode().splitlines()
    assert first == "y" * LONGEST + " [cut]"
    assert second == "next"


def relayed(code: str, target: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, bufsize=0)
    assert child.stdout is not None
    relay = OutputRelay(child.stdout, target)
    relay.start()
    assert child.wait(30) == 0
    relay.join(10)
    assert not relay.is_alive()


def test_the_guards_output_cannot_be_truncated(tmp_path: Path) -> None:
    kept, spoilt = tmp_path / "kept", tmp_path / "spoilt"
    code = (
        "import os\ntry:\n    os.ftruncate(1, 0)\nexcept OSError as err:\n    print(err.strerror)"
    )
    with kept.open("wb") as file:
        file.write(b"the log before\n")
        file.flush()
        relayed(code, file.fileno())
    with spoilt.open("wb") as file:
        file.write(b"the log before\n")
        file.flush()
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)

    assert kept.read_text() == "the log before\nInvalid argument\n"
    assert "before" not in spoilt.read_text()  # the twin: a shared descriptor can be


def test_a_matcher_goes_on_when_nobody_reads_any_more() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)

    relayed("for _ in range(5000): print('x' * 100)", write_fd)

    os.close(write_fd)


@pytest.mark.parametrize("line", [b"", b"\n\n", b"\r\n"])
def test_an_empty_line_is_none(line: bytes) -> None:
    lines = Lines("matcher: ")

    assert lines.take(line, 0) + lines.end(0) == b""


def test_advice_follows_its_line_once_and_is_bounded() -> None:
    lines = Lines("matcher: ", lambda line: f"do {line}" if line.startswith("bad") else "")

    found = lines.take(b"good\nbad1\nbad1\n", 0).decode()

    assert found == "matcher: good\nmatcher: bad1\nframegate: do bad1\nmatcher: bad1\n"
    many = lines.take("".join(f"bad{i}\n" for i in range(99)).encode(), 0).decode()
    assert many.count("framegate: do") == MOST_ADVICE - 1
