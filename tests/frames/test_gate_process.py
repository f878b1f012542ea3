"""The gate process, turn by turn: what a bad camera or a bad decider can and cannot make it do."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from bench import scenery
from edge import ipc
from edge.cameras.layout import Layout
from edge.clock import MS, BootClock, Clock
from edge.frames import lifecycle
from edge.frames.gate_process import GateProcess
from edge.frames.lifecycle import Token
from edge.frames.messages import (
    Captured,
    End,
    Ended,
    Noted,
    Offered,
    Resolved,
    Returned,
    SourceEnd,
    decode,
    decode_resolved,
    encode,
    is_resolved,
)
from edge.frames.output_format import OutputFormat
from edge.frames.pool import Pool
from edge.frames.ring import Ring
from edge.frames.settings import GateSettings, Picture, PoolSize
from edge.frames.shaper import Shaper
from edge.frames.warm_up import WarmUp
from edge.heartbeat import Beats
from edge.lease import Binding, Lane, Lease, Revocation
from edge.lease import encode as encode_lease
from edge.masking.mask import nothing
from edge.masking.polygons import MaskRules
from edge.reasons import Reason
from edge.view import signs
from framegate_client.connection import Connection
from tests.support import render

HEIGHT, WIDTH = 240, 320
PICTURE = scenery.view(HEIGHT, WIDTH)
WHOLE = OutputFormat()
UNMASKED = MaskRules()
LEASE = Lease(1, scenery.CAMERA, bytes(16), bytes(32), Lane.VERIFY, 0, 1, 1, 0.8, (1 << 48) - 1, 1)


class Harness:
    """One gate process in this process, with the other ends of its channels."""

    def __init__(
        self,
        path: str,
        layout: Layout = Layout.BGR,
        form: OutputFormat = WHOLE,
        clock: Clock | None = None,
        warm: bool = False,
        masks: MaskRules = UNMASKED,
        lane: Lane = Lane.VERIFY,
    ) -> None:
        self.clock = clock or BootClock()
        self.layout, self.lane = layout, lane
        self.picture = PICTURE if layout is Layout.BGR else render.planar(PICTURE, layout)
        self.pool = Pool.create(layout.bytes(HEIGHT, WIDTH), layout)
        self.shaper = Shaper(form, layout, HEIGHT, WIDTH)
        self.ring = Ring.create(self.shaper.bytes)
        self.beats = Beats.create()
        self.capture, capture = ipc.pair()
        self.decider, decider = ipc.pair()
        self.parent, parent = ipc.pair()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
        listener.listen(1)
        self.path = path
        self.settings = GateSettings(
            picture=Picture(HEIGHT, WIDTH, 30.0, layout),
            pool=PoolSize(self.pool.slots, self.pool.slot_bytes),
            binding=Binding(LEASE.camera, LEASE.boot, LEASE.policy, lane),
            view=scenery.fingerprint(PICTURE).to_bytes(),
            min_view_score=0.0,
            output=form,
            masks=masks,
            token="t",
            uid=os.getuid(),
            beats_fd=self.beats.fd,
            pool_fd=self.pool.fd,
            ring_fd=self.ring.fd,
            capture_fd=capture.detach(),
            decider_fd=decider.detach(),
            parent_fd=parent.detach(),
            listen_fd=listener.detach(),
        )
        self.warm_up = WarmUp(GateProcess, self.settings, self.clock) if warm else None
        self.gate = GateProcess(self.settings, self.clock, self.warm_up)
        self.sequence = 0
        self.exposed = False
        self.matcher: Connection | None = None

    def connect(self) -> Connection:
        found: list[Connection] = []
        thread = threading.Thread(
            target=lambda: found.append(Connection(self.path, "t", self.lane.value))
        )
        thread.start()
        while thread.is_alive():
            self.gate.turn()
        self.matcher = found[0]
        ipc.send(
            self.parent, lifecycle.encode(Token("t"))
        )  # for the next one, as the guard's parent does
        return found[0]

    def grant(self, **changes: object) -> None:
        self.send_lease(**changes)
        self.gate.turn()

    def send_lease(self, **changes: object) -> None:
        now_ns = self.clock.now_ns()
        times = {"to_ns": now_ns + 1000 * MS, "expires_ns": now_ns + 1000 * MS}
        fields = {"lane": self.lane, **times, **changes}
        ipc.send(self.decider, encode_lease(dataclasses.replace(LEASE, **fields)))

    def deliver(self, picture: np.ndarray | None = None, **changes: int) -> list[Resolved]:
        """Hand over one frame; returns the gate's last words on it and those before it."""
        slot = self.sequence % 4
        self.expose(slot, picture)
        self.shoot(**{"slot": slot, **changes})
        self.gate.turn()
        return self.words()

    def shoot(self, slot: int, **changes: int) -> None:
        """Say, as capture, that a frame lies in `slot`."""
        shot = Captured(slot, self.sequence, self.clock.now_ns(), HEIGHT, WIDTH)
        self.sequence += 1
        ipc.send(self.capture, encode(dataclasses.replace(shot, **changes)))

    def expose(self, slot: int, picture: np.ndarray | None = None) -> None:
        """Put a picture into `slot`; the good one differs by one grey level from the one before."""
        if picture is None and self.exposed:
            self.picture = self.picture.copy()
            rows, columns = signs.grid(HEIGHT, WIDTH)
            place = (rows.start, columns.start, 1)[: self.picture.ndim]
            self.picture[place] = (int(self.picture[place]) + 1) % 256
        self.exposed = True
        self.pool.frame(slot, HEIGHT, WIDTH)[:] = self.picture if picture is None else picture

    def give_back(self) -> None:
        """Say, as the decider, that whatever frame was lent as evidence is needed no more."""
        for slot in range(4):
            ipc.send(self.decider, encode(Returned(slot)))

    def send(self, data: bytes) -> None:
        ipc.send(self.capture, data)
        self.gate.turn()

    def words(self) -> list[Resolved]:
        deadline_ns = self.clock.now_ns() + 80 * MS
        while self.clock.now_ns() < deadline_ns:  # words are sent in batches, every 50 ms
            self.gate.turn()
        batches = [data for data in ipc.drain(self.parent) if is_resolved(data)]
        return [word for batch in batches for word in decode_resolved(batch)]

    def close(self) -> None:
        """Give back what does not close itself."""
        if self.matcher is not None:
            self.matcher.close()
        for memory in (self.pool, self.ring, self.beats):
            os.close(memory.fd)

    def passes(self) -> bool:
        """Whether a fresh good frame under a fresh lease reaches the matcher."""
        matcher = self.matcher or self.connect()
        self.grant(epoch=self.sequence + 100, from_ns=self.clock.now_ns())
        self.deliver()
        frame = matcher.read(timeout_s=0)
        return frame is not None and bool((frame == self.released()).all())

    def released(self) -> np.ndarray:
        """What a matcher gets of the good picture."""
        place = np.zeros(self.shaper.shape, np.uint8)
        self.shaper.write(self.picture, place, nothing(HEIGHT, WIDTH))
        return place


@pytest.fixture
def harness(tmp_path) -> Iterator[Harness]:
    harness = Harness(str(tmp_path / "m"))
    yield harness
    harness.close()


def test_a_good_frame_under_a_lease_reaches_the_matcher(harness):
    matcher = harness.connect()
    harness.grant()

    words = harness.deliver()

    assert [word.reason for word in words] == [None]
    assert (matcher.read(timeout_s=0) == PICTURE).all()


def test_a_closed_connection_reads_nothing_more_and_closes_no_stranger(harness):
    matcher = harness.connect()
    wake = matcher._wake
    matcher.close()
    stranger = os.eventfd(1)
    os.dup2(stranger, wake)  # somebody else's, under the same number

    matcher.close()

    assert matcher.read() is None
    assert matcher.ended
    assert os.eventfd_read(wake) == 1
    os.close(stranger)
    os.close(wake)


def test_a_frame_read_where_it_lies_is_gone_after_a_revocation(harness):
    matcher = harness.connect()
    harness.grant()
    harness.deliver()

    frame = matcher.read(timeout_s=0, copy=False)
    assert (frame == PICTURE).all()
    assert not frame.flags.writeable
    assert matcher.intact(frame)

    ipc.send(harness.decider, encode_lease(Revocation(1, (Reason.NO_LEASE,))))
    harness.gate.turn()

    assert not matcher.intact(frame)
    assert not frame.any()


def test_a_frame_read_where_it_lies_tells_when_it_was_overwritten(harness):
    matcher = harness.connect()
    harness.grant(to_ns=harness.clock.now_ns() + 10_000 * MS, expires_ns=1 << 62)
    harness.deliver()
    frame = matcher.read(timeout_s=0, copy=False)

    for _ in range(harness.ring.slots - 1):
        harness.give_back()
        harness.deliver()
    assert matcher.intact(frame)

    harness.give_back()
    harness.deliver()
    assert not matcher.intact(frame)


@pytest.mark.parametrize(
    ("height", "width"),
    [(0, 0), (0, WIDTH), (16_000, 16_000), (65_535, 65_535), (47, 64), (48, 63)],
)
def test_a_frame_of_an_impossible_size_is_blocked_and_the_next_good_one_passes(
    harness, height, width
):
    harness.connect()
    harness.grant()

    words = harness.deliver(height=height, width=width)

    assert [word.reason for word in words] == [Reason.FRAME_MALFORMED]
    assert harness.matcher.read(timeout_s=0) is None
    assert harness.passes()


@pytest.mark.parametrize("shift_ms", [-10_000, 10_000], ids=["backwards", "future"])
def test_a_frame_of_an_impossible_time_is_blocked_and_the_next_good_one_passes(harness, shift_ms):
    harness.connect()
    harness.grant(from_ns=-(10**18))
    harness.deliver()

    words = harness.deliver(captured_ns=harness.clock.now_ns() + shift_ms * MS)

    assert [word.reason for word in words] == [Reason.FRAME_MALFORMED]
    assert harness.passes()


def test_a_slot_that_does_not_exist_ends_the_lease_and_touches_nothing(harness):
    harness.connect()
    harness.grant()

    words = harness.deliver(slot=60_000)

    assert [word.reason for word in words] == [Reason.FRAME_MALFORMED]
    assert harness.gate._gate.lease is None
    assert harness.passes()


def test_a_slot_that_is_still_in_use_ends_the_lease(harness):
    harness.grant(to_ns=2)  # so that the first frame waits
    harness.deliver(slot=1)

    words = harness.deliver(slot=1)

    assert {word.reason for word in words} == {Reason.FRAME_MALFORMED}
    assert harness.gate._gate.lease is None


@pytest.mark.parametrize("data", [b"\x01", b"\x01" * 7, b"\xff" * 40, b"\x02\x09" + bytes(8)])
def test_a_broken_message_from_the_camera_ends_the_lease_and_not_the_gate(harness, data):
    harness.grant()

    harness.send(data)

    assert harness.gate._gate.lease is None
    assert harness.passes()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole[:-1],
        lambda whole: whole + b"\0",
        lambda whole: b"FGL9" + whole[4:],
        lambda whole: b"\x07",
        lambda whole: b"\xee" * 30,
    ],
    ids=["cut", "long", "foreign", "cut anchor", "unknown"],
)
def test_a_broken_message_from_the_decider_ends_the_lease_and_wipes_the_ring(harness, spoil):
    matcher = harness.connect()
    harness.grant()
    harness.deliver()
    assert matcher.ring.pixels.any()

    ipc.send(harness.decider, spoil(encode_lease(LEASE)))
    harness.gate.turn()

    assert harness.gate._gate.lease is None
    assert not matcher.ring.pixels.any()
    assert harness.passes()


@pytest.mark.parametrize(
    "change",
    [{"camera": b"x" * 16}, {"boot": b"x" * 16}, {"policy": b"x" * 32}, {"lane": Lane.DETECT}],
    ids=lambda change: next(iter(change)),
)
def test_a_lease_for_another_guard_grants_nothing(harness, change):
    harness.connect()

    harness.grant(**change)

    assert [word.reason for word in harness.deliver()] == [Reason.NO_LEASE]
    assert harness.passes()


def test_a_lease_sent_twice_is_one_lease(harness):
    harness.connect()
    harness.grant()
    harness.grant()

    assert [word.reason for word in harness.deliver()] == [None]


def test_a_revocation_that_came_with_the_frame_is_heard_before_its_release(harness):
    matcher = harness.connect()
    harness.grant()

    ipc.send(harness.decider, encode_lease(Revocation(1, (Reason.NOT_DOCKED,))))
    words = harness.deliver()

    assert [word.reason for word in words] == [Reason.NO_LEASE]
    assert matcher.read(timeout_s=0) is None


def test_a_slot_returned_that_was_never_lent_changes_nothing(harness):
    ipc.send(harness.decider, encode(Returned(3)))
    ipc.send(harness.decider, encode(Returned(60_000)))
    harness.gate.turn()

    assert harness.passes()


def test_a_foreign_frame_blocks_and_leaves_no_pixels(harness):
    matcher = harness.connect()
    harness.grant()
    harness.deliver()

    words = harness.deliver(scenery.view(HEIGHT, WIDTH, seed=9))

    assert [word.reason for word in words] == [Reason.VIEW_FOREIGN]
    assert not matcher.ring.pixels.any()


def reports(harness: Harness) -> list[Ended]:
    """What the gate told the decider of leases that are no longer held."""
    reported = [decode(data) for data in ipc.drain(harness.decider)]
    return [message for message in reported if isinstance(message, Ended)]


def test_the_report_of_a_lapse_is_not_final_and_that_of_a_revoke_counts_all(harness):
    harness.connect()
    now_ns = harness.clock.now_ns()
    harness.grant(expires_ns=now_ns + 60 * MS)
    harness.deliver()  # and 80 ms pass
    lapsed = reports(harness)

    harness.grant()
    harness.deliver()
    ipc.send(harness.decider, encode_lease(Revocation(1, ())))
    harness.gate.turn()
    revoked = reports(harness)

    assert [(r.epoch, r.released, r.final) for r in lapsed] == [(1, 1, False)]
    assert [(r.epoch, r.released, r.final) for r in revoked] == [(1, 2, True)]


class Leaping:
    """The boot clock, which goes on while this process stands still."""

    def __init__(self) -> None:
        self.stood_ns = 0

    def now_ns(self) -> int:
        return BootClock.now_ns() + self.stood_ns


@pytest.mark.parametrize(("stood_ms", "trusted"), [(200, False), (20, True)])
def test_a_gate_that_stood_still_gives_up_a_lease_that_still_runs(tmp_path, stood_ms, trusted):
    clock = Leaping()
    harness = Harness(str(tmp_path / "m"), clock=clock)
    matcher = harness.connect()
    harness.grant(expires_ns=clock.now_ns() + 10_000 * MS)
    harness.deliver()
    frame = matcher.read(timeout_s=0, copy=False)
    reports(harness)

    clock.stood_ns = stood_ms * MS
    harness.gate.turn()

    assert matcher.intact(frame) is trusted
    assert [r.reason for r in reports(harness)] == ([] if trusted else [Reason.TIME_GAP])
    assert harness.passes()
    matcher.close()


@pytest.mark.parametrize("end", ["parent", "decider", "capture"])
def test_a_gate_whose_guard_is_gone_wipes_the_ring_and_says_what_it_released(harness, end):
    matcher = harness.connect()
    harness.grant()
    harness.deliver()
    held = bool(matcher.ring.pixels.any())

    getattr(harness, end).close()
    harness.gate.run()

    assert held
    assert not matcher.ring.pixels.any()
    if end != "decider":
        assert [(r.epoch, r.released, r.final) for r in reports(harness)] == [(1, 1, True)]


def test_leases_that_the_gate_refuses_in_a_row_are_reported_but_not_the_first_ones(harness):
    harness.connect()
    harness.grant()
    harness.deliver(np.zeros_like(PICTURE))  # a foreign view: nothing up to it may be leased
    reported = []

    for _ in range(5):
        reports(harness)
        harness.grant(from_ns=0)
        reported.append([r.reason for r in reports(harness)])

    assert reported == [[], [], [], [Reason.FRAME_STALE], [Reason.FRAME_STALE]]
    assert harness.passes()
    assert reports(harness) == []


def evidence(harness: Harness) -> tuple[list[Noted], list[Offered]]:
    """What the gate told and lent the decider."""
    reported = [decode(data) for data in ipc.drain(harness.decider)]
    notes = [message for message in reported if isinstance(message, Noted)]
    return notes, [message for message in reported if isinstance(message, Offered)]


@pytest.mark.parametrize("shift_ms", [-10_000, 10_000], ids=["backwards", "future"])
def test_a_frame_of_an_impossible_time_is_told_as_malformed_and_is_no_evidence(harness, shift_ms):
    harness.deliver()
    evidence(harness)
    before_ns = harness.clock.now_ns()

    harness.deliver(captured_ns=before_ns + shift_ms * MS)
    notes, offers = evidence(harness)

    assert [note.malformed for note in notes] == [True]
    assert before_ns <= notes[0].captured_ns <= harness.clock.now_ns()
    assert offers == []


def test_a_good_frame_is_told_and_lent_as_of_its_capture(harness):
    captured_ns = harness.clock.now_ns()

    harness.deliver(captured_ns=captured_ns)
    notes, offers = evidence(harness)

    assert [(note.malformed, note.captured_ns) for note in notes] == [(False, captured_ns)]
    assert [offer.captured_ns for offer in offers] == [captured_ns]


@pytest.mark.parametrize(
    ("height", "width"), [(HEIGHT + 1, WIDTH), (HEIGHT, WIDTH - 1), (HEIGHT // 2, WIDTH * 2)]
)
def test_a_picture_of_another_size_than_at_the_start_is_refused_and_the_ring_is_whole(
    harness, height, width
):
    matcher = harness.connect()
    harness.grant()
    harness.deliver()
    matcher.read(timeout_s=0)
    before = bytes(matcher.ring.pixels)

    words = harness.deliver(height=height, width=width)

    assert [word.reason for word in words] == [Reason.FRAME_MALFORMED]
    assert bytes(matcher.ring.pixels) == before
    assert harness.passes()


FORMS = [
    OutputFormat(),
    OutputFormat(grey=True),
    OutputFormat(crop=(0.25, 0.25, 0.75, 0.75)),
    OutputFormat(crop=(0.5, 0.0, 1.0, 0.5), shrink=2),
    OutputFormat(grey=True, shrink=2),
]


@pytest.fixture
def shaped(tmp_path, layout: Layout, form: OutputFormat) -> Iterator[Harness]:
    harness = Harness(str(tmp_path / "m"), layout, form)
    yield harness
    if harness.matcher is not None:
        harness.matcher.close()


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_each_layout_is_released_in_each_form_and_wiped_by_a_foreign_frame(shaped):
    assert shaped.passes()
    matcher = shaped.matcher
    reported = (matcher.height, matcher.width, matcher.channels)
    assert (*shaped.shaper.shape, 1)[:3] == reported
    assert matcher.ring.pixels.any()

    foreign = scenery.view(HEIGHT, WIDTH, seed=9)
    if shaped.layout is not Layout.BGR:
        foreign = render.planar(foreign, shaped.layout)
    words = shaped.deliver(foreign)

    assert [word.reason for word in words] == [Reason.VIEW_FOREIGN]
    assert not matcher.ring.pixels.any()
    assert matcher.read(timeout_s=0) is None


@pytest.mark.parametrize("layout", [Layout.NV12, Layout.I420])
@pytest.mark.parametrize("form", [OutputFormat()], ids=str)
@pytest.mark.parametrize("size", [(HEIGHT * 3 // 2, WIDTH), (HEIGHT, WIDTH - 2), (0, 0)])
def test_a_halved_frame_of_another_size_is_blocked_and_the_next_good_one_passes(shaped, size):
    shaped.connect()
    shaped.grant()

    words = shaped.deliver(height=size[0], width=size[1])

    assert [word.reason for word in words] == [Reason.FRAME_MALFORMED]
    assert shaped.matcher.read(timeout_s=0) is None
    assert shaped.passes()


def test_a_picture_that_comes_again_is_not_released_and_the_next_new_one_is(harness):
    matcher = harness.connect()
    harness.grant()

    words = harness.deliver() + harness.deliver(harness.picture) + harness.deliver(harness.picture)

    assert [word.reason for word in words] == [None, Reason.CAM_FROZEN, Reason.CAM_FROZEN]
    assert matcher.read(timeout_s=0) is not None
    assert matcher.read(timeout_s=0) is None
    assert harness.passes()


def test_a_matcher_that_never_waits_hears_of_the_end(harness):
    """`VideoCapture(on_block="return")`: nothing there yet is not the end, and the end is told."""
    matcher = harness.connect()
    harness.grant()
    assert matcher.read(timeout_s=0.0) is None
    assert not matcher.ended

    harness.deliver()
    harness.gate.turn()
    assert matcher.read(timeout_s=0.0) is not None
    ipc.send(harness.capture, encode(SourceEnd(End.EOF, harness.sequence)))
    for _ in range(200):
        harness.gate.turn()

    assert matcher.read(timeout_s=0.0) is None
    assert matcher.ended
