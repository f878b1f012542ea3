"""Gate, queue, leases, releaser and ring together, driven at random against a plain reference.

Every frame that a matcher reads is checked by its pixels; besides agreeing
with the reference, each must satisfy the rule itself, from a diary of
everything that was granted and revoked. FRAMEGATE_STEPS sets how many steps
are taken: 10,000 without it, 100,000 in `make long`, a million in `make soak`.
"""

from __future__ import annotations

import ast
import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import edge
from edge.clock import MS, VirtualClock
from edge.errors import LeaseError
from edge.frames.gate import Blocked, Gate, Limits, Pending, Verdict
from edge.frames.releaser import Releaser
from edge.frames.ring import Ring
from edge.lease import Binding, Lane, Lease, Revocation, decode, encode
from edge.masking.mask import Mask, nothing
from edge.reasons import Reason
from framegate_client.ring import RingReader
from tests.support.gate_reference import Reference

STEPS = int(os.environ.get("FRAMEGATE_STEPS", "10000"))
STEPS_A_RUN = 50
FLOOR = 0.8
BINDING = Binding(b"c" * 16, b"b" * 16, b"p" * 32, Lane.VERIFY)
LIMITS = Limits(max_bytes=100, max_frames=5, max_age_ns=60 * MS)
SLOTS = 3
SHAPE = (2, 4, 3)


class Endpoint:
    """An endpoint onto a real ring, with a matcher that may be absent and copies that take time."""

    def __init__(self, clock: VirtualClock) -> None:
        self.ring = Ring.create(24, slots=SLOTS)
        self.ring.seal()
        self._reader_fd = self.ring.read_only_fd()
        self.reader = RingReader(self._reader_fd)
        self.listening = True
        self.copy_ms = 0
        self._clock = clock

    def close(self) -> None:
        """Give the descriptors back: a run makes thousands of endpoints."""
        os.close(self._reader_fd)
        os.close(self.ring.fd)

    def stage(self, frame: np.ndarray, mask: Mask) -> int:
        self._clock.advance(ms=self.copy_ms)
        return self.ring.stage(frame)

    def publish(self, slot: int, frame: np.ndarray, captured_ns: int, epoch: int) -> int:
        return self.ring.publish(slot, frame, captured_ns, epoch)

    def wipe(self) -> None:
        self.ring.wipe()


def picture(sequence: int) -> np.ndarray:
    """Pixels that name their frame, never zero."""
    return np.full(SHAPE, sequence % 251 + 1, np.uint8)


class GateMachine(RuleBasedStateMachine):
    """The rules as a camera, a slow loop, a matcher and time break in on them."""

    @initialize(start_ms=st.integers(0, 300))
    def begin(self, start_ms: int) -> None:
        self.clock = VirtualClock(start_ms * MS)
        self.endpoint = Endpoint(self.clock)
        self.gate = Gate(BINDING, min_view_score=FLOOR, limits=LIMITS)
        self.model = Reference(BINDING, FLOOR, LIMITS, SLOTS)
        self.blocked: list[tuple[int, Reason]] = []
        self.released: list[Pending] = []
        self.grants: list[tuple[int, Lease]] = []  # (index in the diary, lease)
        self.ends: list[int] = []  # capture times up to which nothing may come out later
        self.frames = 0
        self.releaser = Releaser(
            self.gate,
            self.endpoint,
            self.clock,
            lambda frame: picture(frame.sequence),
            self._passed,
            self._block,
            lambda captured_ns, now_ns: nothing(*SHAPE[:2]),
        )

    @rule(ms=st.one_of(st.integers(0, 40), st.sampled_from([100, 199, 200, 201])))
    def time_passes(self, ms: int) -> None:
        self.clock.advance(ms=ms)

    @rule(
        age_ms=st.sampled_from([0, 0, 0, 1, 5, 59, 60, 61, -1]),
        score=st.sampled_from([0.9, 0.9, 0.9, 0.9, 0.85, 0.8, 0.79, 0.0]),
        size=st.sampled_from([10, 10, 24, 60, 101]),
    )
    def a_frame_comes(self, age_ms: int, score: float, size: int) -> None:
        self.clock.advance(ms=1)
        now_ns = self.clock.now_ns()
        frame = Pending(self.frames, now_ns - age_ms * MS, score, 0, size)
        self.frames += 1
        held = self.model.lease is not None
        self._block_all(self.gate.admit(frame, now_ns))
        self.model.admit(frame, now_ns)
        self._wipe_if_lost(held)

    @rule(
        frames=st.integers(1, 4),
        copy_ms=st.sampled_from([0, 0, 1, 30]),
        behind_ms=st.sampled_from([0, 0, 1, 3]),
        score=st.sampled_from([0.8, 0.8, 0.86]),
        read=st.booleans(),
    )
    def all_goes_well(self, frames, copy_ms, behind_ms, score, read) -> None:
        """A good stretch, so that the other rules have something to spoil."""
        back_ms, life_ms = (0, 60) if self.model.lease is None else (20, 200)
        self.clock.advance(ms=1)
        ahead = 1 if self.model.lease is None else 0
        self.a_lease_comes(ahead, back_ms, 100, life_ms, score, None, False)
        for _ in range(frames):
            self.a_frame_comes(0, 0.9, 10)
        cover_ms = max(1, back_ms + frames - behind_ms)
        self.a_lease_comes(0, back_ms, cover_ms, life_ms, score, None, False)
        self.the_gate_turns(copy_ms)
        if read:
            self.the_matcher_reads()

    @rule(
        ahead=st.sampled_from([1, 1, 1, 0, 0, 0, 2, -1]),
        back_ms=st.sampled_from([0, 1, 10, 50, 50, 200]),
        cover_ms=st.sampled_from([1, 5, 20, 20, 100]),
        life_ms=st.sampled_from([200, 200, 30, 1, 0]),
        score=st.sampled_from([0.8, 0.8, 0.86, 0.0]),
        change=st.sampled_from([None] * 9 + ["camera", "boot", "policy", "lane"]),
        twice=st.booleans(),
    )
    def a_lease_comes(self, ahead, back_ms, cover_ms, life_ms, score, change, twice) -> None:
        now_ns = self.clock.now_ns()
        from_ns = now_ns - back_ms * MS
        lease = Lease(
            max(0, self.gate.epoch + ahead),
            *(BINDING.camera, BINDING.boot, BINDING.policy, BINDING.lane),
            from_ns,
            from_ns + cover_ms * MS,
            now_ns + life_ms * MS,
            score,
            2**48 - 1,
            0,
        )
        if change is not None:
            other = Lane.DETECT if change == "lane" else b"x" * len(getattr(BINDING, change))
            lease = dataclasses.replace(lease, **{change: other})
        for _ in range(1 + twice):
            received = decode(encode(lease))
            assert isinstance(received, Lease)
            taken = self.gate.grant(received, now_ns) is None
            assert taken is self.model.grant(lease, now_ns)
            if taken:
                self.grants.append((len(self.ends), lease))

    @rule(back=st.sampled_from([0, 0, 0, 1, -1]))
    def the_lease_is_revoked(self, back: int) -> None:
        message = decode(encode(Revocation(max(0, self.gate.epoch - back), (Reason.MOTION,))))
        assert isinstance(message, Revocation)
        held = self.model.lease is not None
        self._block_all(self.gate.revoke(message))
        self.model.revoke(message.epoch, Reason.MOTION)
        self._wipe_if_lost(held)

    @rule(cut=st.integers(0, 120))
    def a_lease_comes_cut_short(self, cut: int) -> None:
        whole = encode(Lease(9, b"", b"", b"", Lane.VERIFY, 0, 1, 2, 0.8, 1, 1))
        with pytest.raises(LeaseError):
            decode(whole[:cut])
        self._bar(Reason.LEASE_MALFORMED)

    @rule()
    def the_guard_stood_still(self) -> None:
        self._bar(Reason.TIME_GAP)

    @rule(copy_ms=st.sampled_from([0, 0, 0, 1, 7, 60]))
    def the_gate_turns(self, copy_ms: int) -> None:
        """As the gate's loop does: what time decides, then what passes."""
        held = self.model.lease is not None
        self._block_all(self.gate.tick(self.clock.now_ns()))
        self.model.tick(self.clock.now_ns())
        self._wipe_if_lost(held)
        began_ns = self.clock.now_ns()
        self.endpoint.copy_ms = copy_ms

        count = self.releaser.drain()

        expected, now_ns = 0, began_ns
        while self.model.passes(now_ns):
            if not self.endpoint.listening:
                self.model.blocked.append((self.model.waiting.pop(0).sequence, Reason.MATCHER_LOST))
                continue
            now_ns += copy_ms * MS
            if not self.model.passes(now_ns):
                self.model.ring = []
                break
            self.model.release()
            expected += 1
        assert count == expected
        assert self.clock.now_ns() == now_ns

    @rule(listening=st.sampled_from([True, True, False]))
    def the_matcher_comes_or_goes(self, listening: bool) -> None:
        self.endpoint.listening = listening

    @rule()
    def the_matcher_reads(self) -> None:
        read = []
        while (found := self.endpoint.reader.next()) is not None:
            slot, pixels = found
            read.append((slot.captured_ns, int(pixels.min()), int(pixels.max())))
        expected = [picture(frame.sequence).flat[0] for frame in self.model.ring]
        assert [low for _, low, _ in read] == expected
        assert [high for _, _, high in read] == expected
        assert [at for at, _, _ in read] == [frame.captured_ns for frame in self.model.ring]
        self.model.ring = []

    @invariant()
    def gate_and_reference_agree(self) -> None:
        assert self.gate.lease == self.model.lease
        assert self.gate.epoch == self.model.newest_epoch
        assert self.gate.waiting == len(self.model.waiting)
        assert sorted(self.blocked) == sorted(self.model.blocked)

    @invariant()
    def nothing_is_kept_that_is_not_allowed(self) -> None:
        assert self.gate.waiting <= LIMITS.max_frames
        if self.gate.lease is None:
            assert self.gate.waiting == 0
            assert not self.endpoint.reader.pixels.any(), "pixels left in the ring without a lease"

    def teardown(self) -> None:
        """Every frame has one verdict, and each release satisfies the rule by itself."""
        if not hasattr(self, "gate"):
            return
        self.endpoint.close()
        answered = [n for n, _ in self.blocked] + [f.sequence for f in self.released]
        assert len(answered) == len(set(answered))
        assert len(answered) + self.gate.waiting == self.frames

    def _passed(self, frame: Pending) -> None:
        now_ns = self.clock.now_ns()
        self.released.append(frame)
        assert frame.view_score >= FLOOR
        assert any(
            index == len(self.ends)  # nothing ended the lease since it was granted
            and lease.from_ns <= frame.captured_ns < lease.to_ns
            and now_ns < lease.expires_ns
            and frame.view_score >= lease.min_view_score
            for index, lease in self.grants
        )
        assert [f.captured_ns for f in self.released] == sorted(
            f.captured_ns for f in self.released
        )

    def _bar(self, reason: Reason) -> None:
        now_ns = self.clock.now_ns()
        held = self.model.lease is not None
        self._block_all(self.gate.bar(now_ns, reason))
        self.model.bar(now_ns, reason)
        self._wipe_if_lost(held)

    def _wipe_if_lost(self, held: bool) -> None:
        """The gate's loop wipes the ring when a lease has ended."""
        if held and self.gate.lease is None:
            self.ends.append(self.clock.now_ns())
            self.endpoint.wipe()

    def _block(self, blocked: Blocked) -> None:
        self.blocked.append((blocked.frame.sequence, blocked.reason))

    def _block_all(self, stopped: list[Blocked]) -> None:
        for blocked in stopped:
            self._block(blocked)


def machine_settings(steps: int) -> settings:
    return settings(
        max_examples=max(1, steps // STEPS_A_RUN), stateful_step_count=STEPS_A_RUN, deadline=None
    )


@pytest.mark.timeout(0 if STEPS > 100_000 else 300)
@pytest.mark.slow
def test_the_gate_does_what_the_plain_reference_does():
    run_state_machine_as_test(GateMachine, settings=machine_settings(STEPS))


def _passes_whatever_has_a_lease(gate: Gate, frame: Pending, now_ns: int) -> Verdict:
    return Verdict.NO_LEASE if gate.lease is None else Verdict.PASS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "method", "broken"),
    [
        (Gate, "check", _passes_whatever_has_a_lease),
        (Gate, "revoke", lambda gate, revocation: []),
        (Gate, "bar", lambda gate, until_ns, reason: gate._withdraw(reason)),
        (Ring, "wipe", lambda ring: None),
    ],
    ids=["check", "revoke", "bar", "wipe"],
)
def test_a_broken_gate_is_told_from_the_reference(monkeypatch, owner, method, broken):
    monkeypatch.setattr(owner, method, broken)
    hurried = settings(machine_settings(STEPS), phases=[Phase.generate], database=None)

    with pytest.raises((AssertionError, IndexError)):
        run_state_machine_as_test(GateMachine, settings=hurried)


def calls_of(name: str, package: Path) -> list[str]:
    """The modules, each as often as it holds a call `something.name(...)`."""
    return [
        str(path.relative_to(package))
        for path in sorted(package.rglob("*.py"))
        if f".{name}(" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == name
    ]


def test_frames_are_released_in_exactly_one_place():
    package = Path(edge.__file__).parent

    # the log publishes tiles, a broker results, the log of releases its entries; the evaluation
    # has a ring of its own behind the same releaser
    delivery = ("commands/_fleet/_release.py", "fleet/delivery/release_log.py")
    no_frames = ("fleet/mqtt.py", *delivery)
    elsewhere = ("audit/", "evaluation/splices.py", *no_frames)

    def places(name: str) -> list[str]:
        return [place for place in calls_of(name, package) if not place.startswith(elsewhere)]

    # the releaser decides, the endpoint hands what it is told to the ring, and there is one of each
    assert places("publish") == ["frames/matcher_endpoint.py", "frames/releaser.py"]
    assert not [name for name in no_frames if "edge.frames" in (package / name).read_text()]
    assert places("stage") == ["frames/releaser.py"]
    assert places("place") == ["frames/matcher_endpoint.py", "frames/ring.py"]


def test_only_the_judging_of_recordings_leaves_turns_out():
    """`go_on` renews a lease without asking for the context anew: it knows what will come."""
    package = Path(edge.__file__).parent

    assert set(calls_of("go_on", package)) == {"archive/turns.py"}


def test_the_log_never_sees_a_picture():
    folder = Path(edge.__file__).parent / "audit"

    assert not [path.name for path in folder.glob("*.py") if "edge.frames" in path.read_text()]
