"""Snapshots for the status page, and helpers that read the page."""

from __future__ import annotations

import contextlib
import http.client
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.schema import Context
from edge.clock import S
from edge.decision.judge import Outlook
from edge.errors import AuditError
from edge.evidence.readings import Reading, Source
from edge.frames.messages import Resolved
from edge.guard.recorder import Recorder
from edge.heartbeat import LEASED, Beats
from edge.reasons import Reason
from edge.report.record import FrameDecision, Outcome, RuleNote
from edge.status.snapshot import Facts, Ledger, snapshot
from edge.status.web import Site
from tests.support.audit_helpers import permit, start

NOW = 10_000 * S


LOG_KEY = Signer.generate("framegate-test/log")


WALL_S = 1_790_000_000.0


FACTS = Facts(
    version="0.1.0",
    camera="0",
    lane="verify_1_1",
    site="till-2",
    pack="strict",
    policy="ab" * 32,
    release="bracketed",
    dwell_s=3.0,
    audit="/var/a",
    left_out=(),
    board=True,
    board_kind="real",
    board_at="/dev/ttyACM0",
)


NOTES = {"MS-02": RuleNote("MS-02", "forbid", "No <mobile> cameras & crowds", "A source", "own")}


PASSED = FrameDecision(1, NOW, Outcome.PASS, Context.CONTROLLED, (), ("FA-03",))


STOPPED = FrameDecision(
    2, NOW - 2 * S, Outcome.BLOCK, Context.UNCONTROLLED, (Reason.VIEW_FOREIGN,), ()
)


def ledger() -> Ledger:
    found = Ledger(WALL_S - 60)
    found.add([PASSED, STOPPED], [250_000, 12_000_000])
    return found


def sample(
    *,
    permitted: bool = False,
    phase: str = "running",
    lost: Reason | None = None,
    frame_ago_s: float = 0.0,
    **more: Any,
) -> dict[str, Any]:
    """A snapshot of a guard that blocks, or passes; `lost` is why the gate withholds."""
    reasons = () if permitted else (Reason.VIEW_FOREIGN, Reason.POLICY_DENY)
    setting = Context.CONTROLLED if permitted else Context.UNCONTROLLED
    recorder = Recorder(outlook=Outlook(setting, permitted, reasons, ("MS-02",)), outlook_ns=NOW)
    recorder.resolved([Resolved(7, NOW - round(frame_ago_s * S), lost, 1, 1000)])
    for source in (Source.DOCK, Source.VIEW):
        why = () if permitted or source is Source.DOCK else (Reason.VIEW_FOREIGN,)
        recorder.newest[source] = Reading(source, NOW - S // 2, why)
    beats = Beats.create()
    for role in LEASED:
        beats.beat(role, NOW - 5_000_000)
    book = ledger()
    book.note(recorder, NOW, WALL_S)
    return snapshot(
        phase,
        book,
        now_ns=NOW,
        wall_s=WALL_S,
        recorder=recorder,
        beats=beats,
        facts=FACTS,
        notes=NOTES,
        **{"verified": True, **more},
    )


def no_log(checkpoint: str, index: int) -> str:
    raise AuditError("the log's files are gone")


def signed(audit: Path) -> dict[str, Any]:
    """A snapshot of a guard whose log, in `audit`, has a permit as its entry 1."""
    log = AuditLog.create_or_open(audit, LOG_KEY)
    for entry in (start(), permit(60)):
        log.append(entry, durable=True)
    found = sample(permitted=True)
    found["transitions"][0]["entry"] = 1
    found["checkpoint"] = log.checkpoint
    log.close()
    return found


def ask(
    snapshot_: dict[str, Any] | None,
    path: str = "/",
    *,
    age_s: float = 0.1,
    method: str = "GET",
    host: str = "127.0.0.1:8321",
) -> tuple[str, dict[str, str], str]:
    """(status, headers, body) of one request."""
    answered: list[Any] = []
    site = Site(lambda: None if snapshot_ is None else (age_s, snapshot_), no_log)
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": host}
    body = b"".join(site(environ, lambda *given: answered.append(given)))
    return answered[0][0], dict(answered[0][1]), body.decode()


class Page(HTMLParser):
    """Tags seen, ids, and every address that a browser would fetch by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster") or (tag == "link" and name == "href"):
                self.fetched.append(str(value))
            if name == "id":
                self.ids.append(str(value))


def status_code(port: int, path: str) -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as client:
        try:
            client.request("GET", path)
            return client.getresponse().status
        except OSError:
            return 0
