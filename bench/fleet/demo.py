"""`make fleet`: a whole fleet on this machine, one of whose logs is forked before your eyes.

    python -m bench.fleet.demo --once      ends by itself; exit code 0 if the alarm came

It starts a broker with the shipped configuration, a witness, three guards on a demo clip,
a courier and a publisher for each, and the fleet page. It serves a TUF repository over
HTTP, from which a device takes a pack and refuses a mixed state. Then it does what a thief
of a log's key can do: it ends the guard and writes another history with that key in place
of the log. All processes end with this one, and its folder goes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench.fleet.broker import Broker
from bench.fleet.certificates import make_certificates
from bench.fleet.demo_delivery import Delivery, deliver
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.commissioning.keys import read_verifier
from edge.errors import GuardError
from edge.fleet.state.message import device_of
from edge.models.pull import asset
from edge.sandbox.spec import missing

SITES = ("till-1", "till-2", "till-3")
_WAIT_S = 40.0
_INIT = (
    "--trial --lane verify_1_1 --gallery self_only --operator private_business --jurisdiction EU "
    "--public no --consent valid --taking-part yes --dwell-s 1 --no-run"
)


class Processes:
    """What runs for the fleet, each with its output in a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str, module: str = "edge.cli") -> None:
        command = [sys.executable, "-m", module, *arguments]
        with (self._folder / f"{name}.out").open("wb") as out:
            process = subprocess.Popen(command, cwd=self._folder, stdout=out, stderr=out)
        self._running[name] = process

    def newest(self) -> str:
        """The last line of each output, for a report of what went wrong."""
        found = []
        for place in sorted(self._folder.glob("*.out")):
            lines = place.read_text(errors="replace").splitlines()
            found.append(f"{place.stem}: {lines[-1] if lines else 'nothing'}")
        return "; ".join(found)

    def end(self, *names: str) -> None:
        """End these processes, all if none is named."""
        ended = [self._running[name] for name in names or self._running]
        for process in ended:
            if process.poll() is None:
                process.terminate()
        for process in ended:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(folder: Path, say: Callable[[str], None], *, once: bool) -> int:
    """Start everything, fork a log, and wait for the alarm: 0 if it came."""
    processes = Processes(folder)
    broker: Broker | None = None
    try:
        say("making three sites, their keys and certificates")
        lacking = {layer.value: why for layer, why in missing().items()}
        for why in lacking.values():  # such as a user for the matcher, which only root can give
            say(f"sandbox: {why}; the guards go without, as their signed records say")
        sites = {_site(folder, name, lacking): name for name in SITES}
        make_certificates(folder, "localhost", [*sites, "fleet-watch"])
        broker = Broker(folder)
        say(f"broker at {broker.url}")
        page = _started(folder, processes, broker.url, sites)
        say(f"fleet page: http://127.0.0.1:{page}/  (three devices; look at it now)")
        status = [*_status(folder, broker.url)]
        _until(lambda: _witnessed(folder, status) == len(SITES), "every log is cosigned")
        say("every device publishes its state, and the witness has cosigned every log")
        _delivered(folder, processes, next(iter(sites)), say)
        victim, site = list(sites.items())[-1]
        processes.end(f"{site}-guard")  # it would write its own checkpoint over the thief's
        _fork(folder / site)
        say(f"forked the log of {site} ({victim}) with its own key, as a thief of it could")
        _until(lambda: _shown(folder, status).get(victim) == "LOG_FORKED", "the alarm")
        code = subprocess.run(status, cwd=folder, check=False).returncode
        say(f"alarm: LOG_FORKED for {victim}; `framegate fleet status` exits {code}")
        say(f"look at http://127.0.0.1:{page}/device/{victim}: both heads and the proofs")
        if not once:
            say("^C ends everything")
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(1)
        return 0
    except GuardError as err:
        raise GuardError(f"{err}; {processes.newest()}") from err
    finally:
        processes.end()
        if broker is not None:
            broker.end()


def _site(folder: Path, name: str, lacking: Iterable[str]) -> str:
    """Make a site whose record goes without these layers of the sandbox; its device's name."""
    counter = f"{sys.executable} -m framegate_client.counter received.json"
    command = [sys.executable, "-m", "edge.cli", "init", name, *_INIT.split()]
    command += ["--source", str(asset("single_face.mp4")), "--matcher", counter]
    for layer in lacking:
        command += ["--without", layer]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GuardError(f"framegate init {name}: {(done.stderr or done.stdout).strip()[-500:]}")
    with (folder / name / "guard.toml").open("a") as config:
        config.write(f'[status]\nlisten = "127.0.0.1:{_free_port()}"\n')
    return device_of(read_verifier(folder / name / "keys" / "log.pub").name)


def _started(folder: Path, processes: Processes, broker: str, sites: dict[str, str]) -> int:
    """Witness, guards, couriers, publishers and the page; the page's port."""
    eye = Signer.generate("witness.example/w1")
    (folder / "w1.key").write_text(eye.secret_text + "\n")
    (folder / "w1.key").chmod(0o600)
    keys = [read_verifier(folder / site / "keys" / "log.pub").text for site in sites.values()]
    logs = "".join(f"log {key}\n" for key in keys)
    (folder / "logs").write_text(f"{logs}quorum none\n")
    port, page = _free_port(), _free_port()
    from edge.audit.cosignature import witness_of

    line = f"witness w1 {witness_of(eye).text} http://127.0.0.1:{port}\nquorum w1\n"
    (folder / "witnesses").write_text(line)
    processes.start(
        "witness",
        *(["fleet", "witness", "--policy", "logs", "--key", "w1.key", "--state", "w1.db", "--new"]),
        f"--listen=127.0.0.1:{port}",
    )
    for device, site in sites.items():
        processes.start(f"{site}-guard", "daemon", "--config", f"{site}/guard.toml")
        audit = folder / site / "audit"
        _until(lambda place=audit: (place / "checkpoint").exists(), f"the log of {site}")
        key = str(folder / site / "keys" / "log.pub")
        courier = f"fleet courier --log {audit} --policy witnesses --every 2 --key {key}"
        processes.start(f"{site}-courier", *courier.split())
        publish = f"fleet publish --log {audit} --log-key {key} --every 2 --status"
        processes.start(
            f"{site}-publish",
            *publish.split(),
            str(folder / site / "status.json"),
            *_broker(folder, broker, device),
        )
    processes.start("page", *_page(folder, broker, page))
    _until(lambda: _listens(page), "the fleet page")
    return page


def _delivered(folder: Path, processes: Processes, device: str, say: Callable[[str], None]) -> None:
    """A repository behind a static server, and a device that takes from it what is right."""
    port = _free_port()
    delivery = Delivery(folder, f"http://127.0.0.1:{port}", device)
    server = (str(port), "--bind", "127.0.0.1", "--directory", str(delivery.repository))
    processes.start("repository", *server, module="http.server")
    _until(lambda: _listens(port), "the repository's server")
    say(f"TUF repository: http://127.0.0.1:{port}/  (any static server will do)")
    deliver(delivery, say)


def _page(folder: Path, broker: str, port: int) -> Iterator[str]:
    yield from f"fleet page --policy logs --state w1.db --listen 127.0.0.1:{port}".split()
    yield from _broker(folder, broker, "fleet-watch")


def _status(folder: Path, broker: str) -> Iterator[str]:
    yield from (sys.executable, "-m", "edge.cli")
    yield from ["fleet", "status", "--policy", "logs", "--state", "w1.db"]
    yield from _broker(folder, broker, "fleet-watch")


def _broker(folder: Path, url: str, name: str) -> list[str]:
    files = [f"--ca={folder}/ca.pem", f"--cert={folder}/{name}.pem", f"--key={folder}/{name}.key"]
    return [f"--broker={url}", *files]


def _rows(folder: Path, status: list[str]) -> list[dict[str, object]]:
    done = subprocess.run(
        [*status, "--json"], cwd=folder, capture_output=True, text=True, check=False
    )
    rows: list[dict[str, object]] = json.loads(done.stdout) if done.stdout else []
    return rows


def _witnessed(folder: Path, status: list[str]) -> int:
    return sum(bool(row["witnessed_size"]) and bool(row["size"]) for row in _rows(folder, status))


def _shown(folder: Path, status: list[str]) -> dict[object, object]:
    return {row["device"]: row["shown"] for row in _rows(folder, status)}


def _fork(site: Path) -> None:
    """Another history by the same key in place of the log: one that begins anew."""
    key = Signer.parse((site / "keys" / "log.key").read_text())
    other = site / "other"
    AuditLog.create_or_open(other, key).close()
    shutil.rmtree(site / "audit")
    other.rename(site / "audit")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until(happened: Callable[[], object], what: str) -> None:
    end_s = time.monotonic() + _WAIT_S
    while not happened():
        if time.monotonic() > end_s:
            raise GuardError(f"{what} did not come within {_WAIT_S:g} s")
        time.sleep(0.3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--once", action="store_true", help="end after the alarm")
    args = parser.parse_args()
    began_s = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began_s:5.1f} s] {line}", flush=True)

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # ends all
    try:
        with tempfile.TemporaryDirectory(prefix="framegate-fleet-") as folder:
            return run(Path(folder), say, once=args.once)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except GuardError as err:
        print(f"fleet: {err}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
