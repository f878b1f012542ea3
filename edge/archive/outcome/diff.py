"""What another policy would change: two lists of decisions on the same frames, compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edge.policy.engine import Policy
from edge.report.html import Markup, escape, file_page, table
from edge.report.record import FrameDecision, RuleNote
from edge.report.record import Outcome as FrameOutcome
from edge.report.rule_notes import notes_for


@dataclass(frozen=True, slots=True)
class Change:
    """Frames of one recording whose verdict changes, and what blocks them on one side."""

    opens: bool  # blocked before, pass then; else the other way round
    by: tuple[str, ...]  # the rules that block, or the reasons where no rule does
    frames: int
    first_s: float  # of the first such frame, from the recording's first


@dataclass(frozen=True, slots=True)
class Compared:
    """One recording under two packs."""

    name: str
    frames: int
    passed: tuple[int, int]
    changes: tuple[Change, ...]
    signature: str  # whether the camera signed it


def compare(
    name: str, before: Sequence[FrameDecision], after: Sequence[FrameDecision], signature: str
) -> Compared:
    """Compare two lists of decisions on the same frames, in order.

    Args:
        signature: whether the camera signed the recording, in words.

    Raises:
        ValueError: they are not of the same frames.
    """
    counts: Counter[tuple[bool, tuple[str, ...]]] = Counter()
    first_s: dict[tuple[bool, tuple[str, ...]], float] = {}
    start_ns = before[0].captured_ns if before else 0
    for one, other in zip(before, after, strict=True):
        if one.frame != other.frame or one.captured_ns != other.captured_ns:
            raise ValueError(f"{name}: expected decisions on the same frames")
        if one.verdict is other.verdict:
            continue
        opens = other.verdict is FrameOutcome.PASS
        blocking = one if opens else other
        kind = opens, blocking.rules or tuple(reason.value for reason in blocking.reasons)
        counts[kind] += 1
        first_s.setdefault(kind, (one.captured_ns - start_ns) / 1e9)
    changes = (Change(*kind, count, first_s[kind]) for kind, count in counts.most_common())
    passed = (_passed(before), _passed(after))
    return Compared(name, len(before), passed, tuple(changes), signature)


def _passed(decisions: Sequence[FrameDecision]) -> int:
    return sum(one.verdict is FrameOutcome.PASS for one in decisions)


def in_words(change: Change) -> str:
    """A change in words."""
    what = "pass that were blocked by" if change.opens else "are blocked now by"
    return f"{change.frames} frames {what} {', '.join(change.by)}, from {change.first_s:.1f} s on"


def page(packs: tuple[str, str], found: Sequence[Compared], policies: Sequence[Policy]) -> str:
    """The comparison as one HTML page, with what each rule says."""
    changed = [one for one in found if one.changes]
    rows = [
        [one.name, *map(str, (one.frames, *one.passed)), _cell(one.changes), one.signature]
        for one in sorted(found, key=lambda one: -sum(c.frames for c in one.changes))
    ]
    passed = (f"pass, {pack}" for pack in packs)
    heads = ["recording", "frames", *passed, "what changes", "camera's signature"]
    frames = sum(c.frames for one in found for c in one.changes)
    title = f"What changes from {packs[0]} to {packs[1]}"
    return file_page(
        title,
        f"<header><h1>{escape(title)}</h1></header><main>"
        f"<p><strong>{frames} frames change, in {len(changed)} of {len(found)} recordings."
        "</strong> A frame passes if a face matcher would have received it. Nothing was released "
        "to anybody here: the recordings were judged again from what was seen of them.</p>"
        f"{table(heads, rows, numbers=(1, 2, 3))}{_rules(found, policies)}</main>",
    )


def _cell(changes: Sequence[Change]) -> Markup:
    return Markup("<br>".join(escape(in_words(change)) for change in changes) or "nothing")


def _rules(found: Sequence[Compared], policies: Sequence[Policy]) -> str:
    """What the rules that block say, by the policy that has them."""
    named = sorted({by for one in found for change in one.changes for by in change.by})
    notes: dict[str, RuleNote] = {}
    for policy in policies:
        notes |= notes_for(policy, named)
    if not notes:
        return ""
    items = "".join(
        f"<li><b>{escape(name)}</b> <q>{escape(note.says)}</q> "
        f"<small>{escape(note.source)}</small></li>"
        for name, note in sorted(notes.items())
    )
    return f"<h2>The rules</h2><ul>{items}</ul>"
