"""The status page's addresses: health, metrics, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from edge.status.snapshot import Ledger, snapshot
from tests.support.status_pages import NOW, WALL_S, ask, sample

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("snapshot_", "age_s", "expected"),
    [
        (sample(), 0.1, "200"),  # a guard that blocks for a reason is well
        (sample(permitted=True), 0.1, "200"),
        (sample(verified=False), 0.1, "503"),
        (sample(), 3.1, "503"),
        (None, 0.0, "503"),
    ],
    ids=["blocks", "passes", "not verified", "silent", "nothing yet"],
)
def test_health_means_fresh_not_permitted(
    snapshot_: dict[str, Any] | None, age_s: float, expected: str
) -> None:
    assert ask(snapshot_, "/healthz", age_s=age_s)[0].startswith(expected)


def test_metrics_are_what_prometheus_reads() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    text = ask(sample(), "/metrics")[2]
    found = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    assert found["framegate_frames_total", ("released",)] == 1
    assert found["framegate_blocked_total", ("VIEW_FOREIGN",)] == 1
    assert found["framegate_evidence_good", ("view",)] == 0
    assert found["framegate_gate_seconds_bucket", ("0.0005",)] == 1
    assert found["framegate_gate_seconds_count", ()] == 2
    assert found["framegate_permitted", ()] == 0


def test_matchers_lost_are_counted_over_all_guards() -> None:
    book = Ledger(WALL_S)
    book.end_matcher(2, 30)

    found = snapshot("running", book, now_ns=NOW, wall_s=WALL_S, matcher_lost=1, matcher_lines=4)

    assert found["health"]["matcher_lost"] == 3
    assert found["health"]["matcher_lines_left_out"] == 34
    text = ask(found, "/metrics")[2]
    assert "framegate_matcher_lost_total 3.0" in text
    assert "framegate_matcher_lines_left_out_total 34.0" in text
    assert "matchers lost" in ask(found)[2]


@pytest.mark.parametrize("path", ["/..", "/etc/passwd", "//", "/status.json/", "/%00", ""])
def test_there_is_nothing_else(path: str) -> None:
    assert ask(sample(), path)[0].startswith("404")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_changed(method: str) -> None:
    assert ask(sample(), method=method)[0].startswith("405")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", "200"),
        ("localhost:8321", "200"),
        ("[::1]:8321", "200"),
        ("127.0.0.1", "200"),
        ("guard.example:8321", "421"),
        ("127.0.0.1.guard.example", "421"),
        ("10.0.0.1", "421"),
        ("", "421"),
    ],
)
def test_a_page_from_elsewhere_cannot_borrow_the_address(host: str, expected: str) -> None:
    assert ask(sample(), host=host)[0].startswith(expected)
