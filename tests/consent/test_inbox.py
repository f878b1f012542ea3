"""The consent inbox belongs to somebody else: nothing in it stops the decider or fills the log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.audit.schema import Handing
from edge.clock import MS, S
from edge.consent.consent import Consent
from edge.consent.inbox import BURST, LOOK_NS, REGAIN_NS, ConsentInbox
from edge.files import read_plain
from edge.lease import Lane


def open_inbox(folder: Path) -> ConsentInbox:
    return ConsentInbox(folder, Consent(Lane.VERIFY, "till-2"), receipt_keys=(), authorities=())


def test_a_plain_file_is_taken(tmp_path: Path) -> None:
    inbox = open_inbox(tmp_path)
    (tmp_path / "a.optout").write_text("a" * 64)

    (handed,) = inbox.look(S)

    assert handed.handing is Handing.OPT_OUT
    assert inbox.readable
    assert read_plain(tmp_path / "a.optout", 10) == b"a" * 10


def test_a_pipe_or_a_link_is_not_waited_for_and_blocks_while_it_is_there(tmp_path: Path) -> None:
    for name in ("pipe.optout", "claim"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "link.token").symlink_to("/dev/zero")
    inbox = open_inbox(tmp_path)

    assert inbox.look(S) == ()  # it comes back at all
    assert not inbox.readable

    for path in tmp_path.iterdir():
        path.unlink()
    inbox.look(S + LOOK_NS)
    assert inbox.readable


def test_a_file_written_again_and_again_counts_once(tmp_path: Path) -> None:
    inbox = open_inbox(tmp_path)
    taken = []
    for turn in range(200):
        (tmp_path / "new").write_text("b" * 64)
        (tmp_path / "new").rename(tmp_path / "b.optout")
        taken += inbox.look(S + turn * LOOK_NS)
        assert inbox.readable

    assert len(taken) == 1


@pytest.mark.slow
def test_new_files_without_end_block_and_fill_no_log(tmp_path: Path) -> None:
    inbox = open_inbox(tmp_path)
    inbox.look(S)
    taken, turns = [], 1200
    for turn in range(1, turns):
        (tmp_path / "x.token").write_text(f"nonsense {turn}")
        taken += inbox.look(S + turn * LOOK_NS)

    assert len(taken) <= BURST + turns * LOOK_NS // REGAIN_NS + 1
    assert not inbox.readable

    now_ns = S + turns * LOOK_NS + REGAIN_NS  # the last one is taken in the end
    (last,) = inbox.look(now_ns)
    assert last.handing is Handing.REFUSED
    assert inbox.readable


def test_many_files_at_the_start_are_all_taken(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number}.optout").write_text(f"{number:064x}")
    inbox = open_inbox(tmp_path)

    taken = [len(inbox.look(S + turn * 50 * MS)) for turn in range(4)]

    assert sum(taken) == 600
    assert inbox.readable
