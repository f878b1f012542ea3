"""The benchmark: figures that did not run do not hold, and time is taken from when it was due."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import profiles
from bench.figures import Basis, Figure, number, ratio
from bench.gate import clock_loop
from bench.gate.rig import Rig
from bench.gate.timing import Ratio, histogram, hot, paced, steady
from bench.mutants import chosen, listed, unnoticed
from bench.publish import markdown, merged
from bench.scenery import SIZES, fingerprint, takes, view
from bench.suite import Result
from bench.web import page
from edge.frames.sentinel import Sentinel
from edge.lease import MIN_VIEW_SCORE

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("value", "target", "holds"),
    [
        (20.0, ">= 20", True),
        (19.9, ">= 20", False),
        (1.35, "<= 1.35", True),
        (1.36, "<= 1.35", False),
        (None, ">= 20", False),
        (None, "", False),
        (7.0, "", True),
    ],
)
def test_a_figure_holds_when_its_number_meets_the_target(value, target, holds):
    assert Figure("x", value, target, "x").holds is holds


def test_a_ratio_whose_peer_did_not_run_does_not_hold():
    figure = ratio("x", [], [1.0, 2.0], ">= 1")

    assert figure.value is None
    assert not figure.holds
    assert "did not run" in figure.note


def test_a_ratio_is_the_median_over_rounds_with_its_spread():
    figure = ratio("x", [2.0, 6.0, 40.0], [1.0, 2.0, 4.0], ">= 3")

    assert (figure.value, figure.least, figure.most) == (3.0, 2.0, 10.0)
    assert Ratio.of([2.0, 6.0, 40.0], [1.0, 2.0, 4.0]) == Ratio(3.0, 2.0, 10.0, 3)


def test_figures_are_published_under_the_common_names():
    published = number("gate step", [1.0, 3.0, 2.0], "us", "<= 2").as_json()

    assert {"name", "value", "target", "unit", "holds"} <= set(published)
    assert published["value"] == 2.0
    assert published["holds"] is True


def test_a_round_whose_canary_was_slow_is_discarded():
    rounds = [{"memcpy": 10.0, "x": 1.0}, {"memcpy": 11.0, "x": 2.0}, {"memcpy": 40.0, "x": 9.0}]

    assert [r["x"] for r in steady(rounds, "memcpy")] == [1.0, 2.0]


def test_a_stall_shows_in_every_frame_it_delays():
    """A frame each 10 ms, the reader away for 100 ms: ten frames are late, not one."""
    due = np.arange(1000) * 10.0
    ready = np.where((due >= 500) & (due < 600), 600.0, due) + 1.0

    counts = histogram((ready - due) * 1e6)

    assert counts.get_value_at_percentile(50.0) / 1e6 == pytest.approx(1, rel=0.01)
    assert counts.get_value_at_percentile(99.5) / 1e6 > 50


def test_every_way_of_timing_calls_what_it_times():
    counts = [0, 0]

    def call() -> None:
        counts[0] += 1

    def other() -> None:
        counts[1] += 1

    assert hot(call, 0.001) > 0
    counts[0] = 0
    taken = paced({"a": call, "b": other}, 5, 1000.0)

    assert counts == [5, 5]
    assert {name: times.size for name, times in taken.items()} == {"a": 5, "b": 5}


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_the_benchs_view_is_one_that_the_sentinel_knows(size):
    picture = view(*SIZES[size])
    sentinel = Sentinel(fingerprint(picture))

    assert min(sentinel.look(f).view_score for f in takes(picture, 3)) >= MIN_VIEW_SCORE
    assert sentinel.look(view(*SIZES[size], seed=8)).view_score < MIN_VIEW_SCORE


@pytest.mark.slow
def test_every_frame_that_enters_the_rig_is_accounted_for():
    with Rig(takes(view(240, 320), 4)) as rig:
        rig.play(30, 60.0)
        rows = rig.finish()

        assert rig.sent == rig.dropped + len(rig.resolved)
        released = [word for word in rig.resolved if word.reason is None]

    assert len(rows) >= 1
    assert len(rows) == len({row[0] for row in rows}) <= len(released)
    assert (rows[:, 1] > rows[:, 0]).all()


def test_the_page_and_the_table_say_what_did_not_run():
    rows = (
        Figure("fast", 25.0, ">= 20", "x", 22.0, 28.0),
        Figure("<peer>", None, ">= 2", "x", note="a peer did not run"),
        Figure("copy", 3.0, "", "us", basis=Basis.ESTIMATED),
    )
    latencies = {"VGA product": np.array([4e5, 5e5]), "VGA queues": np.array([7e6, 9e7])}
    result = Result(rows, {"cpu": "a & b"}, latencies)

    html, text = page.render(result), "\n".join(page.table(result))

    assert "held" in text
    assert "not tried  a peer did not run" in text
    assert "missed" not in text
    assert '>not tried<td data-head="Basis">a peer did not run' in html
    assert html.count("<polyline") == 2
    assert "&lt;peer&gt;" in html
    assert "a &amp; b" in html
    assert "estimated" in html
    assert "http" not in html


def test_a_profile_holds_this_process_back_and_says_what_it_could_not_do():
    code = (
        "import json, os; from bench.profiles import confine; c = confine('pi-4');"
        "print(json.dumps([c.means, list(c.not_done), len(os.sched_getaffinity(0))]))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    means, not_done, cores = json.loads(done.stdout)

    assert cores <= profiles.PROFILES["pi-4"].cores
    assert means.startswith("cgroup") or any("quota" in line for line in not_done)


def test_the_command_and_the_profiles_name_the_same_boards():
    from edge.commands.bench import _PROFILES

    assert set(_PROFILES) == set(profiles.PROFILES)


def test_a_mutant_that_survived_must_be_listed_with_a_reason():
    results = ["  a.x__mutmut_1: killed", "  a.x__mutmut_2: survived", "  a.y__mutmut_1: timeout"]

    assert unnoticed(results) == {"a.x__mutmut_2"}
    assert chosen([*results, ""], []) == [line.strip() for line in results]
    assert unnoticed(chosen(results, ["a.y*"])) == set()
    assert chosen([*results, ""], []) == [line.strip() for line in results]
    assert unnoticed(chosen(results, ["a.y*"])) == set()
    assert listed("# why\na.x__mutmut_2: the bound is never reached\nb.z__mutmut_1: \n") == {
        "a.x__mutmut_2": "the bound is never reached"
    }


def test_published_figures_are_medians_over_the_runs():
    def run(value: float | None) -> list[dict[str, object]]:
        return [{"name": "a", "value": value, "target": "<= 2", "unit": "x", "note": ""}]

    (figure,) = merged([run(1.0), run(3.0), run(2.0)])
    (lacking,) = merged([run(1.0), run(None)])

    assert (figure.value, figure.least, figure.most, figure.holds) == (2.0, 1.0, 3.0, True)
    assert lacking.value is None
    assert "| not tried |" in markdown([lacking])
    assert "| **missed** |" in markdown(merged([run(3.0)]))


def test_a_loop_that_reads_the_clock_is_never_faster_than_it_was_to_be():
    spans_ns = clock_loop.measure(500.0, 20, 200_000)

    assert spans_ns.size == 20
    assert spans_ns.min() >= 200_000
