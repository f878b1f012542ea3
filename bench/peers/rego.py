"""Peer: a policy engine asked about every frame (Rego, by the `celine-regorus` package)."""

from __future__ import annotations

import json
from collections.abc import Callable

_POLICY = """
package gate

default pass := false

pass if {
    input.now_ns < data.lease.expires_ns
    input.score >= data.lease.min_score
    input.captured_ns >= data.lease.from_ns
    input.captured_ns < data.lease.to_ns
}
"""


def decision() -> Callable[[int, int, float], bool]:
    """The gate's rule as a function of now, capture time and score.

    Raises:
        ImportError: the engine is not installed.
    """
    from regorus import Engine

    engine = Engine()
    engine.add_policy("gate.rego", _POLICY)
    lease = {"from_ns": 0, "to_ns": 1000, "expires_ns": 2000, "min_score": 0.8}
    engine.add_data_json(json.dumps({"lease": lease}))

    def ask(now_ns: int, captured_ns: int, score: float) -> bool:
        engine.set_input_json(
            f'{{"now_ns": {now_ns}, "captured_ns": {captured_ns}, "score": {score}}}'
        )
        return engine.eval_rule("data.gate.pass") is True

    if not ask(10, 5, 0.9) or ask(10, 5, 0.1) or ask(2000, 5, 0.9):
        raise ValueError("the engine does not decide as the gate does")
    return ask
