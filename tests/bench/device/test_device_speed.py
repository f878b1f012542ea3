"""The device in virtual time: its speed, its clip and its table, without starting one."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.device import machines, site, speed, virtual
from bench.device.image.devicetree import with_timer_hz
from bench.device.image.payload import REPOSITORY
from edge.cli import main
from edge.errors import UsageError
from edge.evidence.freshness import Freshness
from edge.reasons import Reason
from tests.support import render

PI_4 = machines.machine("pi-4-class")
CELL = speed.Cell(gips=2.0, cores=1, rate_hz=15, seconds=8, runs=1)
Node = tuple[dict[str, bytes], dict[str, "Node"]]


def tree(node: Node) -> bytes:
    """A flattened device tree, written by the specification."""
    strings = bytearray()

    def packed(name: str, node: Node) -> bytes:
        made = struct.pack(">I", 1) + padded(name.encode() + b"\0")
        for key, value in node[0].items():
            made += struct.pack(">3I", 3, len(value), len(strings)) + padded(value)
            strings.extend(key.encode() + b"\0")
        return made + b"".join(packed(*child) for child in node[1].items()) + struct.pack(">I", 2)

    body = packed("", node) + struct.pack(">I", 9)
    at = 40 + 16
    head = (0xD00DFEED, at + len(body) + len(strings), at, at + len(body), 40, 17, 16, 0)
    return struct.pack(">10I", *head, len(strings), len(body)) + bytes(16) + body + bytes(strings)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def values(tree: bytes) -> dict[str, bytes]:
    """Every property by its path, read back."""
    _, total, at, at_strings, *_ = struct.unpack_from(">10I", tree)
    assert total == len(tree)
    found: dict[str, bytes] = {}
    path: list[str] = []
    while (token := struct.unpack_from(">I", tree, at)[0]) != 9:
        at += 4
        if token == 1:
            end = tree.index(b"\0", at)
            path.append(tree[at:end].decode())
            at = end + 1 + -(end + 1) % 4
        elif token == 2:
            path.pop()
        elif token == 3:
            size, name = struct.unpack_from(">2I", tree, at)
            key = tree[at_strings + name : tree.index(b"\0", at_strings + name)].decode()
            found["/".join([*path, key])] = tree[at + 8 : at + 8 + size]
            at += 8 + size + -size % 4
    return found


BOARD: Node = (
    {"compatible": b"virt\0"},
    {
        "cpus": ({}, {"timer": ({"not": b"this"}, {})}),
        "timer": ({"interrupts": bytes(12), "always-on": b""}, {}),
        "memory@40000000": ({"reg": bytes(16)}, {}),
    },
)


def test_the_timer_of_a_device_tree_gets_a_rate_and_all_else_stays() -> None:
    before = tree(BOARD)

    after = values(with_timer_hz(before, 125_000_000))

    assert after.pop("/timer/clock-frequency") == struct.pack(">I", 125_000_000)
    assert after == values(before)


@pytest.mark.parametrize(
    "bad", [b"", b"no tree" * 20, tree(({}, {"cpus": BOARD[1]["cpus"]}))], ids=repr
)
def test_what_is_no_device_tree_or_has_no_timer_is_refused(bad: bytes) -> None:
    with pytest.raises(UsageError, match=r"in the emulator's device tree|device tree from"):
        with_timer_hz(bad, 1)


@pytest.mark.skipif(shutil.which("qemu-system-aarch64") is None, reason="needs the emulator")
def test_the_emulators_own_tree_is_changed_for_more_than_one_instruction_a_nanosecond(
    tmp_path: Path,
) -> None:
    twice = virtual.timed(PI_4, 2.0, 1, tmp_path)

    assert twice.tree is not None
    read = values(Path(twice.tree).read_bytes())
    assert read["/timer/clock-frequency"] == struct.pack(">I", 2 * virtual.TIMER_HZ)
    assert virtual.timed(PI_4, 1.0, 1, tmp_path).tree is None


@pytest.mark.parametrize("gips", virtual.RATES)
def test_a_speed_is_a_time_for_each_instruction_and_idle_time_passes(
    gips: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual, "_tree", lambda machine, cores, times, scratch: f"x{times}.dtb")
    start = virtual.timed(PI_4, gips, 2, tmp_path)
    drives = machines.Drives("k", "i", "r.img", "p.tar", "res.tar")

    line = machines.command(PI_4, drives, host_cores=1, now_s=5, start=start)

    shift, times = virtual.RATES[gips]
    assert times / 2.0**shift == gips
    assert (f"x{times}.dtb" in line) is (times > 1)
    assert f"shift={shift},sleep=off" in line and "tcg,thread=single" in line
    assert line[line.index("-smp") + 1] == "2"


OLD = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright"
NEW = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright"
FIRST = "QEMU emulator version 8.1.0\n"


def test_cores_take_turns_only_where_the_emulator_shares_them_out() -> None:
    lack = virtual.lacking(2, OLD)

    assert lack is not None and "8.1 or newer" in lack and "this is 7.2.22" in lack
    assert "--cores 1" in lack and "bookworm-backports" in lack and "\n" not in lack
    assert virtual.lacking(1, OLD) is None, "one core waits for no other"
    assert [virtual.lacking(4, version) for version in (NEW, FIRST, "")] == [None, None, None]


def test_an_emulator_too_old_for_two_cores_is_named_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(virtual, "version", lambda: OLD)

    code = main(["device", "speed", "--cores", "2", "--cache", str(tmp_path / "cache")])

    assert code == 2 and "leaves the others no turn" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


@pytest.mark.skipif(shutil.which("qemu-system-aarch64") is None, reason="needs the emulator")
def test_the_emulator_names_its_version() -> None:
    assert "version " in virtual.version()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--gips", "7"], "expected --gips out of 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4; got 7"),
        (["--cores", "0"], "expected --cores of 1 to 8; got 0"),
        (["--rate", "500"], "expected --rate of 5 to 60; got 500"),
        (["--runs", "0"], "expected --runs of 1 to 20; got 0"),
        (["--seconds", "1"], "expected --seconds of 4 to 60; got 1"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, list) else "",
)
def test_a_speed_that_cannot_be_is_refused_in_one_line_before_anything_is_built(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["device", "speed", *words, "--cache", str(tmp_path / "cache")])

    printed = capsys.readouterr().err
    assert code == 2 and expected in printed and printed.count("\n") == 1
    assert not (tmp_path / "cache").exists()


def line(passed: int, received: int, cpu_ns: dict[str, int]) -> str:
    summary = {
        "frames": 120,
        "passed": passed,
        "evidence_hz": 7.5,
        "blocked_by_reason": {"DWELL": 15, "TIME_GAP": 90, "NO_LEASE": 3, "VIEW_SILENT": 1},
    }
    found = {"printed": ["start", "end"], "window_s": 4.0, "cpu_ns": cpu_ns, "received": received}
    found["disk_reads"] = 3
    return json.dumps({**found, "run": summary if passed >= 0 else {}})


def test_frames_flow_where_the_matcher_received_some_and_nowhere_else() -> None:
    assert speed.read(line(105, 105, {}), CELL).flows
    assert not speed.read(line(105, 0, {}), CELL).flows
    assert not speed.read(line(0, 0, {}), CELL).flows
    assert not speed.read(line(-1, 0, {}), CELL).flows  # the guard never ran


def test_processor_time_is_instructions_on_one_core_and_unknown_on_more() -> None:
    cpu_ns = {"gate": 60_000_000, "decider": 1_200_000_000}  # in 4 s of 15 frames each

    one = speed.read(line(105, 105, cpu_ns), CELL)
    more = speed.read(line(105, 105, cpu_ns), speed.Cell(2.0, 4, 15, 8, 1))

    assert one.per_frame == {"gate": 2.0, "decider": 40.0}
    assert more.per_frame == {}


def test_the_table_has_the_median_with_its_range_and_why_frames_were_blocked() -> None:
    runs = [speed.read(line(n, n, {"gate": 60_000_000}), CELL) for n in (90, 105, 102)]

    shown = speed.table([(CELL, runs)])

    assert "2 | 1 | 15 | 85 (75 to 87.5) % | 7.5 | 3 | TIME_GAP 90, DWELL 15, NO_LEASE 3" in shown
    assert "million instructions a frame: gate 2" in shown
    assert "0.03 billion instructions a second of video" in shown


def test_the_table_of_the_documentation_is_what_was_measured() -> None:
    kept = json.loads((REPOSITORY / "bench/device/speed.json").read_text())
    page = (REPOSITORY / "docs/devices.md").read_text()

    shown = speed.document(kept)

    assert shown and [line for line in shown if line not in page] == []
    kept[0]["runs"][0]["evidence_hz"] += 1  # twin: another figure is another line
    assert speed.document(kept)[0] not in page


def found_in(folder: Path, frames: Iterator[np.ndarray], hz: int) -> set[Reason]:
    """What freshness says of a clip of these frames, as the guard's camera reads it."""
    watch = Freshness()
    reasons: set[Reason] = set()
    clip = cv2.VideoCapture(str(render.write_clip(folder / "room.avi", frames, float(hz))))
    for index in range(10_000):
        came, frame = clip.read()
        if not came:
            break
        if index % (hz // 7) == 0:
            reasons.update(watch.read(frame, 10**9 + round(index * 1e9 / hz), ()))
    return reasons


@pytest.mark.slow
def test_the_clip_of_the_emulated_device_does_not_come_again_and_a_swaying_one_does(
    tmp_path: Path,
) -> None:
    assert found_in(tmp_path, site.frames(15, 13), 15) == set()
    swaying = render.lived_in(render.room(), 15 * 13)
    assert found_in(tmp_path, swaying, 15) == {Reason.CAM_LOOP}


def test_the_guards_cost_is_of_the_end_of_the_clip_with_every_process_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bench.device.within import guard

    roles: Callable[[int], dict[str, int]] = lambda ns: dict.fromkeys(  # noqa: E731
        ("parent", *guard._guards.MODULES), ns
    )
    samples = [(0.0, {"parent": 5}), *((float(at), roles(at * 10)) for at in range(1, 12))]

    seconds, spent = guard.between(samples)

    assert seconds == 4.0 and spent == roles(40)
    assert guard.between(samples[:3]) == (0.0, {})


def test_the_first_run_is_made_and_not_counted_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.device.within import guard

    monkeypatch.setattr(guard, "in_memory", lambda site: site)
    monkeypatch.setattr(guard, "run", lambda site, out, limit_s: {"out": out.name})
    monkeypatch.setattr("sys.argv", ["guard", str(tmp_path), "--runs", "2"])

    assert guard.main() == 0

    printed = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["out"] for line in printed if line.startswith("{")] == ["1", "2"]
    assert printed[0] == "device: a run that is not counted"
