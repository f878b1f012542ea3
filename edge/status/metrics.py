"""A snapshot as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge.status.scales import BUCKETS_US

_Values: TypeAlias = "Mapping[Any, float]"
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
        found, health = self._snapshot, self._snapshot["health"]
        yield _counter("frames", "Frames with a final word", found["frames"], "verdict")
        meaning = "Blocked frames by reason; one frame may count under several"
        yield _counter("blocked", meaning, found["by_reason"], "reason")
        yield _gauge("permitted", "1 while frames pass", found["permitted"])
        yield _gauge("verified", "1 while decisions and board are fresh", found["verified"])
        yield _gauge("running", "1 while a guard runs", found["phase"] == "running")
        yield _gauge("snapshot_age_seconds", "Age of all of this", self._age_s)
        if (silent_s := found["camera_silent_s"]) is not None:
            yield _gauge("camera_silent_seconds", "Since the camera's last frame", silent_s)
        for key, meaning in (
            ("restarts", "Guards lost and started again"),
            ("matcher_lost", "Matchers that ended by themselves"),
            ("matcher_lines_left_out", "Lines that a matcher printed beyond its rate"),
        ):
            yield _counter(key, meaning, {(): health[key]})
        readings = found["evidence"]
        ages = {reading["source"]: reading["age_s"] for reading in readings}
        yield _gauges("evidence_age_seconds", "Age of the newest reading", ages, "source")
        good = {reading["source"]: reading["good"] for reading in readings}
        yield _gauges("evidence_good", "1 if the newest reading is good", good, "source")
        beats = {name: age_s for name, age_s in health["beats_s"].items() if age_s is not None}
        meaning = "Age of a process's heartbeat"
        yield _gauges("heartbeat_age_seconds", meaning, beats, "process")
        yield self._gate()
        if found["also"]:
            yield from self._others()

    def _others(self) -> Iterator[Metric]:
        """Of each matcher beside the first, by its name."""
        also, beside = self._snapshot["also"], "a matcher beside the first"
        passing = {(other["name"], other["lane"]): other["permitted"] for other in also}
        meaning = f"1 while frames pass to {beside}"
        yield _gauges("also_permitted", meaning, passing, "matcher", "lane")
        for name, meaning, key, label in (
            ("also_frames", f"Frames with a final word for {beside}", "frames", "verdict"),
            ("also_blocked", f"Frames blocked for {beside}, by reason", "by_reason", "reason"),
        ):
            counts = {(o["name"], what): count for o in also for what, count in o[key].items()}
            yield _counter(name, meaning, counts, "matcher", label)
        lost = {other["name"]: other["matcher_lost"] for other in also}
        meaning = f"Times that {beside} ended by itself"
        yield _counter("also_matcher_lost", meaning, lost, "matcher")

    def _gate(self) -> Metric:
        tops = [f"{top / 1e6:g}" for top in BUCKETS_US] + ["+Inf"]
        totals = accumulate(self._snapshot["gate_buckets"])
        return HistogramMetricFamily(
            "framegate_gate_seconds",
            "Time the gate spent on a frame",
            buckets=list(zip(tops, totals, strict=True)),
            sum_value=self._snapshot["gate_sum_s"],
        )


def _gauge(name: str, meaning: str, value: float | bool) -> Metric:
    return _gauges(name, meaning, {(): value})


def _gauges(name: str, meaning: str, values: _Values, *labels: str) -> Metric:
    """`values` by what each label is; a single label may stand alone."""
    return _filled(GaugeMetricFamily(f"framegate_{name}", meaning, labels=labels), values)


def _counter(name: str, meaning: str, values: _Values, *labels: str) -> Metric:
    return _filled(CounterMetricFamily(f"framegate_{name}", meaning, labels=labels), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: _Values) -> Metric:
    for labels, value in values.items():
        family.add_metric([labels] if isinstance(labels, str) else list(labels), float(value))
    return family
