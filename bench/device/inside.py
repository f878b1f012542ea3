"""Runs in the emulated device: executes a plan and writes the result of each row.

    python -m bench.device.inside PLAN.json RESULTS

This module imports only the standard library, so that a broken wheel makes one row fail. Each
row's own files and its output are kept under RESULTS for the host to compare. The output also
goes to the console line by line while the row runs, and the last lines of a row that failed once
more, as lines of the device: so they are seen even if the device never ends. Rows that may run
beside others run after all that may not.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_ROW_S = 5400
_LOOK_S = 0.5
_LAST_LINES = 12
_LINE_CHARACTERS = 200
_ROW_BYTES = 768 << 20  # of memory for each row that runs beside another
_CONSOLE = threading.Lock()


def work(plan: dict[str, Any], results: Path) -> dict[str, Any]:
    """Run every row of the plan; after a failed row the others still run."""
    report: dict[str, Any] = {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "page_bytes": os.sysconf("SC_PAGE_SIZE"),
        "cores": os.cpu_count(),
        "boot_s": round(float(Path("/proc/uptime").read_text().split()[0]), 1),
        "rows": [],
    }
    ended = threading.Lock()

    def one(numbered: tuple[int, dict[str, Any]]) -> None:
        found = _row(*numbered, results)
        with ended:  # finished rows are kept even if the next row crashes the device
            report["rows"].append(found)
            write(report, results)

    rows = list(enumerate(plan["rows"]))
    for alone in (pair for pair in rows if not pair[1].get("beside")):
        one(alone)
    memory = os.sysconf("SC_PHYS_PAGES") * report["page_bytes"]
    with ThreadPoolExecutor(max(1, min(os.cpu_count() or 1, memory // _ROW_BYTES))) as pool:
        list(pool.map(one, (pair for pair in rows if pair[1].get("beside"))))
    return report


def _tell(*lines: str) -> None:
    """Print whole lines: the host knows the device's own by how they begin."""
    with _CONSOLE:
        print(*lines, sep="\n", flush=True)


def _row(number: int, row: dict[str, Any], results: Path) -> dict[str, Any]:
    name = row["name"]
    _tell(f"device: {name}")
    log = results / f"{number:02}.log"
    started = time.monotonic()
    try:
        code: int | str = _run(row["command"], log)
    except (OSError, subprocess.TimeoutExpired) as err:
        code = f"{type(err).__name__}: {err}"
    took_s = time.monotonic() - started
    found: dict[str, Any] = {"name": name, "code": code, "took_s": round(took_s, 1)}
    found["log"] = log.name
    if "keeps" in row:
        found["kept"] = _keep(Path(row["keeps"]), results / f"{number:02}.kept")
    last = [f"device:   | {line}" for line in last_lines(log)] if code != 0 else []
    _tell(*last, f"device: {name}: exit code {code}, {took_s:.0f} s")
    return found


def _run(command: list[str], log: Path) -> int:
    """Run it to its end; its output goes to `log` and, as it comes, to the console."""
    with log.open("wb") as out, log.open("rb") as written:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        end_s, waiting = time.monotonic() + _ROW_S, ""
        while True:
            try:
                code = process.wait(_LOOK_S)
            except subprocess.TimeoutExpired:
                code = None
            *lines, waiting = (waiting + written.read().decode(errors="replace")).split("\n")
            lines += [waiting] if waiting and code is not None else []
            if lines:
                _tell(*lines)
            if code is not None:
                return code
            if time.monotonic() > end_s:
                process.kill()
                process.wait()
                raise subprocess.TimeoutExpired(command, _ROW_S)


def last_lines(log: Path) -> list[str]:
    """The end of a row's output, short enough for a console."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return [line[:_LINE_CHARACTERS] for line in lines[-_LAST_LINES:]]


def _keep(file: Path, into: Path) -> dict[str, str] | None:
    if not file.is_file():
        return None
    data = file.read_bytes()
    into.write_bytes(data)
    return {"file": into.name, "sha256": hashlib.sha256(data).hexdigest()}


def write(report: dict[str, Any], results: Path) -> None:
    """Write the report to the place where the host reads it."""
    part = results / "report.part"
    part.write_text(json.dumps(report, indent=1))
    part.replace(results / "report.json")


if __name__ == "__main__":
    place = Path(sys.argv[2])
    write(work(json.loads(Path(sys.argv[1]).read_text()), place), place)
