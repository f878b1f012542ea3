"""Named checks in the device: each runs, says what it found, and counts.

The last line counts as pytest's does, so that the host reads both in one way.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.errors import GuardError


class Checks:
    """Runs checks one after the other; one that fails does not stop the next."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, name: str, work: Callable[[], str]) -> bool:
        """Run `work`, which returns what it found or raises GuardError."""
        try:
            found = work()
        except (GuardError, OSError) as err:
            self.failed += 1
            print(f"FAILED {name}: {err}", flush=True)
            return False
        self.passed += 1
        print(f"ok     {name}: {found}", flush=True)
        return True

    def end(self) -> int:
        """Print the count; the exit code."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.passed and not self.failed else 1


def until(holds: Callable[[], object], what: str, within_s: float) -> float:
    """Wait until `holds`; how many seconds it took.

    Raises:
        GuardError: it did not, in this time.
    """
    began_s = time.monotonic()
    while not holds():
        if time.monotonic() - began_s > within_s:
            raise GuardError(f"expected {what} within {within_s:g} s")
        time.sleep(0.2)
    return time.monotonic() - began_s


def expect(holds: bool, what: str) -> None:
    """Raises GuardError with what was expected, unless it holds."""
    if not holds:
        raise GuardError(f"expected {what}")
