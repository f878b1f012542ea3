"""The whole guard, run for real, under policy bundles, and against older policies and logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.audit.proofs.verify import verify_log
from edge.cli import main
from edge.clock import S
from edge.commissioning.keys import read_verifier
from edge.errors import GuardError, PolicyError
from edge.guard.supervisor import Guard
from edge.models import SCENE
from edge.reasons import Reason
from edge.report.record import FrameDecision
from tests.support.guard_runs import finished, flowing, plan, quiet, released
from tests.support.guards import Line, Site

pytestmark = pytest.mark.guard


def test_a_log_shorter_than_the_board_remembers_is_refused(kiosk: Site, tmp_path: Path) -> None:
    line = Line(kiosk.store.board_key())
    outcomes = []
    try:
        for audit, run in (("first", flowing), ("from an old card", finished), ("first", flowing)):
            chosen = replace(plan(kiosk), board=line.port, audit=tmp_path / audit)
            outcomes.append(run(chosen))
    finally:
        line.close()

    before, shorter, after = outcomes
    assert released(before)
    assert not released(shorter)
    assert any(Reason.LOG_ROLLBACK in d.reasons for d in shorter)
    assert not any(Reason.STATE_ROLLBACK in d.reasons for d in shorter)
    assert released(after)


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., Path]:
    """Installs a bundle built with these arguments as an operator would; returns the folder."""

    def policy(*arguments: str) -> None:
        assert main(["policy", *arguments]) == 0

    def install(*arguments: str, version: int = 7) -> Path:
        keys, bundle = tmp_path / "policy-keys", tmp_path / f"p{version}.json"
        store = tmp_path / f"policy-{version}"
        if not keys.is_dir():
            policy("keygen", "ann", "bob", "cyd", "--out", str(keys))
        if store.is_dir():
            return store
        public = [str(keys / f"{name}.pub") for name in ("ann", "bob", "cyd")]
        policy(
            *("build", "--pack", "strict", "--version", str(version), "--days", "9", *arguments),
            *("--key", *public, "--threshold", "2", "--out", str(bundle)),
        )
        for name in ("ann", "cyd"):
            policy("sign", str(bundle), "--with", str(keys / f"{name}.key"))
        policy("install", str(bundle), "--state", str(store), "--key", *public, "--threshold", "2")
        return store

    return install


def test_a_guard_runs_under_an_installed_bundle_with_its_dwell_and_not_without_one(
    kiosk: Site, install: Callable[..., Path], face_model: Path
) -> None:
    """The record asks for a dwell of 1 s."""
    models = ("--model", str(face_model), str(SCENE))
    store = install(*models, "--limit", "min_view_score=0.81", "dwell_s=2")

    decisions = sorted(flowing(replace(plan(kiosk), policy=store)), key=lambda d: d.frame)
    (first, *_) = released(decisions)
    assert first.captured_ns - decisions[0].captured_ns >= 2 * S
    (store / "bundle.json").unlink()
    with pytest.raises(PolicyError, match="no policy is installed"):
        Guard(replace(plan(kiosk), policy=store), quiet)


@pytest.mark.timeout(300)  # several whole runs
def test_the_log_remembers_the_newest_policy_and_an_older_one_starts_nothing(
    kiosk: Site, install: Callable[..., Path], tmp_path: Path
) -> None:
    """As after a restored disk: the same log, and a policy folder from before, or none at all."""

    def start(version: int | None) -> list[FrameDecision]:
        store = tmp_path / "none" if version is None else install(version=version)
        return flowing(replace(plan(kiosk), policy=store, audit=tmp_path / "audit"))

    assert released(start(7))
    with pytest.raises(GuardError, match="POLICY_ROLLBACK: it is version 6, version 7 was seen"):
        start(6)
    with pytest.raises(GuardError, match="POLICY_ROLLBACK: version 7 was in force"):
        start(None)
    assert released(start(8))

    floors: list[int] = []

    def keep(index: int, _: bytes, fields: dict[str, Any]) -> None:
        if fields["kind"] == "floor":
            floors.append(fields["policy_version"])

    verify_log(tmp_path / "audit", read_verifier(tmp_path / "audit" / "log.pub"), on_entry=keep)
    assert floors == [7, 8]


@pytest.mark.timeout(300)  # several whole runs
@pytest.mark.parametrize(
    "version", [6, pytest.param(None, marks=pytest.mark.long)], ids=["older", "shipped"]
)
def test_a_policy_older_than_the_board_remembers_blocks_every_frame(
    kiosk: Site, install: Callable[..., Path], tmp_path: Path, version: int | None
) -> None:
    line = Line(kiosk.store.board_key())
    try:
        for number, again, run in ((7, "a", flowing), (version, "b", finished)):
            flows = run is flowing
            store = tmp_path / "none" if number is None else install(version=number)
            chosen = replace(plan(kiosk), policy=store, board=line.port, audit=tmp_path / again)
            decisions = run(chosen)
            assert bool(released(decisions)) is flows, number
            for reason in (Reason.POLICY_ROLLBACK, Reason.STATE_ROLLBACK):  # the log is too short
                refused = any(reason in d.reasons for d in decisions)
                assert refused is not flows, number
    finally:
        line.close()


def test_a_model_that_the_bundle_does_not_name_starts_nothing(
    kiosk: Site, install: Callable[..., Path], face_model: Path
) -> None:
    store = install("--model", str(face_model))  # and not the scene model

    with pytest.raises(PolicyError, match=r"MODEL_DIGEST: .*scene\.onnx is not the model"):
        Guard(replace(plan(kiosk), policy=store), quiet)
