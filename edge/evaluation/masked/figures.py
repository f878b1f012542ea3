"""The figures of the masked lane, from what its recordings showed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from edge.evaluation.bounds import upper
from edge.evaluation.masked.cost import costs
from edge.evaluation.masked.run import SIZES, Found
from edge.evaluation.report.figure import Figure, Question, none_at_all, reported, share

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
    name = f"faces of {size} px and more that were covered"
    note, why = f"{faces} faces, {len(found)} recordings", "no face of this size was seen"
    covered = share(question, name, faces - missed, faces, least=least, note=note, why=why)
    if not faces:
        return [covered]
    name = f"faces of {size} px and more that may be missed, at 95 % confidence"
    note = f"at most; from {missed} of {faces} faces"
    bound = round(100 * upper(missed, faces), 2)
    return [covered, reported(question, name, bound, "%", note)]


def _flowing(found: Sequence[Found]) -> list[Figure]:
    due, flowed = sum(one.due for one in found), sum(one.flowed for one in found)
    part = partial(share, Question.FLOWING)
    name, why = "frames that flowed after the dwell", "every recording is over before the dwell"
    first = part(name, flowed, due, least=_FLOWING, note=f"of {due} frames", why=why)
    if not due:
        return [first]
    name = "flowing frames that were a coarse grid, because people were in doubt"
    grids, note = sum(one.grids for one in found), f"of {flowed} frames"
    return [first, part(name, grids, flowed, note=note, why="no frame flowed")]


def _recognised(found: Sequence[Found], no_adversary: str) -> list[Figure]:
    """A recogniser as it is used, and one that is told where each face is."""
    return [*_used(found, no_adversary), *_with_places(found, no_adversary)]


def _used(found: Sequence[Found], no_adversary: str) -> list[Figure]:
    question, name = Question.RECOGNISED, "masked faces that a face recogniser finds and knows"
    used, again = sum(f.used for f in found), sum(f.masked_used for f in found)
    if no_adversary or not used:
        why = no_adversary or "it found and knew no face in the clear pictures"
        return [none_at_all(question, name, 0, "faces", why=why)]
    note = f"of {used} that it found and knew in the clear, at its usual thresholds"
    rows = [none_at_all(question, name, again, "faces", note=note)]
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
        return [none_at_all(question, name, 0, "faces", why=why)]
    note = f"of {known} that it tells from the others and from plain grey, in the clear"
    rows = [none_at_all(question, name, again, "faces", note=note)]
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
