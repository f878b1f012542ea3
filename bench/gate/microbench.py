"""Measures the gate step, its in-process peers and GStreamer alternately, in rounds."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import Figure, number, ratio
from bench.gate.timing import steady

_GSTREAMER = Path(__file__).parent.parent / "peers" / "gstreamer.py"


@dataclass(slots=True)
class Micro:
    """The measurements of all rounds."""

    rounds: list[dict[str, float]] = field(default_factory=list)
    scheduling: str = ""
    missing: dict[str, str] = field(default_factory=dict)

    def column(self, name: str) -> list[float]:
        return [r[name] for r in self.rounds if name in r]


def measure(rounds: int, say: Callable[[str], None]) -> Micro:
    """One process for the gate and its peers, one for GStreamer; they take turns."""
    found = Micro()
    with contextlib.ExitStack() as stack:
        steps = _start(stack, [sys.executable, "-m", "bench.gate.steps"])
        first = _line(steps)
        found.scheduling, found.missing = str(first["scheduling"]), dict(first["missing"])
        stream = _gstreamer(stack)
        if stream is None:
            found.missing["gstreamer"] = "no interpreter here can import GStreamer (python3-gi)"
        for i in range(rounds):
            say(f"gate step and peers, round {i + 1} of {rounds}")
            row = _round(steps)
            if stream is not None:
                row |= {f"gst {name}": value for name, value in _round(stream).items()}
            found.rounds.append(row)
    found.rounds = steady(found.rounds, "memcpy")
    return found


def figures(found: Micro) -> list[Figure]:
    """The rows of the table from these rounds."""
    column = found.column
    probe = [p - f for p, f in zip(column("gst probe"), column("gst floor"), strict=True)]
    decision = [d - e for d, e in zip(column("decision"), column("empty"), strict=True)]
    step, paced = column("step hot"), column("step paced")
    whole, whole_hot, plain = column("whole paced"), column("whole hot"), column("plain paced")
    both = "what each adds to a call that does nothing"
    return [
        ratio("sentinel with sign map : without, paced", whole, plain, "<= 1.35"),
        ratio("decision vs Python pad probe", probe, decision, "", note=both),
        ratio("decision vs Rego engine", column("rego"), column("decision"), ">= 30"),
        ratio("gate step hot vs INT8 classifier inline", column("int8"), step, ">= 300"),
        ratio("gate step paced vs INT8 classifier inline", column("int8"), paced, ">= 20"),
        ratio("gate step hot vs FP32 classifier inline", column("fp32"), step, ">= 700"),
        ratio("gate step paced vs FP32 classifier inline", column("fp32"), paced, ">= 40"),
        ratio("gate step 720p : VGA, paced", column("step 720p paced"), paced, "<= 1.25"),
        ratio("gate step and notes, hot vs INT8 classifier inline", column("int8"), whole_hot, ""),
        ratio("gate step and notes, paced vs INT8 classifier inline", column("int8"), whole, ""),
        number("decision, hot", column("decision"), "ns"),
        number("decision, hot, above an empty call", decision, "ns"),
        number("gate step, hot", [ns / 1e3 for ns in step], "us"),
        number("gate step, paced p50", [ns / 1e3 for ns in paced], "us"),
        number("gate step, paced p99", [ns / 1e3 for ns in column("step paced p99")], "us"),
        number("gate step with its notes, hot", [ns / 1e3 for ns in whole_hot], "us"),
        number("gate step with its notes, paced p50", [ns / 1e3 for ns in whole], "us"),
        number("gate step, cold", [ns / 1e3 for ns in column("step cold")], "us"),
        number("classifier INT8", [ns / 1e6 for ns in column("int8")], "ms"),
        number("classifier FP32", [ns / 1e6 for ns in column("fp32")], "ms"),
        number("Rego engine", [ns / 1e3 for ns in column("rego")], "us"),
        number("GStreamer valve above a sink alone", _above(found, "valve"), "us"),
        number("GStreamer valve switched for each buffer", _above(found, "toggled"), "us"),
        number("GStreamer pad probe above an element alone", [ns / 1e3 for ns in probe], "us"),
        number("memcpy of a VGA frame (canary)", [ns / 1e3 for ns in column("memcpy")], "us"),
    ]


def _above(found: Micro, name: str) -> list[float]:
    pairs = zip(found.column(f"gst {name}"), found.column("gst sink"), strict=True)
    return [(value - floor) / 1e3 for value, floor in pairs]


def _gstreamer(stack: contextlib.ExitStack) -> subprocess.Popen[str] | None:
    for python in ("/usr/bin/python3", shutil.which("python3"), sys.executable):
        if python is None:
            continue
        with contextlib.suppress(OSError, ValueError, EOFError):
            process = _start(stack, [python, str(_GSTREAMER)])
            _line(process)
            return process
    return None


def _start(stack: contextlib.ExitStack, command: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _round(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return _line(process)


def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise EOFError("the measuring process ended")
    answer: dict[str, Any] = json.loads(line)
    return answer
