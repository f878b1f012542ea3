"""What runs the tasks of an archive: processes here, Dask, or Ray.

The engine only spreads tasks: each is a plain function of its inputs that leaves its result
in the store, so it may run anywhere, twice, or again after its worker was killed. Short tasks go
to a worker several at a time; those whose worker was killed are tried again one by one, so that
only the task that kills its worker is given up. `edge.archive.clusters` knows Dask and Ray.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from edge.archive.clusters import TRIES, Batch, Opens, Result, Task, Work, dask, ray
from edge.errors import UsageError

NAMES = ("local", "dask", "ray")
_LOST = f"its worker was killed {TRIES} times; see whether memory is short"
_CLUSTERS: dict[str, Opens] = {"dask": dask, "ray": ray}
_LOSSES = 3  # of the scheduler, with nothing done in between
_Spread = Iterator[tuple[Batch[Task], list[Result] | None]]


def _quiet(_: str) -> None:
    """Where nobody asked to be told."""


def run(
    function: Work[Task, Result],
    tasks: Sequence[Task],
    *,
    engine: str = "local",
    workers: int = 1,
    scheduler: str = "",
    at_once: int = 1,
    lost: Callable[[str], Result],
    tell: Callable[[str], None] = _quiet,
) -> Iterator[tuple[Task, Result]]:
    """Do every task, and give each with its result as it is done.

    Args:
        function: does some tasks in order; of a module, as workers import it.
        engine: one of `NAMES`.
        workers: how many at a time; with a scheduler, as many as that has.
        scheduler: address of a running Dask or Ray cluster; empty: one is started here.
        at_once: tasks that a worker gets at a time.
        lost: the result of a task whose worker was lost too often, by what happened.
        tell: is told when the work waits for a scheduler that went away.

    Raises:
        UsageError: the engine is not installed, or its scheduler does not answer.
    """
    if engine not in NAMES:
        raise UsageError(f"expected one of {', '.join(NAMES)} as engine, got {engine!r}")
    batches = [tuple(tasks[i : i + at_once]) for i in range(0, len(tasks), at_once)]
    if engine == "local":
        done = _local(function, batches, workers)
    else:
        done = _clustered(function, batches, _CLUSTERS[engine], workers, scheduler, tell)
    again: list[Task] = []
    for batch, results in done:
        if results is not None:
            yield from zip(batch, results, strict=True)
        elif len(batch) > 1:
            again += batch
        else:
            yield batch[0], lost(_LOST)
    if again:
        how = {"engine": engine, "workers": workers, "scheduler": scheduler}
        yield from run(function, again, **how, lost=lost, tell=tell)  # type: ignore[arg-type]


# Both of these do every batch, and give each with its results, or with None if it killed its
# worker too often.
def _local(
    function: Work[Task, Result], batches: Sequence[Batch[Task]], workers: int
) -> _Spread[Task, Result]:
    if workers == 1 or len(batches) == 1:
        yield from ((batch, function(batch)) for batch in batches)
        return
    left = dict(enumerate(batches))
    for _try in range(TRIES - 1):
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
            try:
                found: list[Result] | None = alone.result()
            except BrokenProcessPool:
                found = None
            yield batch, found


def _pool(workers: int) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")  # nothing of this process but the task
    return ProcessPoolExecutor(workers, mp_context=spawn)


def _clustered(
    function: Work[Task, Result],
    batches: Sequence[Batch[Task]],
    opens: Opens,
    workers: int,
    scheduler: str,
    tell: Callable[[str], None],
) -> _Spread[Task, Result]:
    """A scheduler that went away is waited for; what it had not reported is handed to it again."""
    left, losses = dict(enumerate(batches)), 0
    while left and losses < _LOSSES:
        with opens(workers, scheduler, again=losses > 0) as cluster:
            waiting = {cluster.submit(function, batch): n for n, batch in left.items()}
            try:
                for call in cluster.in_turn(list(waiting)):
                    try:
                        results = cluster.result(call)
                    except cluster.killed:
                        results = None
                    yield left.pop(waiting[call]), results
                    losses = 0
            except cluster.gone:
                losses += 1
                tell(f"the scheduler {scheduler} went away; waiting for it, {len(left)} to do")
    if left:
        raise UsageError(
            f"--scheduler {scheduler}: it went away {losses} times and nothing was done in "
            "between: see why it ends, and run this command again; what was done is in the store"
        )
