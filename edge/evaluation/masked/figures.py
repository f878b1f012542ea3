"""The figures of the masked lane, from what its recordings showed."""

from __future__ import annotations

from collections.abc import Sequence

from edge.evaluation.bounds import upper
from edge.evaluation.masked.cost import costs
from edge.evaluation.masked.run import SIZES, Found
from edge.evaluation.report.figure import Figure, Question, asked, not_tried, reported

_COVERED = {24: 0.995, 12: 0.97}  # of the faces of this height and more, in pixels
_FLOWING = 0.99


def figures(found: Sequence[Found], no_adversary: str) -> list[Figure]:
    """Every figure; one without trials is not tried, and says why."""
    rows = []
    for size in sorted(SIZES, reverse=True):
        rows += _covered(size, found)
    return [*rows, *_recognised(found, no_adversary), *_flowing(found), *costs()]


def _covered(size: int, found: Sequence[Found]) -> list[Figure]:
    """Of the faces of one height and more."""
    question = Question.COVERED
    faces = sum(one.faces[at] for one in found for at in SIZES if at >= size)
    missed = sum(one.missed[at] for one in found for at in SIZES if at >= size)
    least = _COVERED.get(size)
    target = f">= {100 * least:g}" if least is not None else "reported"
    name = f"faces of {size} px and more that were covered"
    if not faces:
        return [not_tried(question, name, target, "%", "no face of this size was seen")]
    share = 1 - missed / faces
    value, note = round(100 * share, 2), f"{faces} faces, {len(found)} recordings"
    bound = reported(
        question,
        f"faces of {size} px and more that may be missed, at 95 % confidence",
        round(100 * upper(missed, faces), 2),
        "%",
        f"at most; from {missed} of {faces} faces",
    )
    if least is None:
        return [reported(question, name, value, "%", note), bound]
    return [asked(question, name, value, target, "%", holds=share >= least, note=note), bound]


def _flowing(found: Sequence[Found]) -> list[Figure]:
    due, flowed = sum(one.due for one in found), sum(one.flowed for one in found)
    name, target = "frames that flowed after the dwell", f">= {100 * _FLOWING:g}"
    if not due:
        why = "every recording is over before the dwell"
        return [not_tried(Question.FLOWING, name, target, "%", why)]
    value, holds = round(100 * flowed / due, 2), flowed >= _FLOWING * due
    note = f"of {due} frames"
    rows = [asked(Question.FLOWING, name, value, target, "%", holds=holds, note=note)]
    name = "flowing frames that were a coarse grid, because people were in doubt"
    if not flowed:
        return [*rows, not_tried(Question.FLOWING, name, "reported", "%", "no frame flowed")]
    grids = round(100 * sum(one.grids for one in found) / flowed, 2)
    return [*rows, reported(Question.FLOWING, name, grids, "%", f"of {flowed} frames")]


def _recognised(found: Sequence[Found], no_adversary: str) -> list[Figure]:
    """A recogniser as it is used, and one that is told where each face is."""
    return [*_used(found, no_adversary), *_with_places(found, no_adversary)]


def _used(found: Sequence[Found], no_adversary: str) -> list[Figure]:
    question, name = Question.RECOGNISED, "masked faces that a face recogniser finds and knows"
    used, again = sum(f.used for f in found), sum(f.masked_used for f in found)
    if no_adversary or not used:
        why = no_adversary or "it found and knew no face in the clear pictures"
        return [not_tried(question, name, "0", "faces", why)]
    note = f"of {used} that it found and knew in the clear, at its usual thresholds"
    rows = [asked(question, name, again, "0", "faces", holds=again == 0, note=note)]
    large = sum(f.large for f in found)
    for where, seen in (
        ("clear", sum(f.detected for f in found)),
        ("masked", sum(f.masked_detected for f in found)),
    ):
        name = f"{where} faces that its own detector finds"
        rows.append(reported(question, name, seen, "faces", f"of {large}"))
    return rows


def _with_places(found: Sequence[Found], no_adversary: str) -> list[Figure]:
    question, name = Question.RECOGNISED, "masked faces that it knows again, told where they are"
    known, again = sum(f.known for f in found), sum(f.masked_known for f in found)
    others, chance = sum(f.others for f in found), sum(f.masked_others for f in found)
    bare = sum(f.bare for f in found)
    if no_adversary or not known:
        why = no_adversary or "it knew no face in the clear pictures"
        return [not_tried(question, name, "0", "faces", why)]
    note = f"of {known} that it tells from the others and from plain grey, in the clear"
    rows = [asked(question, name, again, "0", "faces", holds=again == 0, note=note)]
    alone = sum(f.masked_alone for f in found)
    name = "masked faces that it knows again and takes for nobody else, told where they are"
    rows.append(reported(question, name, alone, "faces", note))
    for what, matched in (
        ("masked faces", sum(f.masked_bare for f in found)),
        ("plain grey pictures", sum(f.grey_bare for f in found)),
    ):
        name = f"{what} that it takes for the person, without a control"
        rows.append(reported(question, name, matched, "faces", f"of {bare}, told where each is"))
    if others:
        name = "masked faces that it takes for somebody else"
        rows.append(
            reported(question, name, chance, "pairs", f"of {others} pairs: what chance gives")
        )
    return rows
