"""`framegate camera mask`: draw the places that no lane shows, by numbers, on a still."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any

from edge.commands._options import Actions
from edge.errors import meaning

DESCRIPTION = """\
Draw fixed masks by numbers on a still of the camera: prints the lines for the device record, and
writes a picture of what every lane would show. Nothing is signed."""
EXAMPLES = """\
examples:
  framegate camera mask --source 0 --polygon 0,0 0.3,0 0.3,0.4 0,0.4 --out preview.png
  framegate camera mask --still hall.png --polygon 0.5,0.2 0.7,0.2 0.7,0.6 \\
      --polygon 0,0.9 1,0.9 1,1 0,1

A corner is X,Y as shares of the picture, from 0,0 (upper left) to 1,1. Put the printed lines
into the device record and sign it again. The preview is not masked by itself for others: keep it
as private as the camera's picture.
"""
_GRID = 10  # lines a side that help to find the numbers


def register(actions: Actions) -> None:
    parser = actions.add(
        "mask", "draw the places that no lane shows", run, description=DESCRIPTION, epilog=EXAMPLES
    )
    where = parser.one_of()
    where.text("--source SRC", "camera index, device, stream or file")
    where.path("--still FILE", "a picture that was taken before")
    parser.text(
        "--polygon X,Y",
        "the corners of one place; repeat for several",
        action="append",
        nargs="+",
        required=True,
    )
    parser.path(
        "--out FILE",
        "the preview, a PNG (default mask-preview.png)",
        default=Path("mask-preview.png"),
    )


def run(args: argparse.Namespace) -> int:
    """Check, draw and print."""
    import cv2

    from edge.errors import UsageError, wrong_in
    from edge.files import write_given
    from edge.masking import polygons

    with wrong_in("--polygon", ValueError):
        found = polygons.read_polygons([[_corner(text) for text in one] for one in args.polygon])
    picture = _picture(args)
    height, width = picture.shape[:2]
    filled = polygons.levels(found, height, width)
    if filled.all():
        raise UsageError(f"--polygon: nothing of the {width}x{height} picture is left to see")
    shown = preview(picture, filled)
    done, data = cv2.imencode(".png", shown)
    assert done
    write_given(args.out, data.tobytes(), 0o600)
    corners = ", ".join(
        "[" + ", ".join(f"[{x:g}, {y:g}]" for x, y in polygon) + "]" for polygon in found
    )
    print(f"[mask]\npolygons = [{corners}]")
    share = float((filled != 0).mean())
    print(f"# {share:.0%} of the picture is hidden; {args.out} shows what is left")
    return 0


def preview(picture: Any, filled: Any) -> Any:
    """What every lane would show, with thin lines at every tenth of a side."""
    import numpy as np

    from edge.cameras.layout import Layout
    from edge.masking.mask import Mask

    height, width = picture.shape[:2]
    shown = np.empty_like(picture)
    Mask(height, width, filled).copy(picture, shown, Layout.BGR)
    for part in range(1, _GRID):
        shown[part * height // _GRID, ::2] = 255
        shown[::2, part * width // _GRID] = 255
    return shown


def _corner(text: str) -> list[float]:
    x, comma, y = text.partition(",")
    with meaning(f"expected a corner as X,Y, got {text!r}", ValueError, as_=ValueError):
        return [float(x), float(y if comma else "")]


def _picture(args: argparse.Namespace) -> Any:
    """One BGR picture of the source."""
    import cv2
    import numpy as np

    from edge.cameras.live import open_source
    from edge.errors import CameraError, UsageError, failing
    from edge.files import read_named

    if args.still is not None:
        with failing(f"--still {args.still}: cannot be read"):
            data = read_named(args.still, 64 * 1024 * 1024)
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if picture is None:
            raise UsageError(f"--still {args.still}: expected a picture, PNG or JPEG")
        return picture
    with contextlib.closing(open_source(args.source)) as camera:
        shot = next(iter(camera.shots()), None)
        if shot is None:
            raise CameraError("the camera delivered no frame")
        return camera.layout.bgr(shot.frame).copy()
