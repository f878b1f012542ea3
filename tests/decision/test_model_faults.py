"""A model that goes wrong in the running guard: blocked, named, and started afresh."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.clock import S
from edge.decision.model_failures import CircuitBreaker
from edge.errors import GuardError
from edge.guard import plan as daemon_plan
from edge.guard.plan import Plan
from edge.guard.supervisor import Guard
from edge.heartbeat import Beats
from edge.lease import LIFE_NS
from edge.reasons import Reason
from edge.report.record import FrameDecision, Outcome
from framegate_client.connection import Connection
from tests.support import other_decider
from tests.support.audit_helpers import read_all
from tests.support.guards import Site, site

pytestmark = pytest.mark.guard


@pytest.fixture
def kiosk(lived_in: Callable[[int], Path], tmp_path: Path, face_model: Path) -> Site:
    """Ten seconds of a room."""
    clip = lived_in(300)
    return site(tmp_path / "site", clip, clip, face_model)


@pytest.fixture
def loads(tmp_path: Path) -> Path:
    return tmp_path / "loads"


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch, loads: Path) -> Callable[[str], None]:
    """Have the decider run with a model that goes wrong."""

    def choose(how: str) -> None:
        monkeypatch.setenv("BAD_MODEL", how)
        monkeypatch.setenv("BAD_MODEL_LOADS", str(loads))
        other_decider.use(monkeypatch, "tests.support.bad_model", "BAD_MODEL")

    return choose


def plan(kiosk: Site) -> Plan:
    return Plan(
        source=str(kiosk.clip),
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        audit=kiosk.folder / "audit",
    )


def run(
    kiosk: Site, enough: Callable[[list[FrameDecision], list[int]], bool] = lambda *_: False
) -> tuple[Guard, list[FrameDecision], list[int]]:
    """The guard to its end, or until `enough` is true of what is returned: its decisions, and
    capture times of the frames a matcher got.

    The model may go wrong when ten frames have come.
    """
    times: list[int] = []
    flowed = kiosk.folder.parent / "flowed"
    with Guard(plan(kiosk), lambda line: None) as guard:
        matcher = Connection(*guard.environment.values())
        while not guard.over and guard.failure is None:
            guard.turn()
            while (frame := matcher.read(timeout_s=0)) is not None:
                times.append(frame.captured_ns)
                if len(times) == 10:
                    flowed.touch()
            if enough(guard.recorder.decisions, times):
                break
        matcher.close()
        decisions = guard.recorder.decisions
    return guard, sorted(decisions, key=lambda d: d.frame), times


def wrong_ns(kiosk: Site) -> int:
    """When the model first went wrong."""
    return int((kiosk.folder.parent / "flowed").read_text())


def blocked_for(decisions: list[FrameDecision], reason: Reason) -> list[int]:
    return [
        d.captured_ns for d in decisions if d.verdict is not Outcome.PASS and reason in d.reasons
    ]


@pytest.mark.parametrize(
    "how",
    [
        "nan",
        pytest.param("raise", marks=pytest.mark.long),
        pytest.param("inf", marks=pytest.mark.long),
        pytest.param("three", marks=pytest.mark.long),
        pytest.param("shape", marks=pytest.mark.long),
    ],
)
def test_a_model_that_stays_wrong_ends_every_permit_for_good(
    kiosk: Site, bad: Callable[[str], None], loads: Path, how: str
) -> None:
    bad(how)
    afresh: list[int] = []

    def lasting(decided: list[FrameDecision], times: list[int]) -> bool:
        """Two seconds on from when it was loaded afresh: longer than the dwell."""
        if loads.read_text().count("loaded") == 2:
            afresh.append(len(decided))
        return bool(afresh) and len(decided) > afresh[0] + 60

    guard, decisions, times = run(kiosk, lasting)

    named = blocked_for(decisions, Reason.MODEL_OUTPUT)
    assert guard.failure is None
    assert times  # frames flowed while it was right
    assert named
    assert max(times) <= min(named)
    assert max(times) < wrong_ns(kiosk)
    assert loads.read_text().count("loaded") == 2  # loaded afresh once


@pytest.mark.parametrize("how", ["nan-once", pytest.param("raise-thrice", marks=pytest.mark.long)])
def test_frames_flow_again_when_the_model_is_right_again(
    kiosk: Site, bad: Callable[[str], None], loads: Path, how: str
) -> None:
    bad(how)

    def again(decided: list[FrameDecision], times: list[int]) -> bool:
        wrong = blocked_for(decided, Reason.MODEL_OUTPUT)
        return bool(wrong) and sum(t > max(wrong) for t in times) > 20

    guard, decisions, times = run(kiosk, again)

    named = blocked_for(decisions, Reason.MODEL_OUTPUT)
    assert guard.failure is None
    assert min(times) < min(named) < max(times)
    assert max(times) > decisions[-1].captured_ns - S
    assert loads.read_text().count("loaded") == (1 if how == "nan-once" else 2)


@pytest.mark.long
def test_a_slow_answer_is_no_answer(kiosk: Site, bad: Callable[[str], None]) -> None:
    bad("slow-once")

    guard, decisions, times = run(kiosk)

    assert guard.failure is None
    named = blocked_for(decisions, Reason.MODEL_TIMEOUT)
    assert named
    assert not [t for t in times if min(named) < t < min(named) + S]
    assert max(times) > max(named)


def test_frames_flow_where_each_look_for_people_takes_nearly_as_long_as_a_lease_lasts(
    kiosk: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small device renews the lease during the look, and reads the view between two of them."""
    monkeypatch.setenv("SLOW_EYES_S", str(0.85 * LIFE_NS / S))
    other_decider.use(monkeypatch, "tests.support.slow_eyes", "SLOW_EYES_S")

    guard, _, times = run(kiosk, lambda _, times: len(times) >= 60)

    assert guard.failure is None
    assert len(times) >= 60


@pytest.mark.long
def test_a_model_that_hangs_takes_its_process_with_it_and_the_guard_is_started_anew(
    kiosk: Site, bad: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad("hang")

    guard, _, times = run(kiosk)

    assert guard.failure is not None
    assert guard.failure.startswith("MODEL_TIMEOUT")
    assert times
    assert max(times) < wrong_ns(kiosk)
    assert guard.children["decider"].process.returncode is not None

    monkeypatch.undo()
    _, _, again = run(kiosk)
    assert len(again) > 60


@pytest.mark.long
def test_a_model_that_gets_no_memory_ends_every_permit_and_the_guard_is_started_anew(
    kiosk: Site, bad: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad("memory")

    guard, _, times = run(kiosk)

    log = read_all(kiosk.folder / "audit", guard.store.log_verifier())
    ends = [entry for entry in log if entry["kind"] == "end"]
    assert guard.failure == "RESOURCE: the decider process ran out of memory"
    assert times
    assert max(times) < wrong_ns(kiosk)
    assert ends[-1]["reasons"] == ["RESOURCE"]
    assert sum(end["released"] for end in ends) == len(times)

    monkeypatch.undo()
    _, _, again = run(kiosk)
    assert len(again) > 60


def test_a_swapped_model_does_not_start(
    kiosk: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, face_model: Path
) -> None:
    other = tmp_path / face_model.name
    data = bytearray(face_model.read_bytes())
    data[len(data) // 2] ^= 1
    other.write_bytes(data)
    monkeypatch.setattr(daemon_plan, "asset", lambda name: other)

    with pytest.raises(GuardError, match=r"face model centerface\.onnx has SHA-256"):
        run(kiosk)


def test_three_in_a_row_load_the_models_afresh_once() -> None:
    breaker = CircuitBreaker()

    assert [breaker.bad() for _ in range(2)] == [False, False]
    breaker.good()
    assert [breaker.bad() for _ in range(3)] == [False, False, True]
    breaker.good()
    assert not breaker.out
    assert [breaker.bad() for _ in range(3)] == [False, False, False]
    breaker.good()
    assert breaker.out


def test_the_page_says_since_when_a_model_is_at_work() -> None:
    beats = Beats.create()

    assert beats.model_began_ns == 0
    beats.begin_model(7)
    assert Beats(os.dup(beats.fd)).model_began_ns == 7
    beats.end_model()
    assert beats.model_began_ns == 0
