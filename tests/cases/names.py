"""Names that a recording may have."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.cases.case import Case, Found, Outcome, Workshop


def _called(name: bytes, **environment: str) -> Callable[[Workshop], Found]:
    def run(shop: Workshop) -> Found:
        path = shop.folder / os.fsdecode(name)
        shop.clip.rename(path)
        shop.environment.update(environment)
        return shop.replay(path)

    return run


_NAMES = {
    "colons": b"2024-05-01T12:30:00.avi",
    "a percent sign": b"100%d.avi",
    "a leading dash": b"-dash.avi",
    "digits alone": b"12345",
    "a pipe's sign": b"pipe:0",
    "byte 0xff": b"\xff.avi",
}
CASES = (
    *(
        Case(name, _called(raw), Outcome.JUDGED, "^60 frames", quick=raw[0] == 255)
        for name, raw in _NAMES.items()
    ),
    Case(
        "ü in locale C",
        _called("ü.avi".encode(), LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
        Outcome.JUDGED,
        "^60 frames",
    ),
)
