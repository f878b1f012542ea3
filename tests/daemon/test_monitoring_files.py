"""The Prometheus rules and the Grafana dashboard ask for figures that `/metrics` has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import edge.daemon
from edge.reasons import Reason
from edge.status.metrics import metrics
from tests.support.status_pages import sample

SNAPSHOT = {**sample(), "camera_silent_s": 3.0}  # told only while it is silent
DEPLOY = Path(edge.daemon.__file__).parent / "deploy"
_NAME = re.compile(r"framegate_[a-z_]+")
_REASONS = re.compile(r'reason=~?"([A-Z_|]+)"')


def _alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DEPLOY / "framegate-alerts.yml").read_text())["groups"]
    return list(group["rules"])


def _dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "framegate-dashboard.json").read_text())
    return found


def _expressions() -> list[str]:
    panels = [target["expr"] for p in _dashboard()["panels"] for target in p["targets"]]
    return [*panels, *(rule["expr"] for rule in _alerts())]


def test_every_figure_asked_for_is_in_metrics() -> None:
    there = set(_NAME.findall(metrics(SNAPSHOT, 0.1).decode()))
    asked = {name for text in _expressions() for name in _NAME.findall(text)}
    assert asked
    assert asked <= there


def test_every_reason_asked_for_is_one() -> None:
    asked = {
        code
        for text in _expressions()
        for codes in _REASONS.findall(text)
        for code in codes.split("|")
    }
    assert "MATCHER_ESCAPE_ATTEMPT" in asked
    assert asked <= {reason.value for reason in Reason}


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    rules = _alerts()
    assert len({rule["alert"] for rule in rules}) == len(rules) > 8
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert {"summary", "action"} <= rule["annotations"].keys()


def test_the_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in _dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("name", ["framegate_evidence_god", "framegate_frames_sum"])
def test_a_name_that_is_none_would_be_noticed(name: str) -> None:
    assert name not in set(_NAME.findall(metrics(SNAPSHOT, 0.1).decode()))
