"""Fades in steps: a foreign picture that is mixed into an enrolled view and left there.

A continuous fade is noticed by its falling contrast; one in steps becomes the new normal
after two seconds. The view is asked alone, as in `bench.view.placards`. Shares are of the
foreign picture, 0 to 1, in steps of 0.05.
"""

from __future__ import annotations

import cv2

from bench.view.placards import READ_NS, Picture
from edge.view.check import ViewCheck
from edge.view.fingerprint import Fingerprint

SHARES = tuple(round(0.05 * step, 2) for step in range(1, 20))
_HOLDS = 30  # readings of each step: the level is what the last two seconds show
_BEFORE = 10


def begins_to(fingerprint: Fingerprint, view: Picture, other: Picture) -> float:
    """The largest share with which a permit can begin; 0 if with none."""
    good = 0.0
    for share in SHARES:
        check, shown = ViewCheck(fingerprint), _mixed(view, other, share)
        if not any(check.read(shown, n * READ_NS, ()).reasons_open for n in range(3)):
            good = share
    return good


def goes_on_to(fingerprint: Fingerprint, view: Picture, other: Picture) -> float:
    """The largest share up to which each step, once it has held, leaves a permit; 0 if none does.

    A step may block while it is new.
    """
    check, good = ViewCheck(fingerprint), 0.0
    for number in range(_BEFORE):
        check.read(view, number * READ_NS, ())
    for step, share in enumerate(SHARES):
        shown, begins = _mixed(view, other, share), _BEFORE + step * _HOLDS
        readings = [check.read(shown, (begins + i) * READ_NS, ()) for i in range(_HOLDS)]
        if readings[-1].reasons_continue:
            return good
        good = share
    return good


def _mixed(view: Picture, other: Picture, share: float) -> Picture:
    height, width = view.shape[:2]
    fitted = cv2.resize(other, (width, height))
    return cv2.addWeighted(view, 1 - share, fitted, share, 0)
