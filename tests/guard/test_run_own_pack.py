"""A whole guard under a customer's own pack: what it forbids is blocked, the rest flows."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.audit.proofs.verify import verify_log
from edge.commissioning.keys import read_verifier
from edge.daemon.settings import load_settings
from edge.guard.recorder import Recorder
from edge.guard.supervisor import Guard
from edge.policy.engine import Policy
from edge.policy.signed.store import PolicyStore
from edge.reasons import Reason
from edge.report.record import Outcome
from edge.version import BUILT_S, VERSION
from framegate_client.connection import Connection
from tests.policy.test_bundle_by_path import RULES
from tests.support.bundles import ANN, CYD, DAY_S, ROOT, make_bundle, sign_all
from tests.support.guards import DEVICE, SESSION, Site, site

pytestmark = pytest.mark.guard

SWISS = DEVICE.replace('jurisdiction = "EU"', 'jurisdiction = "CH"')
STAFF = SESSION.replace('gallery = "self_only"', 'gallery = "consented_staff"')


@pytest.fixture
def kiosk(tmp_path: Path, lived_in: Callable[[int], Path], face_model: Path) -> Site:
    """A Swiss till whose `guard.toml` names the maker's own pack by its bundle."""
    clip = lived_in(90)
    made = site(tmp_path / "site", clip, clip, face_model)
    until_s = int(time.time()) + DAY_S
    first = make_bundle(issued_s=BUILT_S - 2, expires_s=until_s)
    store = PolicyStore(made.folder / "policy")
    store.install(sign_all(first, ANN, CYD), wall_s=int(time.time()), guard=VERSION, trust=ROOT)
    own = make_bundle(version=2, files=RULES, issued_s=BUILT_S, expires_s=until_s)
    (made.folder / "swiss.json").write_bytes(sign_all(own, ANN, CYD))
    (made.folder / "guard.toml").write_text(
        f'source = "{clip}"\ndevice = "D.toml"\nsession = "S.toml"\nkeys = "keys"\n'
        'pack = "swiss.json"\npolicy = "policy"\n[status]\nlisten = ""\n'
    )
    return made


def finished(kiosk: Site) -> Recorder:
    """Run a guard of the site's `guard.toml` to the end of its footage, a matcher connected."""
    plan = load_settings(kiosk.folder / "guard.toml").plan
    with Guard(plan, lambda line: None) as guard:
        matcher = Connection(*guard.environment.values())
        guard.run()
        matcher.close()
    return guard.recorder


def test_frames_flow_under_an_own_pack_and_a_session_that_it_forbids_gets_none(kiosk: Site) -> None:
    kiosk.sign(SWISS, SESSION)
    allowed = finished(kiosk).decisions
    kiosk.sign(SWISS, STAFF)
    forbidden = finished(kiosk).decisions

    assert sum(d.verdict is Outcome.PASS for d in allowed) > 10
    assert all(d.verdict is Outcome.BLOCK for d in forbidden)
    denied = [d for d in forbidden if Reason.POLICY_DENY in d.reasons]
    assert {rule for d in denied for rule in d.rules} == {"CH-01"}
    assert "CH-01" not in {rule.id for rule in Policy.load("strict").rules}
    packs: list[str] = []

    def keep(index: int, _: bytes, fields: dict[str, object]) -> None:
        if fields["kind"] == "start":
            packs.append(str(fields["pack"]))

    audit = kiosk.folder / "audit"
    verify_log(audit, read_verifier(audit / "log.pub"), on_entry=keep)
    assert packs == ["swiss", "swiss"]
