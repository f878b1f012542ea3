"""The judge permits in one order only, and takes everything back in another."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timezone

import pytest

from edge.audit.schema import Deny, End, Permit, Release, Stamp
from edge.clock import MS, S
from edge.commissioning.records import Device, Session
from edge.decision.judge import Action, Ask, Judge, Tell, Write
from edge.decision.session_facts import Setup
from edge.evidence.board_link import BoardStatus, Fault, Link
from edge.evidence.readings import BoardSample, Reading, Source, Vector
from edge.frames.messages import Ended
from edge.lease import LIFE_NS, Binding, Lane, Lease, Revocation
from edge.policy.engine import Policy
from edge.policy.signed.term import of_the_day
from edge.reasons import Reason
from edge.version import BUILT

STEP_NS = 20 * MS
POLICY = Policy.load("strict")
BINDING = Binding(bytes(16), bytes(16), POLICY.digest, Lane.VERIFY)
DEVICE = Device(
    camera="fixed",
    mount="fixed_surveyed",
    site="till-2",
    dock_id="D-0017",
    publicly_accessible=False,
    lanes=(Lane.VERIFY,),
    dwell_s=1.0,
    user="private_business",
    by_or_for="neither",
    jurisdiction="EU",
)
SESSION = Session(Lane.VERIFY, "self_only", consent="valid", active_involvement=True)
SETUP = Setup(DEVICE, SESSION, BINDING, Release.BRACKETED, True, True, lag_ns=0)
STAMP = Stamp(bytes(16), 0, 0, bytes(16), POLICY.digest)


class World:
    """Everything around a judge: good evidence, a board that answers, a log that works."""

    def __init__(self, setup: Setup = SETUP, policy: Policy = POLICY) -> None:
        self.now_ns = S
        self.judge = Judge(setup, policy, self.now_ns)
        self.board_permits: int | None = None  # the decision the board has acknowledged
        self.answers = True
        self.writes = True
        self.lost: set[Source] = set()
        self.bad: dict[Source, Reason] = {}
        self.silent: tuple[Reason, ...] = ()
        self.done: list[Action] = []
        self.records = 0
        self.gate_answers = True
        self.docked = True
        self.refuse_permits = False  # a board that never acknowledges
        self.released = 3  # what the gate says that it released under a lease

    def run(self, ns: int) -> list[Action]:
        """Let time pass in small steps; returns what the judge did meanwhile."""
        begun = len(self.done)
        for _ in range(ns // STEP_NS):
            self.now_ns += STEP_NS
            self.step()
        return self.done[begun:]

    def step(self) -> None:
        now_ns = self.now_ns
        gyro, accel = self.imu(now_ns)
        if Source.DOCK not in self.lost:
            self.judge.board(
                BoardSample(
                    now_ns,
                    dock=self.docked,
                    dock_id="D-0017",
                    tampered=False,
                    gyro_rad_s=gyro,
                    accel_m_s2=accel,
                )
            )
        sources = (Source.SIGN_MAP, Source.LIVENESS, Source.VIEW, Source.PEOPLE)
        for source in sources:
            if source not in self.lost:
                reason = self.bad.get(source)
                self.judge.observe([Reading(source, now_ns, (reason,) if reason else ())], 0xFFF)
        decision = self.board_permits or 0
        status = BoardStatus(now_ns, Link.UP, decision > 0, decision, Fault.NONE)
        if self.answers:
            self.judge.board_status(status)
        self.judge.silent(self.silent)
        while actions := self.judge.step(now_ns):
            for action in actions:
                self.carry_out(action)

    def imu(self, now_ns: int) -> tuple[Vector, Vector]:
        """What the board feels: turning (rad/s) and acceleration (m/s^2)."""
        return (0.001, 0.0, now_ns % 7 / 1e4), (0.0, 0.0, 9.8)

    def stop(self) -> list[Action]:
        """End in good order; returns what the judge did for it."""
        begun = len(self.done)
        while actions := self.judge.stop(self.now_ns):
            for action in actions:
                self.carry_out(action)
        return self.done[begun:]

    def answer(self) -> None:
        """The gate, which was late, says what it released under the newest revoked epoch."""
        messages = [a.message for a in self.done if isinstance(a, Tell)]
        epoch = next(m.epoch for m in reversed(messages) if isinstance(m, Revocation))
        self.judge.ended(Ended(epoch, self.released, self.now_ns, None, False, final=True))
        self.gate_answers = True

    def carry_out(self, action: Action) -> None:
        self.done.append(action)
        match action:
            case Write(_, True) if self.writes:
                self.records += 1
                self.judge.recorded(self.records, self.now_ns)
            case Ask(claim):
                heard = claim.releasing and self.answers and not self.refuse_permits
                self.board_permits = claim.decision if heard else None
            case Tell(Revocation(epoch, _, _)) if self.gate_answers:
                self.judge.ended(Ended(epoch, self.released, self.now_ns, None, False, final=True))


def kinds(actions: list[Action]) -> list[str]:
    """The actions in words, repeats left out."""
    words: list[str] = []
    for action in actions:
        match action:
            case Tell(message):
                word = type(message).__name__
            case Ask(claim):
                word = "ask" if claim.releasing else "unask"
            case Write(entry, durable):
                word = type(entry(STAMP)).__name__ + ("!" if durable else "")
        if not words or words[-1] != word:
            words.append(word)
    return words


def leases(actions: list[Action]) -> list[Lease]:
    return [a.message for a in actions if isinstance(a, Tell) and isinstance(a.message, Lease)]


def ends(actions: list[Action]) -> list[End]:
    """The ends of permits among what is written."""
    entries = [action.entry(STAMP) for action in actions if isinstance(action, Write)]
    return [entry for entry in entries if isinstance(entry, End)]


def test_a_permit_is_recorded_then_acknowledged_then_leased() -> None:
    world = World()

    actions = world.run(2 * S)

    assert kinds(actions)[-3:] == ["Permit!", "ask", "Lease"]
    assert world.judge.outlook.permitted


def test_no_lease_before_the_record_is_durable() -> None:
    world = World()
    world.writes = False

    assert leases(world.run(3 * S)) == []


def test_no_lease_before_the_board_acknowledges_and_the_fault_is_named() -> None:
    world = World()
    world.run(500 * MS)
    world.judge.board_status = lambda status: None  # type: ignore[method-assign,assignment]

    actions = world.run(3 * S)

    assert leases(actions) == []


def test_leases_cover_only_frames_between_two_good_readings() -> None:
    world = World()

    for lease in leases(world.run(2 * S)):
        assert lease.from_ns >= S + S  # dwell
        assert lease.to_ns <= world.now_ns + 1
        assert lease.expires_ns - lease.to_ns <= LIFE_NS


def test_immediate_release_reaches_ahead_but_never_past_its_expiry() -> None:
    world = World(replace(SETUP, release=Release.IMMEDIATE))

    found = leases(world.run(2 * S))

    assert found
    assert all(lease.to_ns == lease.expires_ns for lease in found)


@pytest.mark.parametrize("source", [Source.SIGN_MAP, Source.LIVENESS, Source.VIEW, Source.PEOPLE])
def test_any_doubt_revokes_at_once_gate_first_then_board_then_log(source: Source) -> None:
    world = World()
    world.run(2 * S)

    world.bad[source] = Reason.VIEW_FOREIGN
    actions = world.run(STEP_NS)

    assert kinds(actions)[:3] == ["Revocation", "unask", "End"]
    assert not world.judge.outlook.permitted


def test_the_end_of_a_permit_tells_what_was_released() -> None:
    world = World()
    world.run(2 * S)

    world.bad[Source.VIEW] = Reason.VIEW_FOREIGN
    ends = [a.entry(STAMP) for a in world.run(S) if isinstance(a, Write)]

    end = next(entry for entry in ends if isinstance(entry, End))
    assert end.released == 3
    assert Reason.VIEW_FOREIGN in end.reasons


def test_a_new_permit_never_reaches_back_before_the_doubt() -> None:
    world = World()
    world.run(2 * S)
    world.bad[Source.PEOPLE] = Reason.PEOPLE_CROWD
    world.run(100 * MS)
    doubt_ns = world.now_ns
    world.bad.clear()

    again = leases(world.run(3 * S))

    assert again
    assert all(lease.from_ns >= doubt_ns + S for lease in again)


def test_a_board_that_drops_its_line_ends_the_permit() -> None:
    world = World()
    world.run(2 * S)

    world.board_permits = None
    actions = world.run(STEP_NS)

    first = actions[0]
    assert isinstance(first, Tell)
    assert isinstance(first.message, Revocation)
    assert first.message.reasons == (Reason.INTERLOCK_FAULT,)
    assert not world.judge.outlook.permitted


def test_a_board_that_falls_silent_ends_the_permit() -> None:
    world = World()
    world.run(2 * S)

    world.answers = False
    world.run(300 * MS)

    assert Reason.LINK_LOST in world.judge.outlook.reasons


@pytest.mark.parametrize("reason", [Reason.TIME_GAP, Reason.AUDIT_UNAVAILABLE])
def test_a_doubt_about_the_guard_itself_costs_the_dwell(reason: Reason) -> None:
    world = World()
    world.run(2 * S)

    world.silent = (reason,)
    world.run(STEP_NS)
    world.silent = ()
    soon = leases(world.run(900 * MS))
    later = leases(world.run(S))

    assert soon == []
    assert later


@pytest.mark.parametrize(
    "reason", [Reason.TIME_GAP, Reason.FRAME_MALFORMED, Reason.LEASE_MALFORMED, Reason.FRAME_STALE]
)
def test_a_lease_that_the_gate_gave_up_costs_the_dwell_and_no_more(reason: Reason) -> None:
    world = World()
    world.run(2 * S)
    given_up_ns = world.now_ns

    world.judge.ended(Ended(2, 0, -1, reason, False, final=False))
    soon = leases(world.run(900 * MS))
    later = leases(world.run(S))

    assert soon == []
    assert later
    assert all(lease.from_ns > given_up_ns for lease in later)


def test_a_foreign_view_that_the_gate_saw_is_left_to_the_sign_map() -> None:
    world = World()
    world.run(2 * S)

    world.judge.ended(Ended(2, 0, -1, Reason.VIEW_FOREIGN, False, final=False))

    assert leases(world.run(100 * MS))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"camera": "body_worn"}, Reason.MOBILE_CLASS),
        ({"mount": "unknown"}, Reason.MOUNT_UNSURVEYED),
        ({"site": ""}, Reason.NO_SITE),
        ({"lanes": (Lane.DETECT,)}, Reason.LANE_NOT_COMMISSIONED),
    ],
)
def test_a_record_that_does_not_commission_this_never_permits(
    change: dict[str, object], reason: Reason
) -> None:
    world = World(replace(SETUP, device=replace(DEVICE, **change)))  # type: ignore[arg-type]

    actions = world.run(3 * S)

    assert leases(actions) == []
    assert reason in world.judge.outlook.reasons


def test_an_unknown_camera_is_live_replay_and_blocked() -> None:
    world = World(replace(SETUP, camera_known=False))

    assert leases(world.run(3 * S)) == []
    assert Reason.CAM_IDENTITY in world.judge.outlook.reasons
    assert "GD-05" in world.judge.outlook.rules


def test_the_policy_denies_in_a_controlled_context() -> None:
    police = replace(DEVICE, user="us_state_local_police", by_or_for="by", lanes=(Lane.IDENTIFY,))
    binding = replace(BINDING, lane=Lane.IDENTIFY)
    session = replace(SESSION, operation=Lane.IDENTIFY, gallery="suspects_or_inmates")
    world = World(Setup(police, session, binding, Release.BRACKETED, True, True, lag_ns=0))

    actions = world.run(3 * S)

    assert leases(actions) == []
    assert world.judge.outlook.setting.value == "controlled"
    assert "MS-01" in world.judge.outlook.rules
    denied = [a.entry(STAMP) for a in actions if isinstance(a, Write)]
    assert any(isinstance(entry, Deny) and "MS-01" in entry.rules for entry in denied)


def test_a_lane_without_faces_needs_neither_view_nor_board() -> None:
    device = replace(DEVICE, lanes=(Lane.DETECT,), camera="body_worn", mount="worn_moving")
    session = replace(SESSION, operation=Lane.DETECT, gallery="none")
    binding = replace(BINDING, lane=Lane.DETECT)
    world = World(Setup(device, session, binding, Release.BRACKETED, False, True, lag_ns=0))
    world.lost = {Source.DOCK, Source.VIEW, Source.SIGN_MAP, Source.PEOPLE}

    actions = world.run(2 * S)

    assert leases(actions)
    assert "ask" not in kinds(actions)
    permits = [a.entry(STAMP) for a in actions if isinstance(a, Write)]
    assert any(isinstance(entry, Permit) for entry in permits)
    assert world.judge.outlook.setting.value == "uncontrolled"


def test_stopping_in_good_order_takes_the_permit_back() -> None:
    world = World()
    world.run(2 * S)

    actions = world.stop()

    assert kinds(actions) == ["Revocation", "unask", "End"]
    assert world.judge.released == 3


def test_a_gate_that_does_not_say_what_it_released_leaves_it_unknown() -> None:
    world = World()
    world.run(2 * S)

    world.judge.stop(world.now_ns)
    early = world.judge.stop(world.now_ns + 299 * MS)
    late = world.judge.stop(world.now_ns + 300 * MS)

    assert early == []
    assert [(end.epoch, end.released) for end in ends(late)] == [(2, None)]
    assert world.judge.released is None


def test_a_permit_that_never_became_a_lease_released_nothing_whatever_the_gate_says() -> None:
    world = World()
    world.gate_answers = False
    world.refuse_permits = True
    world.run(1100 * MS)

    found = ends(world.stop())

    assert [end.released for end in found] == [0]


def test_the_report_of_a_lapse_is_not_the_last_word_on_an_epoch() -> None:
    world = World()
    epoch = leases(world.run(2 * S))[-1].epoch
    world.judge.ended(Ended(epoch, 0, -1, None, False, final=False))
    assert leases(world.run(S))[-1].epoch == epoch
    world.released = 33

    world.bad[Source.PEOPLE] = Reason.PEOPLE_CROWD
    world.gate_answers = False
    early = world.run(STEP_NS)
    world.answer()
    found = ends(world.run(STEP_NS))

    assert ends(early) == []
    assert [(end.epoch, end.released) for end in found] == [(epoch, 33)]


def test_a_cause_that_changes_before_the_gate_reports_does_not_change_whose_end_it_is() -> None:
    world = World()
    epoch = leases(world.run(2 * S))[-1].epoch

    world.gate_answers = False
    world.bad[Source.PEOPLE] = Reason.PEOPLE_CROWD
    world.run(STEP_NS)
    world.bad[Source.VIEW] = Reason.VIEW_FOREIGN
    messages = world.run(STEP_NS)
    world.answer()
    actions = world.run(STEP_NS)

    assert kinds(messages) == []
    assert [(end.epoch, end.released) for end in ends(actions)] == [(epoch, 3)]
    assert kinds(actions)[:2] == ["End", "Revocation"]  # then the gate hears the new cause


@pytest.mark.parametrize(("late_ms", "missed"), [(199, False), (200, True), (240, True)])
def test_a_lease_that_ran_out_is_not_renewed_but_ends_its_permit(
    late_ms: int, missed: bool
) -> None:
    world = World()
    epoch = leases(world.run(2 * S))[-1].epoch

    world.now_ns += late_ms * MS
    world.step()
    found = world.run(100 * MS)

    later = {lease.epoch for lease in leases(found)}
    assert later == ({epoch + 1} if missed else {epoch})
    messages = [end.reasons for end in ends(world.done)]
    assert messages == ([(Reason.DEADLINE_MISSED,)] if missed else [])


@pytest.mark.parametrize(
    ("last_day", "changes", "rule"),
    [
        (date(2025, 3, 31), {"user": "non_us_police", "jurisdiction": "FR"}, "FR-01"),
        (date(2022, 12, 31), {"user": "private_business", "jurisdiction": "EU"}, None),
    ],
    ids=["a rule lapses", "no rule of this case changes"],
)
def test_a_rule_that_lapses_at_midnight_opens_without_a_restart(
    last_day: date, changes: dict[str, str], rule: str | None
) -> None:
    before = Policy.load("strict", last_day)
    world = World(replace(SETUP, device=replace(DEVICE, **changes)), before)
    assert bool(leases(world.run(3 * S))) is (rule is None)
    assert world.judge.outlook.rules == ((rule,) if rule else ("FA-03",))

    world.judge.rule_by(of_the_day(before, seconds(last_day) + DAY_S, proven=True, floor=BUILT))

    assert leases(world.run(3 * S))
    assert world.judge.outlook.rules == ("FA-03",)


def test_a_rule_that_begins_at_midnight_revokes_at_the_next_step() -> None:
    before = Policy.load("strict", date(2026, 4, 30))
    session = replace(SESSION, result_sink="azure_openai")
    world = World(replace(SETUP, session=session), before)
    assert leases(world.run(3 * S))

    world.judge.rule_by(
        of_the_day(before, seconds(date(2026, 4, 30)) + DAY_S, proven=True, floor=BUILT)
    )
    actions = world.run(STEP_NS)

    assert kinds(actions)[0] == "Revocation"
    assert world.judge.outlook.rules == ("MS-09",)


def test_nothing_identifying_flows_until_the_time_is_proven() -> None:
    world = World()
    world.silent = (Reason.TIME_UNTRUSTED,)
    assert leases(world.run(3 * S)) == []
    assert world.judge.outlook.reasons == (Reason.TIME_UNTRUSTED,)

    world.silent = ()

    assert leases(world.run(3 * S))


def test_evidence_older_than_the_policy_allows_closes() -> None:
    world = World(replace(SETUP, max_age_ns=100 * MS))
    assert leases(world.run(3 * S))

    world.lost.add(Source.VIEW)
    actions = world.run(100 * MS + STEP_NS)

    assert "Revocation" in kinds(actions)


def test_a_lease_asks_for_the_score_that_the_policy_asks_for() -> None:
    world = World(replace(SETUP, min_view_score=0.9))

    assert {lease.min_view_score for lease in leases(world.run(3 * S))} == {0.9}


DAY_S = 86_400


def seconds(day: date) -> int:
    """Midnight at the beginning of `day`, UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp())


def test_what_comes_in_between_two_looks_at_people_is_held_even_when_release_is_immediate() -> None:
    world = World(replace(SETUP, release=Release.IMMEDIATE, interlocked=False))
    world.run(2 * S)
    before = [a.message for a in world.done if isinstance(a, Tell)][-1]
    world.lost.add(Source.PEOPLE)
    seen_ns = world.now_ns

    world.judge.observe([Reading(Source.VIEW, seen_ns)], 0xFF, unsettled_ns=seen_ns)
    held = [a.message for a in world.run(100 * MS) if isinstance(a, Tell)]
    outlook = world.judge.outlook
    world.lost.clear()
    freed = [a.message for a in world.run(100 * MS) if isinstance(a, Tell)]

    assert isinstance(before, Lease)
    assert before.to_ns > seen_ns + 100 * MS
    assert held
    assert all(isinstance(lease, Lease) and lease.to_ns == seen_ns for lease in held)
    assert outlook.permitted
    assert outlook.reasons == (Reason.PEOPLE_UNSETTLED,)
    assert isinstance(freed[-1], Lease)
    assert freed[-1].to_ns > world.now_ns
    assert world.judge.outlook.reasons == ()


def test_a_permit_that_begins_while_people_are_unsettled_covers_nothing_yet() -> None:
    world = World(replace(SETUP, release=Release.IMMEDIATE, interlocked=False))
    world.run(900 * MS)  # the dwell is a second
    world.lost.add(Source.PEOPLE)

    world.judge.observe([], unsettled_ns=world.now_ns)
    held = [a.message for a in world.run(300 * MS) if isinstance(a, Tell)]
    world.lost.clear()
    freed = [a.message for a in world.run(100 * MS) if isinstance(a, Tell)]

    assert not any(isinstance(message, Lease) for message in held)
    assert any(isinstance(message, Lease) for message in freed)


def test_a_look_at_people_from_before_settles_nothing() -> None:
    world = World(replace(SETUP, release=Release.IMMEDIATE, interlocked=False))
    world.run(2 * S)
    world.lost.add(Source.PEOPLE)
    seen_ns = world.now_ns

    world.judge.observe([], unsettled_ns=seen_ns)
    world.judge.observe([Reading(Source.PEOPLE, seen_ns - 10 * MS)])
    world.run(40 * MS)

    assert world.judge.outlook.reasons == (Reason.PEOPLE_UNSETTLED,)
