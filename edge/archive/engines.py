"""What runs the tasks of an archive: processes here, Dask, or Ray.

The engine only spreads tasks: each is a plain function of its inputs that leaves its result
in the store, so it may run anywhere, twice, or again after its worker was killed.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from edge.errors import UsageError

NAMES = ("local", "dask", "ray")
_TRIES = 3  # of a task whose worker was killed
_LOST = f"its worker was killed {_TRIES} times; see whether memory is short"
Task = TypeVar("Task")
Result = TypeVar("Result")


def run(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    engine: str = "local",
    workers: int = 1,
    scheduler: str = "",
    lost: Callable[[str], Result],
) -> Iterator[tuple[Task, Result]]:
    """Do every task, and give each with its result as it is done.

    Args:
        function: of a module, as workers import it.
        engine: one of `NAMES`.
        workers: how many at a time; with a scheduler, as many as that has.
        scheduler: address of a running Dask or Ray cluster; empty: one is started here.
        lost: the result of a task whose worker was lost too often, by what happened.

    Raises:
        UsageError: the engine is not installed, or its scheduler does not answer.
    """
    match engine:
        case "local":
            return _local(function, tasks, workers, lost)
        case "dask":
            return _dask(function, tasks, workers, scheduler, lost)
        case "ray":
            return _ray(function, tasks, workers, scheduler, lost)
    raise UsageError(f"expected one of {', '.join(NAMES)} as engine, got {engine!r}")


def _local(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    lost: Callable[[str], Result],
) -> Iterator[tuple[Task, Result]]:
    if workers == 1 or len(tasks) == 1:
        yield from ((task, function(task)) for task in tasks)
        return
    left = dict(enumerate(tasks))
    spawn = multiprocessing.get_context("spawn")  # nothing of this process but the task
    for _ in range(_TRIES):
        with ProcessPoolExecutor(min(workers, len(left)), mp_context=spawn) as pool:
            waiting = {pool.submit(function, task): number for number, task in left.items()}
            try:
                for done in as_completed(waiting):
                    result = done.result()
                    yield left.pop(waiting[done]), result
            except BrokenProcessPool:  # the state of all running tasks is unknown: they run again
                continue
        break
    for task in left.values():
        yield task, lost(_LOST)


def _dask(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    scheduler: str,
    lost: Callable[[str], Result],
) -> Iterator[tuple[Task, Result]]:
    try:
        from dask.distributed import Client, KilledWorker, LocalCluster
        from dask.distributed import as_completed as in_turn
    except ImportError as err:
        raise UsageError("--engine dask needs Dask: pip install 'framegate[dask]'") from err
    try:
        client = Client(scheduler) if scheduler else Client(_cluster(LocalCluster, workers))
    except OSError as err:
        raise UsageError(f"--scheduler {scheduler}: no Dask scheduler answers there") from err
    with client:
        waiting = {client.submit(function, task, pure=False): task for task in tasks}
        for done in in_turn(list(waiting)):
            try:
                yield waiting[done], done.result()
            except KilledWorker:
                yield waiting[done], lost(_LOST)


def _cluster(local: Callable[..., object], workers: int) -> object:
    return local(n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1")


def _ray(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    scheduler: str,
    lost: Callable[[str], Result],
) -> Iterator[tuple[Task, Result]]:
    try:
        import ray
    except ImportError as err:
        raise UsageError("--engine ray needs Ray: pip install 'framegate[ray]'") from err
    try:
        how = {"address": scheduler} if scheduler else {"num_cpus": workers}
        ray.init(**how, include_dashboard=False, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError) as err:
        raise UsageError(f"--scheduler {scheduler}: no Ray cluster answers there") from err
    try:
        remote = ray.remote(max_retries=_TRIES)(function)
        waiting = {remote.remote(task): task for task in tasks}
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            try:
                yield waiting.pop(done), ray.get(done)
            except ray.exceptions.WorkerCrashedError:
                yield waiting.pop(done), lost(_LOST)
    finally:
        ray.shutdown()
