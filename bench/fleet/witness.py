"""How many logs one witness can serve: a real server, real logs, every change on disk.

    python -m bench.fleet.witness --logs 2000 --rounds 3 --clients 8 --json

Each log has its own key and its own tree, signs each checkpoint and proves each step. The
requests are made before the clock starts. A server process answers them over HTTP, every
change synced to disk before its answer; client threads keep their connections. Wrong
answers end the run. The server's processor time for each request, start included, does
not depend on the load of the machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.audit.cosignature import Witness, cosignatures
from edge.audit.note import Signer, sign_note
from edge.audit.paths import root_of
from edge.audit.proofs.consistency import Request, consistency_path, written
from edge.audit.proofs.merkle import leaf_hash
from edge.audit.segment import checkpoint_text
from edge.errors import GuardError

GROWTH = 40  # entries of a log between two rounds: an hour of a guard with few changes
HOURS = 24 * 365
_START_S = 60.0
CHECKED = 50  # cosignatures that are verified after the clock has stopped


@dataclass(frozen=True, slots=True)
class Sent:
    """A request and its checkpoint."""

    body: bytes
    note: bytes


def requests_of(signer: Signer, rounds: int) -> list[Sent]:
    """What a log sends in its first rounds."""
    leaves = [leaf_hash(b"%s %d" % (signer.name.encode(), n)) for n in range(rounds * GROWTH)]
    sent = []
    for old in range(0, rounds * GROWTH, GROWTH):
        size = old + GROWTH
        note = sign_note(checkpoint_text(signer.name, size, root_of(leaves[:size])), [signer])
        path = consistency_path(old, size, lambda low, high: root_of(leaves[low:high]))
        sent.append(Sent(written(Request(old, tuple(path), note)), note))
    return sent


class Served:
    """One witness in a process of its own: SQLite, every change synced before its answer."""

    def __init__(self, folder: Path, signers: Sequence[Signer]) -> None:
        """Start it with an empty memory; it knows the logs of `signers`."""
        self.state = folder / "state.db"
        self.policy = folder / "policy"
        lines = "".join(f"log {signer.verifier.text}\n" for signer in signers)
        self.policy.write_text(lines + "quorum none\n")
        (folder / "key").write_text(Signer.generate("witness.example/bench").secret_text + "\n")
        command = [sys.executable, "-m", "edge.cli", "fleet", "witness", "--new", "--listen"]
        command += ["127.0.0.1:0", "--policy", "policy", "--key", "key", "--state", "state.db"]
        self._output = folder / "witness.out"
        with self._output.open("wb") as out:
            self._process = subprocess.Popen(command, cwd=folder, stderr=out)
        try:
            words = self._first_line().split()
            self.witness, self.port = Witness.parse(words[0]), int(words[-1])
        except BaseException:
            self.end()
            raise
        self.processor_s = 0.0  # that it took, start included; known after its end

    def _first_line(self) -> str:
        end_s = time.monotonic() + _START_S
        while time.monotonic() < end_s and self._process.poll() is None:
            first, ended, _ = self._output.read_text().partition("\n")
            if ended:
                return first
            time.sleep(0.02)
        raise GuardError(f"the witness did not start: {self._output.read_text()[-300:]}")

    def stored_bytes(self) -> int:
        """The size of its memory on disk."""
        return sum(path.stat().st_size for path in self.state.parent.glob("state.db*"))

    def end(self) -> None:
        """End it in good order."""
        if self._process.returncode is None:
            self._process.terminate()
            _, status, usage = os.wait4(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self.processor_s = usage.ru_utime + usage.ru_stime


def run(logs: int, rounds: int, clients: int, folder: Path) -> dict[str, object]:
    """Send every log's requests, one round after the other; return the figures."""
    signers = [Signer.generate(f"framegate-{n:05}/log") for n in range(logs)]
    every = [requests_of(signer, rounds) for signer in signers]
    served = Served(folder, signers)
    try:
        times_s: list[float] = []
        started = time.perf_counter()
        for turn in range(rounds):
            times_s += send([sent[turn] for sent in every], served, clients)
        taken_s = time.perf_counter() - started
    finally:
        served.end()
    times_s.sort()
    stored = served.stored_bytes()
    return {
        "logs": logs,
        "requests": len(times_s),
        "per_s": round(len(times_s) / taken_s, 1),
        "p50_ms": round(1e3 * times_s[len(times_s) // 2], 2),
        "p99_ms": round(1e3 * times_s[int(len(times_s) * 0.99)], 2),
        "processor_ms_a_request": round(1e3 * served.processor_s / len(times_s), 2),
        "stored_bytes_a_log": round(stored / logs),
        "logs_hourly_at_this_rate": int(3600 * len(times_s) / taken_s),
        "sent_bytes_a_log_and_year": round(
            HOURS * sum(len(sent[-1].body) for sent in every) / logs
        ),
    }


def send(sent: Sequence[Sent], served: Served, clients: int) -> list[float]:
    """Send all of them, each once; return the time that each took, in seconds.

    Raises:
        GuardError: one was not cosigned.
    """
    todo: queue.SimpleQueue[Sent] = queue.SimpleQueue()
    for one in sent:
        todo.put(one)
    done: list[tuple[float, Sent, bytes]] = []
    wrong: list[str] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        while not wrong:
            try:
                one = todo.get_nowait()
            except queue.Empty:
                break
            began = time.perf_counter()
            connection.request("POST", "/add-checkpoint", one.body)
            found = connection.getresponse()
            answer = found.read()
            done.append((time.perf_counter() - began, one, answer))
            if found.status != 200:
                wrong.append(f"{found.status} {answer[:100]!r}")
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong or len(done) != len(sent):
        raise GuardError(f"expected {len(sent)} cosignatures, got {len(done)}; {wrong[:1]}")
    for _, one, answer in done[:CHECKED]:
        if not cosignatures(one.note + answer, (served.witness,)):
            raise GuardError("an answer without a cosignature by the witness")
    return [taken for taken, _, _ in done]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(args.logs, args.rounds, args.clients, Path(folder))
    if args.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:28} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
