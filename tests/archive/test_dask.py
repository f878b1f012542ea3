"""Judging on a Dask cluster of real processes, whose scheduler or worker is killed meanwhile."""

from __future__ import annotations

import hashlib
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.archive import clusters
from edge.archive.engines import run
from edge.archive.manifest import Recording
from edge.archive.store import Store, tape_key
from edge.archive.tasks import Done, Failed, Judge, work
from edge.commissioning.records import load_device, load_session
from edge.errors import UsageError
from tests.support.dask_cluster import DaskCluster
from tests.support.guards import DEVICE, SESSION
from tests.support.tapes import random_case
from tests.support.tasks import works_after_a_kill, works_behind_a_gate

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

RECORDINGS = 6


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DaskCluster]:
    pytest.importorskip("distributed", reason="needs Dask")
    made = DaskCluster(tmp_path / "cluster")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def recordings(tmp_path: Path) -> list[Recording]:
    """Recordings that are gone, with their tapes in `store`; each decides otherwise."""
    (tmp_path / "D.toml").write_text(DEVICE)
    (tmp_path / "S.toml").write_text(SESSION)
    device, session = load_device(tmp_path / "D.toml"), load_session(tmp_path / "S.toml")
    store, lines = Store(str(tmp_path / "store")), []
    seeds = iter(range(1000))
    while len(lines) < RECORDINGS:
        case = random_case(next(seeds), b"")
        if case.tape.masked:
            continue
        clip, sha256 = (
            tmp_path / f"{len(lines)}.avi",
            hashlib.sha256(bytes([len(lines)])).hexdigest(),
        )
        one = Recording(clip, sha256, tmp_path / "D.toml", tmp_path / "S.toml")
        store.keep(store.tape(tape_key(one, device, session)), case.tape.to_bytes())
        lines.append(one)
    return lines


def _decided(results: list[Done | Failed]) -> set[bytes]:
    done = [one for one in results if isinstance(one, Done)]
    assert len(done) == len(results) == RECORDINGS, results
    return {Path(one.place).read_bytes() for one in done}


def _judged(recordings: list[Recording], store: str) -> list[Judge]:
    return [Judge(one, store, "strict") for one in recordings]


def _locally(recordings: list[Recording], tmp_path: Path) -> set[bytes]:
    shutil.copytree(tmp_path / "store" / "tapes", tmp_path / "local" / "tapes")
    return _decided(work(_judged(recordings, str(tmp_path / "local"))))


def test_a_restarted_scheduler_loses_nothing_and_changes_no_digest(
    cluster: DaskCluster, recordings: list[Recording], tmp_path: Path
) -> None:
    wanted, store = _locally(recordings, tmp_path), tmp_path / "store"
    first = cluster.scheduler()
    cluster.worker()
    heard: list[str] = []

    def back(what: str) -> None:
        heard.append(what)
        cluster.scheduler()
        cluster.worker()
        Path(f"{store}.gate").touch()

    tasks = _judged(recordings, str(store))
    how = {"engine": "dask", "scheduler": cluster.address}
    results = run(works_behind_a_gate, tasks, **how, lost=Failed, tell=back)  # type: ignore[arg-type]
    found = [next(results)]  # the others wait, so the scheduler knows of them
    first.send_signal(signal.SIGKILL)
    found += results

    assert {task for task, _ in found} == set(tasks)
    assert _decided([done for _, done in found]) == wanted
    assert len(wanted) == RECORDINGS
    (what,) = heard
    assert what.endswith(f"waiting for it, {RECORDINGS - 1} to do")


def test_a_scheduler_that_does_not_come_back_is_one_line_and_what_was_done_is_kept(
    cluster: DaskCluster,
    recordings: list[Recording],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clusters, "_BACK_S", 2.0)
    wanted, store = _locally(recordings, tmp_path), str(tmp_path / "store")
    first = cluster.scheduler()
    cluster.worker()
    tasks, how = _judged(recordings, store), {"engine": "dask", "scheduler": cluster.address}
    results = run(works_behind_a_gate, tasks, **how, lost=Failed)  # type: ignore[arg-type]
    task, done = next(results)
    first.send_signal(signal.SIGKILL)

    with pytest.raises(UsageError, match="no Dask scheduler answers there"):
        list(results)
    assert isinstance(done, Done)
    assert Path(done.place).exists()
    (again,) = work([task])  # the twin: by another engine, the first is found and the rest is done
    assert isinstance(again, Done)
    assert not again.fresh
    assert _decided(work(tasks)) == wanted


def test_a_killed_worker_of_a_running_cluster_loses_nothing(
    cluster: DaskCluster, recordings: list[Recording], tmp_path: Path
) -> None:
    wanted, store = _locally(recordings, tmp_path), str(tmp_path / "store")
    cluster.scheduler()
    cluster.worker()
    tasks, how = _judged(recordings, store), {"engine": "dask", "scheduler": cluster.address}
    found = dict(run(works_after_a_kill, tasks, **how, lost=Failed))  # type: ignore[arg-type]
    assert Path(f"{store}.killed").exists()
    assert _decided(list(found.values())) == wanted
