"""The bench of the view's limits: placards before a rendered room, and mixtures with it."""

from __future__ import annotations

import json
import sys

import pytest

from bench.view import run
from bench.view.fades import SHARES, begins_to, goes_on_to
from bench.view.placards import LEAST, MOST, Placard, begins, goes_on, placards
from tests.support import render
from tests.support.enrol import enrol


@pytest.fixture(scope="module")
def room():
    return render.room()


@pytest.fixture(scope="module")
def view(room):
    return enrol(list(render.still(room, 12)), [()] * 12, camera=bytes(16), enforce=True)


def test_a_placard_takes_half_to_four_fifths_and_the_same_seed_draws_the_same(room):
    first, again = (list(placards(room, [render.street()], 60, seed=3)) for _ in range(2))

    assert [one.place for one in first] == [one.place for one in again]
    assert all(LEAST - 0.01 <= one.share <= MOST + 0.01 for one in first)
    shown = first[0].before(room)
    assert (shown != room).any(axis=2).mean() == pytest.approx(first[0].share, abs=0.02)


def test_a_placard_that_shows_the_place_itself_is_none_and_a_street_is_one(view, room):
    place = (0, 0, 640, 300)
    same, street = Placard(place, room), Placard(place, render.street())

    assert goes_on(view, room, same) and begins(view, room, same)
    assert not goes_on(view, room, street) and not begins(view, room, street)


def test_the_limit_for_the_picture_is_what_stops_some(view, room):
    one = run.Enrolled("room", view, room, site=True)

    found = run.placarded(one, [render.street(), render.street(5)], 80, seed=1)

    assert found.tried == 80
    assert found.goes_on < found.unlimited
    assert 0 < found.unlimited_largest <= MOST + 0.01


@pytest.mark.slow
def test_a_mixture_with_the_place_itself_goes_all_the_way_and_with_a_street_part_of_it(view, room):
    street = render.street()

    assert begins_to(view, room, room) == goes_on_to(view, room, room) == SHARES[-1]
    assert 0 < begins_to(view, room, street) < SHARES[-1]
    assert 0 < goes_on_to(view, room, street) < SHARES[-1]


@pytest.mark.slow
@pytest.mark.long
def test_placards_and_mixtures_of_the_evaluation_recordings_get_no_further(
    data_dir, capsys, monkeypatch
):
    """As many as are published; no more go on than `docs/threat-model.md` says."""
    monkeypatch.setattr(sys, "argv", ["run", str(data_dir), "--json"])

    assert run.main() == 0
    found = json.loads(capsys.readouterr().out)

    assert [row["tried"] for row in found["placards"]] == [run.PLACARDS] * 2
    assert all(row["goes_on"] <= 40 and row["largest"] <= 0.7 for row in found["placards"])
    assert all(row["begins"] <= 4 for row in found["placards"])
    assert found["mixed"]["tried"] == run.FOREIGN * run.MIXED_VIEWS
