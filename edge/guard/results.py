"""What a run of the guard leaves behind: decisions, summary, report, verified log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge.audit.note import Verifier
from edge.audit.proofs.verify import verify_log
from edge.cameras.source import parse_source
from edge.clock import S
from edge.errors import AuditError
from edge.guard.run_log import RunLog
from edge.guard.supervisor import Guard
from edge.report.page import write_report
from edge.report.record import GateTimes, SceneRecord, Summary, summarise, write_summary
from edge.report.rule_notes import notes_for
from edge.view.view_file import ViewFile


def finish_run(guard: Guard, out: Path, log: RunLog | None = None) -> Summary:
    """Write a finished guard's results into `out` and return the summary of the whole run."""
    record = scene_record(guard, name=out.name, footage=parse_source(guard.plan.source).shown)
    log = log or RunLog(out)
    summary = log.finish(record.decisions, record.summary)
    if log.frames:
        note = f"The time line shows the newest {len(record.decisions)} of {summary.frames} frames."
        record = replace(record, notes=(*record.notes, note))
    write_summary(out / "summary.json", summary)
    write_report(out / "report.html", [replace(record, summary=summary)])
    return summary


def scene_record(guard: Guard, *, name: str, footage: str, must_happen: str = "") -> SceneRecord:
    """A finished guard's run as the report wants it; the log must be complete by now."""
    decisions, readings, changes = guard.recorder.finish()
    span_s = decisions[-1].captured_ns / S if decisions else 0.0
    views, note = guard.recorder.views, guard.source_note
    enrolment = ViewFile.from_bytes(guard.view).enrolment.value if guard.view else None
    summary = summarise(
        decisions,
        context_changes=tuple(changes),
        dwell_s=guard.device.dwell_s,
        gate_us=GateTimes.of(guard.recorder.gate_ns),
        evidence_hz=round(views / span_s, 3) if span_s else None,
        audit_verified=verified(guard.plan.audit, guard.store.log_verifier()),
        release=guard.plan.release,
        enrolment=enrolment,
        board=guard.board_kind.value,
        not_judged=note.lost if note is not None else 0,
        recording=note.words if note is not None else "",
    )
    return SceneRecord(
        name=name,
        footage=footage,
        must_happen=must_happen,
        decisions=decisions,
        summary=summary,
        readings=readings,
        rules=notes_for(guard.policy, (rule for d in decisions for rule in d.rules)),
    )


def verified(audit: Path, key: Verifier) -> bool:
    """Whether the log in `audit` verifies from end to end."""
    try:
        verify_log(audit, key)
    except AuditError:
        return False
    return True
