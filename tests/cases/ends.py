"""^C to a guard that starts, and a kill of each of its processes, at several moments."""

from __future__ import annotations

from collections.abc import Callable

from tests.cases.case import Case, Found, Outcome, Workshop
from tests.support.kill_sweep import MODULES, kill_once

_MOMENTS_S = (0.05, 0.4, 1.2)  # after a process's birth; `tests.support.kill_sweep` tries fifty


def _interrupted(after_s: float) -> Callable[[Workshop], Found]:
    """^C to the command and all its children, as a terminal sends it."""

    def run(shop: Workshop) -> Found:
        found = shop.guard(f"(sleep {after_s}; kill -INT -$$) & trap - INT")
        if found.outcome is Outcome.FAULT and found.says.startswith("exit code 130"):
            return Found(Outcome.JUDGED, "interrupted")  # before it was up
        return found

    return run


def _killed(process: str) -> Callable[[Workshop], Found]:
    def run(shop: Workshop) -> Found:
        found = [kill_once(shop.site, process, delay_s) for delay_s in _MOMENTS_S]
        wrong = [f"{one.delay_s:g} s: {one.wrong}" for one in found if one.wrong]
        if wrong or not any(one.killed for one in found):
            return Found(Outcome.FAULT, "; ".join(wrong) or "it never came")
        return Found(Outcome.JUDGED, f"{sum(one.killed for one in found)} kills")

    return run


CASES = (
    *(
        Case(f"^C after {after_s:g} s", _interrupted(after_s), Outcome.JUDGED)
        for after_s in (0.4, 0.8, 1.3, 2.0, 3.0)  # earlier the interpreter itself is not up
    ),
    *(
        Case(f"the {process} killed at the start", _killed(process), Outcome.JUDGED, "kills")
        for process in MODULES
    ),
)
