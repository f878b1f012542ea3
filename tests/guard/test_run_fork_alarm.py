"""A whole guard whose record names the courier's alarm: frames flow until it is raised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import UsageError
from edge.guard.plan import Plan
from edge.guard.supervisor import Guard
from edge.reasons import Reason
from edge.report.record import Outcome
from framegate_client.connection import Connection
from tests.support.guards import DEVICE, Site, site

pytestmark = pytest.mark.guard


@pytest.fixture
def kiosk(tmp_path: Path, lived_in: Callable[[int], Path], face_model: Path) -> Site:
    clip = lived_in(150)
    made = site(tmp_path / "site", clip, clip, face_model)
    made.sign(f'{DEVICE}[witness]\nalarm = "courier/checkpoint.forked"\n')
    return made


def test_frames_flow_until_a_fork_and_none_after_it(kiosk: Site) -> None:
    plan = Plan(
        str(kiosk.clip),
        kiosk.device,
        kiosk.session,
        kiosk.store.directory,
        audit=kiosk.folder / "audit",
    )
    with pytest.raises(UsageError, match="expected a file in a folder that is there"):
        Guard(plan, lambda line: None)
    alarm = kiosk.folder / "courier" / "checkpoint.forked"
    alarm.parent.mkdir()

    with Guard(replace(plan), lambda line: None) as guard:
        matcher = Connection(*guard.environment.values())
        while not guard.over:
            guard.turn()
            passed = sum(d.verdict is Outcome.PASS for d in guard.recorder.decisions)
            if passed > 10 and not alarm.exists():
                alarm.write_text("{}")
            forked = sum(Reason.LOG_FORKED in d.reasons for d in guard.recorder.decisions)
            if forked > 30:
                break
        matcher.close()

    decisions = sorted(guard.recorder.decisions, key=lambda d: d.frame)
    first = next(i for i, d in enumerate(decisions) if Reason.LOG_FORKED in d.reasons)
    assert any(d.verdict is Outcome.PASS for d in decisions[:first])
    assert all(d.verdict is Outcome.BLOCK for d in decisions[first:])
    assert len(decisions) - first > 10
