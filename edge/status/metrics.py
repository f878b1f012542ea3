"""A snapshot as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge.status.scales import BUCKETS_US

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(snapshot: dict[str, Any], age_s: float) -> bytes:
    """The text a scraper reads; `age_s` is the age of the snapshot."""
    registry = CollectorRegistry()
    registry.register(_Of(snapshot, age_s))
    return generate_latest(registry)


class _Of(Collector):
    def __init__(self, snapshot: dict[str, Any], age_s: float) -> None:
        self._snapshot = snapshot
        self._age_s = age_s

    def collect(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        frames = CounterMetricFamily(
            "framegate_frames", "Frames with a final word", labels=["verdict"]
        )
        for verdict, count in snapshot["frames"].items():
            frames.add_metric([verdict], count)
        yield frames
        reasons = CounterMetricFamily(
            "framegate_blocked",
            "Blocked frames by reason; one frame may count under several",
            labels=["reason"],
        )
        for reason, count in snapshot["by_reason"].items():
            reasons.add_metric([reason], count)
        yield reasons
        yield _gauge("framegate_permitted", "1 while frames pass", snapshot["permitted"])
        yield _gauge(
            "framegate_verified", "1 while decisions and board are fresh", snapshot["verified"]
        )
        yield _gauge("framegate_running", "1 while a guard runs", snapshot["phase"] == "running")
        yield _gauge("framegate_snapshot_age_seconds", "Age of all of this", self._age_s)
        silent_s = snapshot["camera_silent_s"]
        if silent_s is not None:
            yield _gauge(
                "framegate_camera_silent_seconds", "Since the camera's last frame", silent_s
            )
        restarts = CounterMetricFamily("framegate_restarts", "Guards lost and started again")
        restarts.add_metric([], snapshot["health"]["restarts"])
        yield restarts
        lost = CounterMetricFamily("framegate_matcher_lost", "Matchers that ended by themselves")
        lost.add_metric([], snapshot["health"]["matcher_lost"])
        yield lost
        lines = CounterMetricFamily(
            "framegate_matcher_lines_left_out", "Lines that a matcher printed beyond its rate"
        )
        lines.add_metric([], snapshot["health"]["matcher_lines_left_out"])
        yield lines
        yield from self._evidence()
        yield from self._gate()
        if self._snapshot["also"]:
            yield from self._others()

    def _others(self) -> Iterator[Metric]:
        """Of each matcher beside the first, by its name."""
        passing = GaugeMetricFamily(
            "framegate_also_permitted",
            "1 while frames pass to a matcher beside the first",
            labels=["matcher", "lane"],
        )
        frames = CounterMetricFamily(
            "framegate_also_frames",
            "Frames with a final word for a matcher beside the first",
            labels=["matcher", "verdict"],
        )
        reasons = CounterMetricFamily(
            "framegate_also_blocked",
            "Frames blocked for a matcher beside the first, by reason",
            labels=["matcher", "reason"],
        )
        lost = CounterMetricFamily(
            "framegate_also_matcher_lost",
            "Times that a matcher beside the first ended by itself",
            labels=["matcher"],
        )
        for other in self._snapshot["also"]:
            name = other["name"]
            passing.add_metric([name, other["lane"]], float(other["permitted"]))
            for verdict, count in other["frames"].items():
                frames.add_metric([name, verdict], count)
            for reason, count in other["by_reason"].items():
                reasons.add_metric([name, reason], count)
            lost.add_metric([name], other["matcher_lost"])
        yield from (passing, frames, reasons, lost)

    def _evidence(self) -> Iterator[Metric]:
        ages = GaugeMetricFamily(
            "framegate_evidence_age_seconds", "Age of the newest reading", labels=["source"]
        )
        good = GaugeMetricFamily(
            "framegate_evidence_good", "1 if the newest reading is good", labels=["source"]
        )
        for reading in self._snapshot["evidence"]:
            ages.add_metric([reading["source"]], reading["age_s"])
            good.add_metric([reading["source"]], float(reading["good"]))
        yield ages
        yield good
        beats = GaugeMetricFamily(
            "framegate_heartbeat_age_seconds", "Age of a process's heartbeat", labels=["process"]
        )
        for process, age_s in self._snapshot["health"]["beats_s"].items():
            if age_s is not None:
                beats.add_metric([process], age_s)
        yield beats

    def _gate(self) -> Iterator[Metric]:
        counts = self._snapshot["gate_buckets"]
        total = 0
        buckets = []
        tops = [f"{top / 1e6:g}" for top in BUCKETS_US] + ["+Inf"]
        for top, count in zip(tops, counts, strict=True):
            total += count
            buckets.append((top, total))
        yield HistogramMetricFamily(
            "framegate_gate_seconds",
            "Time the gate spent on a frame",
            buckets=buckets,
            sum_value=self._snapshot["gate_sum_s"],
        )


def _gauge(name: str, meaning: str, value: float | bool) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=float(value))
