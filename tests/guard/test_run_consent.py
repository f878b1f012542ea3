"""Consent in the running guard: receipts, claims, withdrawals, and comparisons that are counted."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from edge.audit.note import Signer
from edge.audit.proofs.verify import verify_log
from edge.clock import MS, BootClock
from edge.commissioning.keys import Office, read_verifier
from edge.consent.tokens import DAY_S, Receipt, sign_token
from edge.errors import UsageError
from edge.guard.plan import Plan
from edge.guard.supervisor import Guard
from edge.lease import Lane
from edge.reasons import Reason
from edge.report.record import FrameDecision
from framegate_client.connection import Connection
from tests.support.guards import DEVICE, SESSION, Site, site

pytestmark = pytest.mark.guard

ADA, BEN = "a" * 64, "b" * 64
AT_ONCE_NS = 150 * MS  # the desk is read every 50 ms, and a frame may be on its way


@pytest.fixture(scope="module")
def room(lived_in: Callable[[int], Path]) -> Path:
    """Ten seconds of a room, nobody in it."""
    return lived_in(300)


@dataclass
class ConsentSite:
    """A site with a consent inbox, the key that signs there, and a guard that listens to it."""

    site: Site
    inbox: Path
    signer: Signer
    frames: list[int] = field(default_factory=list)  # capture times, as the matcher got them

    @property
    def plan(self) -> Plan:
        return Plan(
            source=str(self.site.clip),
            device=self.site.device,
            session=self.site.session,
            keys=self.site.store.directory,
            audit=self.site.folder / "audit",
            inbox=self.inbox,
        )

    def put(self, name: str, data: bytes | str) -> int:
        """Move a file into the inbox; returns when."""
        beside = self.site.folder / name
        beside.write_bytes(data.encode() if isinstance(data, str) else data)
        os.replace(beside, self.inbox / name)
        return BootClock().now_ns()

    def receipt(self, signer: Signer | None = None, **changes: object) -> bytes:
        now_s = int(time.time())
        plain = Receipt("r-1", ADA, Lane.VERIFY, "till-2", now_s - DAY_S, now_s + DAY_S)
        return sign_token(replace(plain, **changes), signer or self.signer)

    def run(
        self,
        *acts: tuple[float, Callable[[Connection], object]],
        more: int | None = None,
    ) -> list[FrameDecision]:
        """Run to the end of the clip, or, after the last act, for so many `more` decisions.

        Each act in turn is done so many seconds after the start, or, given as a
        whole number, once so many frames have come.
        """
        waiting, enough = list(acts), math.inf
        with Guard(self.plan, lambda line: None) as guard:
            matcher = Connection(*guard.environment.values())
            began = time.monotonic()
            while not guard.over and guard.failure is None:
                guard.turn()
                while waiting and self._due(waiting[0][0], time.monotonic() - began):
                    waiting.pop(0)[1](matcher)
                while (frame := matcher.read(timeout_s=0)) is not None:
                    self.frames.append(frame.captured_ns)
                decided = len(guard.recorder.decisions)
                if waiting:
                    enough = decided + more if more is not None else math.inf
                if decided >= enough:
                    break
            matcher.close()
        return guard.recorder.decisions

    def _due(self, when: float, passed_s: float) -> bool:
        return len(self.frames) >= when if isinstance(when, int) else passed_s >= when

    def claim(self, person: str = ADA) -> Callable[[Connection], object]:
        return lambda matcher: self.put("claim", person)

    def logged(self) -> Iterator[tuple[bytes, dict[str, object]]]:
        kept: list[tuple[bytes, dict[str, object]]] = []
        audit = self.site.folder / "audit"
        key = read_verifier(self.site.store.directory / "log.pub")
        verify_log(audit, key, on_entry=lambda _, raw, fields: kept.append((raw, fields)))
        return iter(kept)


@pytest.fixture
def consent_site(room: Path, tmp_path: Path, face_model: Path) -> ConsentSite:
    """A till whose record asks for receipts, and whose session claims consent nobody gave."""
    kiosk = site(tmp_path / "site", room, room, face_model)
    kiosk.sign(device=DEVICE + "[consent]\nreceipts = true\n")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    signer = Signer.generate("counter")
    public = tmp_path / "counter.pub"
    public.write_text(signer.verifier.text + "\n")
    kiosk.store.trust(Office.DESK, public)
    return ConsentSite(kiosk, inbox, signer)


def test_frames_flow_for_a_person_with_a_receipt_who_claimed(consent_site: ConsentSite) -> None:
    consent_site.put("ada.token", consent_site.receipt())
    claimed: list[int] = []

    decisions = consent_site.run(
        (0.5, lambda m: claimed.append(consent_site.put("claim", ADA))),
        (20, lambda m: None),
        more=30,
    )

    last = max(d.captured_ns for d in decisions)
    assert len(consent_site.frames) > 30
    assert min(consent_site.frames) > claimed[0]
    assert max(consent_site.frames) > last - 500 * MS  # to the end: see the next test


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ada.withdrawn", "withdrawal"),
        pytest.param("ada.optout", "opt_out", marks=pytest.mark.long),
    ],
)
def test_a_withdrawal_counts_at_once_and_the_log_names_nobody(
    consent_site: ConsentSite, name: str, kind: str
) -> None:
    consent_site.put("ada.token", consent_site.receipt())
    consent_site.put("ben.token", consent_site.receipt(Signer.generate("nobody"), number="r-2"))
    content = "r-1" if name.endswith("withdrawn") else ADA
    when: list[int] = []

    decisions = consent_site.run(
        (0.5, consent_site.claim()),
        (20, lambda m: when.append(consent_site.put(name, content))),
        more=30,
    )

    assert len(consent_site.frames) >= 20
    assert max(consent_site.frames) < when[0] + AT_ONCE_NS
    after = [d for d in decisions if d.captured_ns > when[0] + AT_ONCE_NS]
    assert after
    assert all(Reason.CONSENT_WITHDRAWN in d.reasons and "GD-08" in d.rules for d in after[:-1])

    entries = list(consent_site.logged())
    handed = [f["handing"] for _, f in entries if f["kind"] == "token"]
    assert sorted(map(str, handed)) == sorted(["receipt", "refused", kind])
    assert not any(ADA.encode() in raw or b"r-1" in raw for raw, _ in entries)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="untrusted"),
        pytest.param({"person": BEN}, id="another person", marks=pytest.mark.long),
        pytest.param({"site": "till-3"}, id="another site", marks=pytest.mark.long),
        pytest.param({"lane": Lane.IDENTIFY}, id="another lane", marks=pytest.mark.long),
        pytest.param({"to_s": 0}, id="over", marks=pytest.mark.long),
    ],
)
def test_a_receipt_that_does_not_hold_is_none(
    consent_site: ConsentSite, changes: dict[str, object]
) -> None:
    """The session record says `valid`; with a consent inbox the guard does not use it."""
    signer = None if changes else Signer.generate("somebody-else")
    if "to_s" in changes:
        now_s = int(time.time())
        changes = {"from_s": now_s - 2 * DAY_S, "to_s": now_s - DAY_S}
    consent_site.put("ada.token", consent_site.receipt(signer, **changes))

    decisions = consent_site.run((0.5, consent_site.claim()), more=75)  # more than the dwell

    assert consent_site.frames == []
    assert {"FA-08", "MS-08"} <= set(decisions[-2].rules)


@pytest.mark.long
def test_a_claim_left_over_from_before_is_none(consent_site: ConsentSite) -> None:
    consent_site.put("ada.token", consent_site.receipt())
    consent_site.put("claim", ADA)

    consent_site.run()

    assert consent_site.frames == []


def test_a_consent_inbox_that_goes_away_blocks(consent_site: ConsentSite) -> None:
    consent_site.put("ada.token", consent_site.receipt())
    gone = consent_site.inbox.with_name("gone")
    when: list[int] = []

    def remove(matcher: Connection) -> None:
        consent_site.inbox.rename(gone)
        when.append(BootClock().now_ns())

    decisions = consent_site.run((0.5, consent_site.claim()), (20, remove), more=30)

    assert len(consent_site.frames) >= 20
    assert max(consent_site.frames) < when[0] + AT_ONCE_NS
    assert Reason.DESK_UNREADABLE in decisions[-2].reasons


def test_a_record_that_asks_for_receipts_does_not_start_without_a_consent_inbox(
    consent_site: ConsentSite,
) -> None:
    with pytest.raises(UsageError, match="--desk DIR"):
        Guard(replace(consent_site.plan, inbox=None), lambda line: None)
    with pytest.raises(UsageError, match="expected a folder"):
        Guard(replace(consent_site.plan, inbox=consent_site.inbox / "none"), lambda line: None)


def test_a_comparison_with_anybody_but_the_claimed_person_ends_it(
    consent_site: ConsentSite,
) -> None:
    """Frames flow on when the claimed person is compared, and no longer when another one is."""
    consent_site.put("ada.token", consent_site.receipt())
    when: list[int] = []

    def report(person: str) -> Callable[[Connection], object]:
        def act(matcher: Connection) -> None:
            matcher.compared(person)
            when.append(BootClock().now_ns())

        return act

    decisions = consent_site.run(
        (0.5, consent_site.claim()), (15, report(ADA)), (35, report(BEN)), more=30
    )

    flowed = [t for t in consent_site.frames if t > when[0] + AT_ONCE_NS]
    assert flowed
    assert max(flowed) < when[1] + AT_ONCE_NS
    assert not any("GD-09" in d.rules for d in decisions if d.captured_ns < when[1] - AT_ONCE_NS)
    assert "GD-09" in decisions[-2].rules


@pytest.mark.long
def test_without_a_consent_inbox_the_second_reference_is_a_search(
    consent_site: ConsentSite,
) -> None:
    """The first stands for the claim nobody could make; the record's own word is consent."""
    consent_site.site.sign(session=SESSION)
    consent_site.site.sign(device=DEVICE)
    kept = consent_site.plan
    consent_site.inbox.rmdir()
    when: list[int] = []

    def report(reference: str) -> Callable[[Connection], object]:
        def act(matcher: Connection) -> None:
            matcher.compared(reference)
            when.append(BootClock().now_ns())

        return act

    without = replace(kept, inbox=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConsentSite, "plan", property(lambda self: without))
        decisions = consent_site.run(
            (20, report(ADA)), (30, report(ADA)), (60, report(BEN)), more=30
        )

    assert max(consent_site.frames) > when[1] + AT_ONCE_NS
    assert max(consent_site.frames) < when[2] + AT_ONCE_NS
    assert "GD-09" in decisions[-2].rules


def test_a_gallery_flows_while_everybody_in_it_agreed(consent_site: ConsentSite) -> None:
    """Somebody withdraws: blocked, until the matcher reports a gallery without that person."""
    staff = DEVICE.replace('lanes = ["verify_1_1", "detect"]', 'lanes = ["identify_1_n"]')
    session = SESSION.replace("verify_1_1", "identify_1_n").replace("self_only", "consented_staff")
    consent_site.site.sign(staff + "[consent]\nreceipts = true\n", session)
    for name, person in (("r-1", ADA), ("r-2", BEN)):
        receipt = consent_site.receipt(number=name, person=person, lane=Lane.IDENTIFY)
        consent_site.put(f"{name}.token", receipt)
    when: list[int] = []

    def withdraw(matcher: Connection) -> None:
        when.append(consent_site.put("ben.withdrawn", "r-2"))

    def without_ben(matcher: Connection) -> None:
        matcher.gallery([ADA])
        when.append(BootClock().now_ns())

    consent_site.run(
        (0.3, lambda matcher: matcher.gallery([ADA, BEN])),
        (16, withdraw),
        (3.6, without_ben),
        more=75,
    )

    before = [t for t in consent_site.frames if t < when[0]]
    blocked = [t for t in consent_site.frames if when[0] + AT_ONCE_NS < t < when[1]]
    after = [t for t in consent_site.frames if t > when[1]]
    assert (len(before) > 15, len(blocked), len(after) > 0) == (True, 0, True)


def test_what_a_matcher_says_besides_reports_ends_its_connection(
    consent_site: ConsentSite,
) -> None:
    consent_site.put("ada.token", consent_site.receipt())

    def speak(matcher: Connection) -> None:
        matcher._channel.send(json.dumps({"compared": ADA, "name": "Ada"}).encode())

    consent_site.run((0.5, consent_site.claim()), (20, speak), more=60)

    assert 20 <= len(consent_site.frames) < 60
