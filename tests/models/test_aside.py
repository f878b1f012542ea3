"""A look in a thread of its own: turns go on while it lasts, and not for ever."""

from __future__ import annotations

import threading

import pytest

from edge.errors import ModelError
from edge.models import aside as module
from edge.models.aside import MOST_TURNS, aside

LONG_S = 30.0  # a test that waits so long has failed


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_S", 0.001)


def test_turns_go_on_while_a_look_lasts_and_its_answer_comes_back() -> None:
    turned = threading.Event()
    before = threading.active_count()

    def look() -> bool:
        return turned.wait(LONG_S)

    assert aside(look, turned.set)
    assert threading.active_count() == before  # a process with one thread again


def test_a_look_that_hangs_is_waited_for_in_silence() -> None:
    """Nothing is renewed for a process whose model does not come back."""
    turns: list[int] = []
    too_many = threading.Event()

    def turn() -> None:
        turns.append(len(turns))
        if len(turns) > MOST_TURNS:
            too_many.set()

    assert aside(lambda: too_many.wait(0.2), turn) is False
    assert len(turns) == MOST_TURNS


def test_what_goes_wrong_in_a_look_is_raised_to_whoever_asked() -> None:
    def look() -> None:
        raise ModelError("the model failed")

    with pytest.raises(ModelError, match="the model failed"):
        aside(look, lambda: None)


def test_no_look_outlives_a_turn_that_ends_everything() -> None:
    begun, over = threading.Event(), threading.Event()

    def look() -> None:
        begun.wait(LONG_S)
        over.set()

    def turn() -> None:
        begun.set()
        raise MemoryError

    with pytest.raises(MemoryError):
        aside(look, turn)
    assert over.is_set()


def test_without_a_thread_the_look_is_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)

    assert aside(lambda: 7, lambda: None) == 7
