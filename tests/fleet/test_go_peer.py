"""With Go's own packages for transparency logs, in both directions: `go_peer/main.go`.

Needs `apt install golang-go golang-golang-x-mod-dev`; FRAMEGATE_GOCODE names other sources.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.audit.cosignature import witness_of
from edge.audit.note import Signer, Verifier
from edge.cli import main
from edge.fleet.witness_server import WitnessServer
from edge.fleet.witness_store import SqliteStore
from tests.fleet.test_interoperation import LOG, grow, running

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
EYE = Signer.generate("witness.example/w1")
_GOCODE = Path(os.environ.get("FRAMEGATE_GOCODE", "/usr/share/gocode/src"))


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The peer, built from source without a network."""
    go, module = shutil.which("go"), _GOCODE / "golang.org/x/mod"
    if go is None or not module.is_dir():
        pytest.skip("no Go, or no golang-golang-x-mod-dev: the peer cannot be built")
    folder = tmp_path_factory.mktemp("peer")
    for source in (Path(__file__).parent / "go_peer").iterdir():
        shutil.copy(source, folder)
    with (folder / "go.mod").open("a") as text:
        text.write(f"\nreplace golang.org/x/mod => {module}\n")
    env = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOSUMDB": "off", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [go, "build", "-o", "peer", "."],
        cwd=folder,
        env={**os.environ, **env, "GOCACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "peer"


@contextmanager
def started(peer: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [peer, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_our_witness_cosigns_a_go_log_which_accepts_it_and_its_fork_is_not_cosigned(
    peer: Path, tmp_path: Path
) -> None:
    SqliteStore.create(tmp_path / "w.db")
    heard: list[str] = []
    with started(peer, "log", "http://127.0.0.1:PORT", witness_of(EYE).text) as go:
        assert go.stdin is not None and go.stdout is not None
        store = SqliteStore(tmp_path / "w.db", [Verifier.parse(go.stdout.readline())])
        server = WitnessServer(("127.0.0.1", 0), store, EYE, heard.append)
        with running(server) as port:
            go.stdin.write(f"{port}\n")
            go.stdin.flush()
            lines = go.stdout.read().splitlines()

    assert lines == [*(f"cosigned {n}" for n in (1, 2, 7, 8, 40, 300)), "fork 422 false"]
    assert store.head("go.example/log").size == 300
    assert [line.split(":")[0] for line in heard] == ["LOG_FORKED go.example/log"]


def test_a_go_witness_cosigns_our_log_and_our_verifier_accepts_it(
    peer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit, policy = tmp_path / "audit", tmp_path / "policy"
    with started(peer, "witness", LOG.verifier.text) as go:
        assert go.stdout is not None
        vkey, port = go.stdout.readline().split()
        policy.write_text(f"witness go {vkey} http://127.0.0.1:{port}\nquorum go\n")
        courier = ["fleet", "courier", "--once", "--log", str(audit), "--policy", str(policy)]
        verify = ["audit", "verify", str(audit), "--key", str(audit / "log.pub")]
        for count in (8, 22, 270, 1):
            grow(audit, count)
            assert main(courier) == 0, capsys.readouterr().err
            assert main([*verify, "--witnesses", str(policy)]) == 0
        assert "cosigned by go.example/witness at " in capsys.readouterr().err

        other = Signer.generate("go.example/witness")  # the twin: it does not count for another key
        policy.write_text(f"witness go {witness_of(other).text} http://127.0.0.1:9\nquorum go\n")
        assert main([*verify, "--witnesses", str(policy)]) == 1
