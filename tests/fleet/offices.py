"""An office that hands out releases, a device that fetches them, and a static server between."""

from __future__ import annotations

import functools
import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.audit.note import Signer
from edge.fleet.delivery.client import Client, Device, Fetched, Trust
from edge.fleet.delivery.release import Audience, Kind, Release
from edge.fleet.delivery.release_log import ReleaseLog
from edge.fleet.delivery.repository import KEY_NAMES, Repository
from edge.fleet.delivery.shelf import CURRENT, Shelf
from edge.fleet.trust_policy import TrustPolicy

LOG = Signer.generate("fleet.example/releases")
ALL = Audience()
DAY_S = 86_400


class Office:
    """A repository in a folder, with every key at hand."""

    def __init__(self, folder: Path, *, ago_s: int = 0) -> None:
        self.folder, self.ago_s = folder, ago_s
        self.keys = {name: Ed25519PrivateKey.generate() for name in KEY_NAMES}
        self.log = ReleaseLog(folder / "log", LOG)
        self.log.publish()
        Repository.create(folder, dict(self.keys), self.now_s).save()
        self.root = (folder / "metadata" / "1.root.json").read_bytes()

    @property
    def now_s(self) -> int:
        return int(time.time()) - self.ago_s

    def open(self) -> Repository:
        return Repository(self.folder, dict(self.keys), self.now_s)

    def hand_out(
        self, name: str, data: bytes, audience: Audience = ALL, kind: Kind = Kind.MODEL
    ) -> Release:
        repository = self.open()
        release = repository.add(kind, name, data, audience, self.log)
        self.log.publish()
        repository.save()
        return release


class Fetcher:
    """One device."""

    def __init__(
        self,
        folder: Path,
        office: Office,
        name: str = "d1",
        *,
        witnesses: TrustPolicy | None = None,
        known_s: int = 0,
    ) -> None:
        self.folder, self.device = folder, Device(name, ("doors",))
        self.trust = Trust(office.root, LOG.verifier, witnesses, known_s)
        self.lines: list[str] = []

    def round(self, source: Path | str, judge=lambda release, path: None) -> Fetched:
        url = source if isinstance(source, str) else source.as_uri()
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        shelf = Shelf(self.folder / "out")
        client = Client(url, self.folder / "state", shelf, self.trust, self.lines.append)
        return client.round(self.device, judge)

    def holds(self) -> dict[str, bytes]:
        """What readers see, by place."""
        current = self.folder / "out" / CURRENT
        return {
            path.relative_to(current).as_posix(): path.read_bytes()
            for path in current.glob("*/*")
            if path.is_file()
        }


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder behind a static server on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
