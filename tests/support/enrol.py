"""The view of some frames, enrolled or refused."""

from __future__ import annotations

from typing import Any

from edge.view.enrol import survey
from edge.view.fingerprint import Fingerprint


def enrol(*frames_and_boxes: Any, **options: Any) -> Fingerprint:
    """The fingerprint that `survey` makes with these arguments.

    Raises:
        EnrolmentError: it makes none.
    """
    return survey(*frames_and_boxes, **options).enrolled()
