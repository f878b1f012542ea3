"""Two matchers under one daemon: a forbidden one gets nothing, until its record permits it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.audit.proofs.verify import verify_log
from edge.commissioning.keys import RecordKind
from edge.sandbox.spec import NOBODY
from tests.support import render
from tests.support.daemons import Daemon, daemon, until
from tests.support.guards import DEVICE, Site, site

pytestmark = [pytest.mark.guard, pytest.mark.slow]

FORBIDDEN = 'operation = "infer_emotion"\ngallery = "none"\n'
PERMITTED = 'operation = "detect"\ngallery = "none"\n'


def snapshot(guard: Daemon) -> dict[str, Any]:
    code, body = guard.get("/status.json")
    found: dict[str, Any] = json.loads(body) if code == 200 else {}
    return found


def released(guard: Daemon) -> tuple[int, int, bool]:
    """(frames that the first matcher got, that the other got, whether the other is permitted)."""
    if not (found := snapshot(guard)):
        return 0, 0, False
    (other,) = found["also"]
    return found["frames"]["released"], other["frames"]["released"], other["permitted"]


def test_one_that_is_forbidden_gets_nothing_and_after_a_reload_what_its_new_record_permits(
    tmp_path: Path, face_model: Path
) -> None:
    clip = render.write_clip(tmp_path / "room.avi", render.lived_in(render.room(), 900))
    kiosk = site(tmp_path / "site", clip, clip, face_model)
    kiosk.sign(DEVICE.replace('"detect"', '"detect", "infer_emotion"'))
    record, seen = kiosk.folder / "other.toml", seen_by_the_other(kiosk)
    sign(kiosk, record, FORBIDDEN)
    counts = json.dumps([sys.executable, "-m", "framegate_client.counter", str(seen)])
    also = f'[[also]]\nsession = "other.toml"\nwrite = ["other"]\ncommand = {counts}\n'

    with daemon(kiosk, also=also) as guard:
        until(lambda: released(guard)[0] > 30, "frames for the first")
        found = snapshot(guard)
        (other,) = found["also"]
        assert (other["name"], other["lane"]) == ("other", "infer_emotion")
        assert other["frames"]["released"] == 0 < other["frames"]["blocked"]
        assert other["permitted"] is False and other["reasons"]
        assert guard.ready()  # one that is forbidden for a reason is well
        assert re.search(
            r'also_permitted\{lane="infer_emotion",matcher="other"\} 0', guard.get("/metrics")[1]
        )

        sign(kiosk, record, PERMITTED)
        guard.process.send_signal(signal.SIGHUP)
        until(lambda: released(guard)[2], "frames for the other, as its new record permits")
        assert snapshot(guard)["also"][0]["lane"] == "detect"
        assert json.loads(seen.read_text())["received"] == 0  # as the one before it counted

        assert guard.stop() == 0

    first = json.loads((kiosk.folder / "matcher" / "received.json").read_text())
    assert first["captured_ns"] and json.loads(seen.read_text())["captured_ns"]
    for log in (kiosk.folder / "audit", kiosk.folder / "also" / "other" / "audit"):
        verify_log(log, kiosk.store.log_verifier())


def seen_by_the_other(kiosk: Site) -> Path:
    """Where the other matcher writes what it got."""
    room = kiosk.folder / "other"
    room.mkdir()
    if os.getuid() == 0:
        os.chown(room, NOBODY, NOBODY)
    return room / "received.json"


def sign(kiosk: Site, record: Path, text: str) -> None:
    record.write_text(text)
    kiosk.store.sign_file(record, RecordKind.SESSION)
