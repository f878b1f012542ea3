"""What runs the tasks of an archive: processes here, Dask, or Ray.

The engine only spreads tasks: each is a plain function of its inputs that leaves its result
in the store, so it may run anywhere, twice, or again after its worker was killed. Short tasks go
to a worker several at a time; those whose worker was killed are tried again one by one, so that
only the task that kills its worker is given up.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, TypeVar

from edge.errors import UsageError

NAMES = ("local", "dask", "ray")
_TRIES = 3  # of a task whose worker was killed
_LOST = f"its worker was killed {_TRIES} times; see whether memory is short"
Task = TypeVar("Task")
Result = TypeVar("Result")
Batch = tuple[Task, ...]
Work = Callable[[Sequence[Task]], list[Result]]
_Calls = Iterable[tuple[Batch[Task], Callable[[], Any]]]


def run(
    function: Work[Task, Result],
    tasks: Sequence[Task],
    *,
    engine: str = "local",
    workers: int = 1,
    scheduler: str = "",
    at_once: int = 1,
    lost: Callable[[str], Result],
) -> Iterator[tuple[Task, Result]]:
    """Do every task, and give each with its result as it is done.

    Args:
        function: does some tasks in order; of a module, as workers import it.
        engine: one of `NAMES`.
        workers: how many at a time; with a scheduler, as many as that has.
        scheduler: address of a running Dask or Ray cluster; empty: one is started here.
        at_once: tasks that a worker gets at a time.
        lost: the result of a task whose worker was lost too often, by what happened.

    Raises:
        UsageError: the engine is not installed, or its scheduler does not answer.
    """
    try:
        spread = {"local": _local, "dask": _dask, "ray": _ray}[engine]
    except KeyError:
        raise UsageError(f"expected one of {', '.join(NAMES)} as engine, got {engine!r}") from None
    again: list[Task] = []
    for batch, results in spread(function, _batches(tasks, at_once), workers, scheduler):
        if results is not None:
            yield from zip(batch, results, strict=True)
        elif len(batch) > 1:
            again += batch
        else:
            yield batch[0], lost(_LOST)
    if again:
        yield from run(
            function, again, engine=engine, workers=workers, scheduler=scheduler, lost=lost
        )


def _batches(tasks: Sequence[Task], at_once: int) -> list[Batch[Task]]:
    return [tuple(tasks[i : i + at_once]) for i in range(0, len(tasks), at_once)]


# Each of these does every batch, and gives each with its results, or with None if it killed its
# worker too often.
def _local(
    function: Work[Task, Result], batches: Sequence[Batch[Task]], workers: int, _: str
) -> Iterator[tuple[Batch[Task], list[Result] | None]]:
    if workers == 1 or len(batches) == 1:
        yield from ((batch, function(batch)) for batch in batches)
        return
    left = dict(enumerate(batches))
    for _try in range(_TRIES - 1):
        with _pool(min(workers, len(left))) as pool:
            waiting = {pool.submit(function, batch): number for number, batch in left.items()}
            try:
                for done in as_completed(waiting):
                    results = done.result()
                    yield left.pop(waiting[done]), results
            except BrokenProcessPool:  # the state of all running tasks is unknown: they run again
                continue
        break
    for batch in left.values():  # each in a process of its own, so that no other one suffers
        with _pool(1) as pool:
            alone = pool.submit(function, batch)
            yield from _unless_killed([(batch, alone.result)], BrokenProcessPool)


def _pool(workers: int) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")  # nothing of this process but the task
    return ProcessPoolExecutor(workers, mp_context=spawn)


def _dask(
    function: Work[Task, Result], batches: Sequence[Batch[Task]], workers: int, scheduler: str
) -> Iterator[tuple[Batch[Task], list[Result] | None]]:
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
        waiting = {client.submit(function, batch, pure=False): batch for batch in batches}
        done = ((waiting[future], future.result) for future in in_turn(list(waiting)))
        yield from _unless_killed(done, KilledWorker)


def _cluster(local: Callable[..., object], workers: int) -> object:
    return local(n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1")


def _ray(
    function: Work[Task, Result], batches: Sequence[Batch[Task]], workers: int, scheduler: str
) -> Iterator[tuple[Batch[Task], list[Result] | None]]:
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
        waiting = {remote.remote(batch): batch for batch in batches}
        yield from _unless_killed(_ray_in_turn(ray, waiting), ray.exceptions.WorkerCrashedError)
    finally:
        ray.shutdown()


def _ray_in_turn(ray: Any, waiting: dict[Any, Batch[Task]]) -> _Calls[Task]:
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        yield waiting.pop(done), partial(ray.get, done)


def _unless_killed(
    done: _Calls[Task], killed: type[BaseException]
) -> Iterator[tuple[Batch[Task], Any]]:
    for batch, result in done:
        try:
            results = result()
        except killed:
            results = None
        yield batch, results
