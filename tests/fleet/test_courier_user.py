"""The courier is a user of its own: it reads a log's public files, does its work, and no more."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.audit.cosignature import witness_of
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.cli import main
from edge.fleet.courier import COSIGNED
from edge.fleet.witness_server import WitnessServer
from edge.fleet.witness_store import SqliteStore
from tests.support.audit_helpers import start

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two other users")

GUARD, COURIER = 60_001, 60_002
KEY, EYE = Signer.generate("framegate-0001/log"), Signer.generate("witness.example/w1")


def as_user(user: int, groups: list[int], what: Callable[[], int]) -> int:
    """The exit code of `what` in a child process of another user."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.setgroups(groups)
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            os.umask(0o077)  # as the service has it
            code = what()
        except BaseException:
            traceback.print_exc()  # a child that raised must not go on as pytest
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def home() -> Iterator[Path]:
    """Folders as they are installed, in a place that other users may enter."""
    folder = Path(tempfile.mkdtemp(prefix="courier-"))
    folder.chmod(0o755)
    for name, user, group, mode in (
        ("audit", GUARD, COURIER, 0o710),
        ("out", COURIER, COURIER, 0o755),
        ("keys", GUARD, GUARD, 0o700),
    ):
        (folder / name).mkdir()
        os.chown(folder / name, user, group)
        (folder / name).chmod(mode)
    (folder / "log.pub").write_text(KEY.verifier.text + "\n")
    yield folder
    shutil.rmtree(folder)


def grow(log: Path) -> int:
    journal = AuditLog.create_or_open(log, KEY)
    for _ in range(300):
        journal.append(start(float(journal.size)), durable=False)
    journal.close()
    return 0


@pytest.fixture
def witness(home: Path, tmp_path: Path) -> Iterator[str]:
    SqliteStore.create(tmp_path / "w.db")
    store = SqliteStore(tmp_path / "w.db", [KEY.verifier])
    server = WitnessServer(("127.0.0.1", 0), store, EYE)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    (home / "policy").write_text(f"witness w1 {witness_of(EYE).text} {url}\nquorum w1\n")
    warm_up(home, tmp_path)
    yield url
    server.shutdown()
    server.server_close()
    thread.join()


def warm_up(home: Path, folder: Path) -> None:
    """Load everything once: another user may not be able to read this Python."""
    (folder / "audit").mkdir()
    grow(folder / "audit")
    shutil.copy(home / "log.pub", folder)
    away = f"witness w1 {witness_of(EYE).text} http://127.0.0.1:9\nquorum w1\n"
    (folder / "policy").write_text(away)
    assert courier(folder) == 1


def courier(home: Path) -> int:
    options = {"--log": "audit", "--key": "log.pub", "--policy": "policy", "--out": "out"}
    words = [word for option, name in options.items() for word in (option, str(home / name))]
    return main(["fleet", "courier", "--once", *words])


def readable(home: Path, path: Path) -> bool:
    return as_user(COURIER, [], lambda: 0 if os.access(path, os.R_OK) else 1) == 0


@pytest.mark.slow
def test_the_courier_reads_public_files_alone_and_does_its_work(home: Path, witness: str) -> None:
    audit = home / "audit"
    assert as_user(GUARD, [COURIER], lambda: grow(audit)) == 0
    assert as_user(GUARD, [COURIER], lambda: grow(audit)) == 0

    assert as_user(COURIER, [], lambda: courier(home)) == 0
    assert witness_of(EYE).name in (home / "out" / COSIGNED).read_text()

    files = [path for path in audit.rglob("*") if path.is_file()]
    seen = {path.relative_to(audit).as_posix() for path in files if readable(home, path)}
    public = {
        path.relative_to(audit).as_posix()
        for path in files
        if path.name == "checkpoint" or (audit / "tile") in path.parents
    }
    assert seen == public
    assert len(files) - len(seen) >= 3  # journal, certificate and key at least
    assert len(seen) >= 4
    assert not readable(home, audit)  # nor what else lies there
    assert not readable(home, home / "keys")
    for path in (audit / "checkpoint", audit / "tile", audit):
        assert as_user(COURIER, [], lambda: 0 if os.access(path, os.W_OK) else 1) == 1  # noqa: B023


@pytest.mark.slow
def test_without_the_group_it_reads_nothing_and_says_so(home: Path, witness: str) -> None:
    assert as_user(GUARD, [], lambda: grow(home / "audit")) == 0  # the log is kept all the same

    assert as_user(COURIER, [], lambda: courier(home)) == 1
    assert list((home / "out").iterdir()) == []
