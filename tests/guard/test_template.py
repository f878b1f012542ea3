"""Processes that share what they load are children of the guard like any other."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from edge.errors import GuardError
from edge.guard.processes import Child, _why_unforked, spawn_from_template

MODULE = "tests.support.forked"
LOAD = ("tests.support.render",)
_GET_CHILD_SUBREAPER = 37


@pytest.fixture
def fds() -> Iterator[tuple[int, int, int]]:
    """Descriptors to hand on: one for each part alone, and one for both."""
    opened = tuple(os.memfd_create(name) for name in ("one", "other", "both"))
    yield opened
    for fd in opened:
        os.close(fd)


@pytest.fixture
def parts(fds: tuple[int, int, int]) -> Iterator[dict[str, Child]]:
    """A forked part and the template itself as the last, neither configured."""
    one, other, both = fds
    given = {"forked": (MODULE, (one, both)), "last": (MODULE, (other, both))}
    found = spawn_from_template(LOAD, given, 30.0)
    yield found
    for child in found.values():
        child.end()


def answer_of(child: Child, where: int, code: int = 0) -> dict[str, Any]:
    os.ftruncate(where, 0)
    os.lseek(where, 0, os.SEEK_SET)
    child.configure([code, where])
    assert child.process.wait(30) == code
    found: dict[str, Any] = json.loads(os.pread(where, 1 << 16, 0))
    return found


def test_every_part_is_a_child_of_the_guard_in_a_session_of_its_own(parts, fds):
    found = {name: answer_of(child, fds[2]) for name, child in parts.items()}

    assert {name: part["pid"] for name, part in found.items()} == {
        name: child.pid for name, child in parts.items()
    }
    assert {part["parent"] for part in found.values()} == {os.getpid()}
    assert all(part["session"] == part["pid"] for part in found.values())


def test_every_part_is_named_by_what_it_runs(parts, fds):
    found = [answer_of(child, fds[2]) for child in parts.values()]

    assert all(part["command"][-1] == MODULE for part in found)
    assert all("-I" in part["command"] for part in found)


@pytest.mark.slow
def test_what_the_template_loads_is_loaded_in_every_part(parts, fds):
    assert all(answer_of(child, fds[2])["shared"] for child in parts.values())


@pytest.mark.slow
def test_a_part_holds_its_own_descriptors_and_none_of_the_others(parts, fds):
    one, other, both = fds

    assert answer_of(parts["forked"], both)["fds"] == sorted({0, 1, 2, one, both})
    assert answer_of(parts["last"], both)["fds"] == sorted({0, 1, 2, other, both})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["forked", "last"])
def test_how_a_part_ended_is_known(parts, fds, name):
    answer_of(parts[name], fds[2], code=7)

    assert parts[name].describe_end() == f"the {name} process ended with code 7"


def test_a_part_can_be_killed_and_one_that_runs_on_can_not_be_waited_for(parts):
    process = parts["forked"].process

    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)
    process.kill()
    assert process.wait(30) == process.returncode == -signal.SIGKILL
    process.terminate()  # of what is gone: nothing happens


@pytest.mark.slow
def test_a_part_that_is_never_configured_exits(parts):
    parts["forked"].end(wait_s=30.0)

    assert parts["forked"].process.returncode != -signal.SIGTERM


def test_orphans_are_handed_to_the_guard_only_while_a_template_forks(parts):
    handed = ctypes.c_int(-1)

    ctypes.CDLL(None).prctl(_GET_CHILD_SUBREAPER, ctypes.byref(handed), 0, 0, 0)

    assert handed.value == 0


@pytest.mark.parametrize("load", ["tests.support.not_there", "tests.support.threaded"])
def test_a_template_that_cannot_load_or_has_a_second_thread_forks_nothing(load, capfd):
    given = {"forked": (MODULE, ()), "last": (MODULE, ())}

    with pytest.raises(GuardError, match="at the start, the template process ended with code 1"):
        spawn_from_template((load,), given, 30.0)

    capfd.readouterr()


def test_a_template_that_takes_too_long_is_ended():
    given = {"forked": (MODULE, ()), "last": (MODULE, ())}

    with pytest.raises(GuardError, match="the template process had not forked after 0 s"):
        spawn_from_template(LOAD, given, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "whole", "why"),
    [
        ("exec sleep 60", True, "a process was lost while it was forked"),
        ("exec sleep 60", False, "the template process had not forked after 30 s"),
        ("kill -9 $$", True, "the template process was ended by signal 9"),
        ("exit 7", True, "the template process ended with code 7"),
    ],
)
def test_why_nothing_was_forked_is_what_happened(program, whole, why):
    template = Child("template", subprocess.Popen(["sh", "-c", program]))

    assert _why_unforked(template, whole, 30.0) == why

    template.end()
