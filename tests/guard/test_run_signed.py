"""The whole guard, run for real: cameras and records that are not the signed ones."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.cameras.recording_file import file_sha256
from edge.commissioning.keys import KeyStore, Office, RecordKind
from edge.errors import CameraError, GuardError, SignatureError
from edge.guard.supervisor import Guard
from edge.reasons import Reason
from edge.view.view_file import SceneCheck, ViewFile
from tests.support.guard_runs import finished, flowing, plan, quiet, released
from tests.support.guards import SESSION, Site

pytestmark = pytest.mark.guard


def test_another_camera_in_its_place_between_two_starts_gets_nothing_and_the_right_one_does(
    kiosk: Site, lived_in: Callable[..., Path], tmp_path: Path
) -> None:
    """The source keeps its name; what stands behind it is exchanged, and put back.

    The record does not name the other file: the message says what to add.
    """
    place = tmp_path / "camera.avi"
    other = lived_in(60, seed=2)
    cure = f'add virtual_sha256 = ["{file_sha256(other)}"] under [identity] of {kiosk.device}'

    for camera, run in ((kiosk.clip, flowing), (other, finished), (kiosk.clip, flowing)):
        flows = run is flowing
        shutil.copyfile(camera, place)
        lines: list[str] = []
        chosen = replace(plan(kiosk), source=str(place), audit=tmp_path / "audit")
        decisions = run(chosen, lines.append)
        assert bool(released(decisions)) is flows
        assert any("GD-05" in line and cure in line for line in lines) is not flows
        assert any(Reason.CAM_IDENTITY in d.reasons for d in decisions) is not flows
        assert all(Reason.CAM_IDENTITY in d.reasons for d in decisions[10:]) is not flows


def test_unsigned_or_altered_records_do_not_run(kiosk: Site) -> None:
    kiosk.session.write_text(SESSION.replace("valid", "none"))

    with pytest.raises(SignatureError, match=r"S\.toml"):
        Guard(plan(kiosk), quiet)


def test_a_missing_camera_ends_the_start_with_its_own_words(kiosk: Site, tmp_path: Path) -> None:
    with (
        pytest.raises(CameraError, match="no-such"),
        Guard(replace(plan(kiosk), source=str(tmp_path / "no-such.mp4")), quiet),
    ):
        pass


def test_a_port_that_is_no_board_leaves_the_guard_blocked(kiosk: Site) -> None:
    master, slave = os.openpty()
    try:
        with Guard(replace(plan(kiosk), board=os.ttyname(slave)), quiet) as guard:
            guard.run()
            decisions = guard.recorder.decisions
    except GuardError:
        decisions = []
    finally:
        os.close(master)
        os.close(slave)

    assert decisions
    assert not released(decisions)
    assert any(Reason.LINK_LOST in d.reasons for d in decisions)


def test_a_view_that_was_overridden_needs_its_second_signature_at_run_time(
    kiosk: Site, tmp_path: Path
) -> None:
    view = kiosk.folder / "site.view"
    overridden = replace(ViewFile.from_bytes(view.read_bytes()), scene=SceneCheck.OVERRIDDEN)
    view.write_bytes(overridden.to_bytes())
    kiosk.store.sign_file(view, RecordKind.VIEW)
    second = KeyStore.init(tmp_path / "second")
    with pytest.raises(SignatureError, match=r"expected site\.view\.override\.sig beside it"):
        Guard(plan(kiosk), quiet)

    kiosk.store.sign_file(view, RecordKind.VIEW)
    beside = view.with_name("site.view.override.sig")
    beside.write_bytes(view.with_name("site.view.sig").read_bytes())  # one holder, twice
    kiosk.store.trust(Office.OVERRIDE, kiosk.store.directory / "record.pub")
    with pytest.raises(SignatureError, match="keys trust override"):
        Guard(plan(kiosk), quiet)

    scratch = tmp_path / "copy.view"
    scratch.write_bytes(view.read_bytes())
    beside.write_bytes(second.sign_file(scratch, RecordKind.VIEW).read_bytes())
    with pytest.raises(SignatureError, match="keys trust override"):
        Guard(plan(kiosk), quiet)

    kiosk.store.trust(Office.OVERRIDE, second.directory / "record.pub")
    assert released(flowing(plan(kiosk)))
