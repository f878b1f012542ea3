"""The masked lane's page: what was asked and found, pictures, one table a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2

from edge.evaluation.figures import environment
from edge.evaluation.masked.run import Found
from edge.evaluation.report.figure import Figure, counted
from edge.evaluation.report.html import name_of, shell, tables, unused
from edge.evaluation.report.still import small
from edge.evaluation.report.words import Head, verdict
from edge.report.html import facts, image, section, table

_WIDTH = 320  # pixels, of a picture as it left


def head_of(found: Sequence[Found], rows: Sequence[Figure], skipped: Sequence[str]) -> Head:
    """What was asked, on which recordings, and what was found."""
    frames, faces = sum(one.due for one in found), sum(sum(one.faces.values()) for one in found)
    return Head(
        "Asked: if a camera is worn and nobody is enrolled, does every face leave covered, and do "
        "the frames flow?",
        f"Tried on {counted(len(found), 'recording')} through the lane view_masked: "
        f"{frames:,} frames after the dwell, {faces:,} faces looked at again.",
        f"Found: {verdict(rows, skipped)}",
    )


def render(
    found: Sequence[Found], rows: Sequence[Figure], skipped: Sequence[str], head: Head
) -> str:
    """The whole page."""
    return shell(
        head,
        section("As the frames left", f'<div class="stills">{_left(found)}</div>')
        + section("Faces that were missed", _misses(found))
        + tables(rows)
        + section("Details: every recording", _recordings(found))
        + unused(skipped)
        + section("Measured on", facts(environment().items())),
    )


def _left(found: Sequence[Found]) -> str:
    shown = ""
    for one in found:
        if one.left is None:
            picture = "<p>no frame flowed</p>"
        else:
            picture = image(small(one.left, _WIDTH), "jpeg", f"{one.name} as it left the guard")
        faces, missed = sum(one.faces.values()), sum(one.missed.values())
        shown += (
            f"<figure>{picture}<figcaption><b>{name_of(one.name)}</b>"
            f"<div>{one.flowed} of {one.due} frames flowed</div>"
            f"<div>{faces - missed} of {faces} faces covered</div></figcaption></figure>"
        )
    return shown


def _misses(found: Sequence[Found]) -> str:
    """The pictures that `--out` gets as files, too."""
    shown = ""
    for one in found:
        for number, picture in enumerate(one.misses, 1):
            data = cv2.imencode(".png", picture)[1].tobytes()
            shown += (
                f"<figure>{image(data, 'png', f'Missed face {number} of {one.name}, boxed')}"
                f"<figcaption><b>{name_of(one.name)}</b></figcaption></figure>"
            )
    if shown:
        return (
            "<p>Boxed in red, as they would have left. These faces are in clear: keep the page "
            f'to yourself.</p><div class="stills">{shown}</div>'
        )
    looked = any(any(one.faces.values()) for one in found)
    return "<p>None.</p>" if looked else "<p>No face was seen, so none could be missed.</p>"


def _recordings(found: Sequence[Found]) -> str:
    def by_size(faces: Mapping[int, int]) -> str:
        return ", ".join(f"{count} of {size} px" for size, count in faces.items())

    heads = ["Recording", "Frames after the dwell", "Flowed", "As a grid", "Faces", "Missed"]
    rows = [
        [
            one.name,
            *map(str, (one.due, one.flowed, one.grids)),
            *map(by_size, (one.faces, one.missed)),
        ]
        for one in found
    ]
    return table(heads, rows)
