"""The consent inbox belongs to somebody else: nothing in it stops the decider or fills the log."""

from __future__ import annotations

import os
from pathlib import Path

from edge.audit.schema import Handing
from edge.clock import MS, S
from edge.consent.consent import Consent
from edge.consent.inbox import BURST, LOOK_NS, REGAIN_NS, ConsentInbox
from edge.files import read_plain
from edge.lease import Lane


def inbox(folder: Path) -> ConsentInbox:
    return ConsentInbox(folder, Consent(Lane.VERIFY, "till-2"), desks=(), authorities=())


def test_a_plain_file_is_taken(tmp_path: Path) -> None:
    desk = inbox(tmp_path)
    (tmp_path / "a.optout").write_text("a" * 64)

    (handed,) = desk.look(S)

    assert handed.handing is Handing.OPT_OUT
    assert desk.readable
    assert read_plain(tmp_path / "a.optout", 10) == b"a" * 10


def test_a_pipe_or_a_link_is_not_waited_for_and_blocks_while_it_is_there(tmp_path: Path) -> None:
    for name in ("pipe.optout", "claim"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "link.token").symlink_to("/dev/zero")
    desk = inbox(tmp_path)

    assert desk.look(S) == ()  # it comes back at all
    assert not desk.readable

    for path in tmp_path.iterdir():
        path.unlink()
    desk.look(S + LOOK_NS)
    assert desk.readable


def test_a_file_written_again_and_again_counts_once(tmp_path: Path) -> None:
    desk = inbox(tmp_path)
    taken = []
    for turn in range(200):
        (tmp_path / "new").write_text("b" * 64)
        (tmp_path / "new").rename(tmp_path / "b.optout")
        taken += desk.look(S + turn * LOOK_NS)
        assert desk.readable

    assert len(taken) == 1


def test_new_files_without_end_block_and_fill_no_log(tmp_path: Path) -> None:
    desk = inbox(tmp_path)
    desk.look(S)
    taken, turns = [], 1200
    for turn in range(1, turns):
        (tmp_path / "x.token").write_text(f"nonsense {turn}")
        taken += desk.look(S + turn * LOOK_NS)

    assert len(taken) <= BURST + turns * LOOK_NS // REGAIN_NS + 1
    assert not desk.readable

    now_ns = S + turns * LOOK_NS + REGAIN_NS  # the last one is taken in the end
    (last,) = desk.look(now_ns)
    assert last.handing is Handing.REFUSED
    assert desk.readable


def test_many_files_at_the_start_are_all_taken(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number}.optout").write_text(f"{number:064x}")
    desk = inbox(tmp_path)

    taken = [len(desk.look(S + turn * 50 * MS)) for turn in range(4)]

    assert sum(taken) == 600
    assert desk.readable
