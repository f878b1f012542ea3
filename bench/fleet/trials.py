"""What the simulator tries: visits and cheats at a witness, states at a broker that restarts."""

from __future__ import annotations

import http.client
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.fleet.broker import Broker
from bench.fleet.seeded import BAD
from bench.fleet.simulated import Simulated
from bench.fleet.witness import HOURS, Served, send
from edge.errors import GuardError
from edge.fleet.mqtt import MqttBroker, mqtt_client, parse_broker
from edge.fleet.state.findings import CRITICAL
from edge.fleet.state.message import Link, link_topic, state_topic, written, written_link
from edge.fleet.witness import Status

_WAIT_S = 120.0
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Visits:
    """How the witness did."""

    per_s: float
    p50_ms: float
    p99_ms: float
    stored_bytes: float  # a device, after the first visit
    grown_bytes_a_year: float  # a device, from the growth between the last two rounds
    sent_bytes_a_year: float  # a device


@dataclass(frozen=True, slots=True)
class Shown:
    """What `fleet status` showed after the broker came back."""

    taken_s: float  # from the start of the broker's process to the end of the reader's
    states: int
    critical: frozenset[str]  # devices shown as forked or rolled back


def visit(fleet: Sequence[Simulated], served: Served, clients: int, progress: Progress) -> Visits:
    """Every device's visits, two or more rounds, one after the other.

    Raises:
        GuardError: an honest request was not cosigned.
    """
    times_s: list[float] = []
    stored: list[int] = []
    taken_s = 0.0
    for turn in range(len(fleet[0].visits)):
        began_s = time.perf_counter()
        times_s += send([device.visits[turn] for device in fleet], served, clients)
        taken_s += time.perf_counter() - began_s
        stored.append(_stored(served))
        progress("visits", len(times_s))
    times_s.sort()
    grown = stored[-1] - stored[-2]
    sent = sum(len(device.visits[-1].body) for device in fleet)
    return Visits(
        len(times_s) / taken_s,
        1e3 * times_s[len(times_s) // 2],
        1e3 * times_s[int(len(times_s) * 0.99)],
        stored[0] / len(fleet),
        HOURS * grown / len(fleet),
        HOURS * sent / len(fleet),
    )


def _stored(served: Served) -> int:
    """The size of the memory once its log of changes is in it."""
    with closing(sqlite3.connect(served.state, timeout=30)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    return served.stored_bytes()


def cheat(fleet: Sequence[Simulated], served: Served) -> int:
    """Send every cheat; how many of them the witness cosigned, which must be none."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    cosigned = 0
    for device in fleet:
        if not device.cheat:
            continue
        connection.request("POST", "/add-checkpoint", device.cheat)
        found = connection.getresponse()
        found.read()
        cosigned += found.status == Status.COSIGNED
    connection.close()
    return cosigned


def publish(fleet: Sequence[Simulated], broker: Broker, progress: Progress) -> None:
    """Publish every device's two retained messages; return when the broker has confirmed all.

    Raises:
        GuardError: it did not.
    """
    client = mqtt_client("simulator", five=True)
    link = MqttBroker(parse_broker(broker.url), "", lambda line: None, client)
    link.start()
    try:
        _until(lambda: link.connected, "the broker's connection")
        now_s = int(time.time())
        for number, device in enumerate(fleet, 1):
            link.send(written(device.state(now_s)), topic=state_topic(device.name), retain=True)
            link.send(written_link(Link.UP), topic=link_topic(device.name), retain=True)
            progress("published", number)
        _until(lambda: not link.unconfirmed, "the broker's confirmation of every state")
        if link.refused:
            raise GuardError(f"the broker refused {link.refused} messages")
    finally:
        link.close()


def restart(broker: Broker, served: Served, folder: Path) -> Shown:
    """End the broker, start it, and read everything as an operator does, in a new process.

    Raises:
        GuardError: the reader printed no table.
    """
    broker.end()
    began_s = time.perf_counter()
    broker.start()
    command = [sys.executable, "-m", "edge.cli", "fleet", "status", "--policy", str(served.policy)]
    command += ["--state", str(served.state), "--broker", broker.url, "--json", "--wait", "60"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    taken_s = time.perf_counter() - began_s
    if not done.stdout:
        raise GuardError(f"fleet status printed nothing: {done.stderr[-300:]}")
    rows = json.loads(done.stdout)
    codes = {finding.value for finding in CRITICAL}
    critical = {
        row["device"] for row in rows if any(one["code"] in codes for one in row["findings"])
    }
    return Shown(taken_s, sum(row["size"] is not None for row in rows), frozenset(critical))


def told_apart(fleet: Sequence[Simulated], shown: Shown) -> tuple[int, int]:
    """How many cheating devices were found, and how many honest ones were accused."""
    bad = {device.name for device in fleet if device.kind in BAD}
    return len(bad & shown.critical), len(shown.critical - bad)


def _until(happened: Callable[[], object], what: str) -> None:
    end_s = time.monotonic() + _WAIT_S
    while not happened():
        if time.monotonic() > end_s:
            raise GuardError(f"{what} did not come within {_WAIT_S:g} s")
        time.sleep(0.02)
