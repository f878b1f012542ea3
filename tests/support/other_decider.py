"""A guard whose decider is another module, with an environment of the test's."""

from __future__ import annotations

import os

import pytest

from edge.guard import launch
from edge.guard.processes import Child, spawn_from_template


def use(monkeypatch: pytest.MonkeyPatch, module: str, prefix: str) -> None:
    """Have `module` run as the decider, with the variables whose names begin with `prefix`."""

    def spawn(load, parts, wait_s) -> dict[str, Child]:
        given = {name: value for name, value in os.environ.items() if name.startswith(prefix)}
        _, fds = parts["decider"]
        return spawn_from_template(load, {**parts, "decider": (module, fds)}, wait_s, given)

    monkeypatch.setattr(launch, "spawn_from_template", spawn)
