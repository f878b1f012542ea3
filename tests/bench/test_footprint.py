"""What a process costs is what it did: memory taken, work done, sleeps, bytes written."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bench import profiles
from bench.footprint import looks, proc
from bench.footprint.proc import Cost, Reading
from bench.footprint.run import BLOCKED, FLOWING, IDLE, Measured, figures, table
from bench.footprint.run import _begun as begun
from bench.footprint.small import Flow
from bench.footprint.small import figures as small_figures
from edge.daemon.notify import Notifier

WORKER = """
import os, sys, time
print("ready", flush=True)
sys.stdin.readline()
memory = bytearray(b"x") * (32 << 20)
with open(sys.argv[1], "wb") as file:
    file.write(bytes(1 << 20))
    file.flush()
    os.fsync(file.fileno())
for _ in range(50):
    time.sleep(0.001)
until = time.process_time() + 0.2
while time.process_time() < until:
    pass
print("done", flush=True)
sys.stdin.readline()
"""

FORKED = """
import os, sys
memory = bytearray(b"x") * (32 << 20)
read, write = os.pipe()
child = os.fork()
if not child:
    if sys.argv[1] == "1":
        memory[::4096] = b"y" * (len(memory) // 4096)
    os.write(write, b"x")
else:
    os.read(read, 1)
    print(child, flush=True)
sys.stdin.readline()
if child:
    os.wait()
"""


@pytest.fixture
def cost(tmp_path):
    """What a process that does each thing a known amount is found to cost, as of one second."""
    command = [sys.executable, "-c", WORKER, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        p.stdout.readline()
        before = proc.read(p.pid)
        p.stdin.write("\n")
        p.stdin.flush()
        p.stdout.readline()
        after = proc.read(p.pid)
        p.stdin.close()
    return Cost.between(before, after, 1.0), before


def test_memory_work_sleeps_and_writing_are_each_found(cost):
    spent, before = cost

    assert spent.private_mib - before.private_bytes / 2**20 == pytest.approx(32, abs=4)
    assert spent.pss_mib >= spent.private_mib
    assert spent.cpu_percent >= 19
    assert 50 <= spent.wakeups_s < 200


def test_a_process_that_does_nothing_costs_nothing_but_memory():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as idle:
        idle.stdin.write(b"x\n")
        idle.stdin.flush()
        idle.stdout.readline()
        spent = [proc.read(idle.pid) for _ in range(2)]
        idle.stdin.close()

    found = Cost.between(*spent, 0.1)

    assert (found.cpu_percent, found.wakeups_s, found.written_kib_min) == (0, 0, 0)
    assert found.pss_mib > 0


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel tells root alone which pages these are")
def test_a_page_of_two_processes_is_counted_once_and_a_copy_of_it_twice():
    sizes = {copied: _resident_mib(FORKED, copied) for copied in ("0", "1")}

    assert 32 <= sizes["0"] < 56
    assert 64 <= sizes["1"] < 88


def _resident_mib(script, argument):
    """Of a process that prints when it is ready, and its child."""
    command = [sys.executable, "-I", "-c", script, argument]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        child = int(p.stdout.readline())
        found = proc.resident_bytes((p.pid, child))
        p.stdin.close()
    return found / 2**20


def test_only_what_lived_through_the_whole_span_is_counted():
    one, other = Reading(0, 0, 1.0, 5, 0), Reading(2**20, 0, 2.0, 25, 2**20)

    found = proc.between({"a": one}, {"a": other, "new": other}, 10.0)

    assert found == {"a": Cost(1.0, 0.0, 10.0, 2.0, 6144.0)}


def test_a_process_that_is_gone_is_an_error_not_a_zero():
    with subprocess.Popen(["true"]) as gone:
        gone.wait()

    with pytest.raises(OSError):
        proc.read(gone.pid)


def test_energy_is_added_over_the_packages_and_absent_without_a_meter(tmp_path):
    assert proc.energy_j(tmp_path) is None
    for number, joules in enumerate((3, 4)):
        (tmp_path / f"intel-rapl:{number}").mkdir()
        (tmp_path / f"intel-rapl:{number}" / "energy_uj").write_text(f"{joules}000000\n")
        (tmp_path / f"intel-rapl:{number}:0").mkdir()  # a part of it: not counted twice

    assert proc.energy_j(tmp_path) == 7


def test_a_group_tells_what_it_holds_and_whom_the_kernel_ended(tmp_path):
    (tmp_path / "memory.current").write_text("1048576\n")
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    older = tmp_path / "v1"
    older.mkdir()
    (older / "memory.usage_in_bytes").write_text("4096\n")
    (older / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")

    assert profiles.memory_of(tmp_path) == (1 << 20, 2)
    assert profiles.memory_of(older) == (4096, 1)


@pytest.mark.parametrize(
    "spoilt", [{"share": 0.8}, {"restarts": 1}, {"killed": 1}, {"silent_s": 0.3}, {"busiest": 1.2}]
)
def test_on_a_small_board_each_thing_must_hold_by_itself(spoilt):
    good = Flow(30.0, 9.0, 29.0, 0.97, 0, 0, 330.0, 0.1, "", 0.8)

    assert all(row.holds for row in small_figures(good))
    assert sum(not row.holds for row in small_figures(replace(good, **spoilt))) == 1


def test_the_table_has_each_process_and_the_targets_are_of_the_whole():
    light, heavy = Cost(10, 5, 1, 20, 3), Cost(80, 60, 2, 30, 0)
    found = Measured({s: {"gate": light, "decider": heavy} for s in (FLOWING, BLOCKED, IDLE)})

    rows = {row.name: row for row in figures(found)}

    memory = rows["frames flowing: proportional memory"]
    assert (memory.value, memory.target, memory.holds) == (90, "<= 150", True)
    assert rows["frames flowing: gate, proportional memory"].target == ""
    assert rows["frames flowing: power, whole machine"].note
    assert rows["frames flowing: written to disk a day"].value == pytest.approx(3 * 24 * 60 / 1024)
    assert rows["frames flowing: memory, each page once"].note
    assert rows["start to a ready service"].target == "<= 3"
    assert any(line.split()[:2] == ["all", "90.0"] for line in table(found))


def test_a_service_is_ready_when_it_says_so_and_not_when_it_only_lives(tmp_path):
    found, began = Measured(), time.monotonic() - 2
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.setblocking(False)
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    decided = SimpleNamespace(status={"evidence": {"view": 1}})

    notifier.tell("WATCHDOG=1")
    assert not begun(found, decided, manager, began)
    assert found.ready_s == 0.0 and found.decision_s >= 2
    notifier.tell("READY=1")
    assert begun(found, decided, manager, began)
    assert found.ready_s >= found.decision_s
    manager.close()


@pytest.mark.slow
def test_the_slow_loops_cost_is_that_of_its_parts(face_model):
    whole, *parts = looks.figures(face_model)

    assert whole.value == pytest.approx(sum(part.value for part in parts))
    assert {part.name.removeprefix("slow loop, ") for part in parts} == {
        *("view", "ego-motion", "freshness", "people", "scene"),
    }
    assert all(part.value > 0 for part in parts) and whole.target and not parts[0].target
