"""What a policy answers: a verdict, the kind of answer, and the rules behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Verdict(Enum):
    """Whether the policy lets a lane run; the value is what JSON and logs store."""

    ALLOW = "ALLOW"
    BLOCK = "BLOCK"


class Outcome(Enum):
    """The kind of an answer: "no rule covers this" differs from a permit."""

    PERMITTED = "permitted"
    NOT_COVERED = "not_covered"  # allowed only because no rule speaks of it
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer of a policy; a `Decision` made by hand is never an ALLOW by accident."""

    verdict: Verdict = Verdict.BLOCK
    outcome: Outcome = Outcome.FORBIDDEN
    rules: tuple[str, ...] = ("GD-02",)  # sorted ids of every rule that decided

    def data(self) -> dict[str, object]:
        """The answer as JSON has it."""
        outcome = {"verdict": self.verdict.value, "outcome": self.outcome.value}
        return {**outcome, "rules": list(self.rules)}


NO_DECISION = Decision()  # the engine erred, knew no permit, or could not be asked


class Decides(Protocol):
    """What answers as a policy does; see `edge.policy.engine.Policy`."""

    @property
    def digest(self) -> bytes:
        """SHA-256 over all that decides, 32 bytes."""

    def decide(self, facts: Mapping[str, object]) -> Decision:
        """Answer for these facts; never raises."""
