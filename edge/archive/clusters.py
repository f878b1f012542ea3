"""Dask and Ray under one set of names, for `edge.archive.engines`.

Both are extras. Each is opened as a context: a running cluster by its address, or one that is
started here and ends with the context.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from edge.errors import UsageError

TRIES = 3  # of a task whose worker was killed
_BACK_S = 300.0  # a scheduler that went away is waited for this long
_ANSWER_S = 10.0  # and answers within this
_PAUSE_S = 1.0  # between two attempts
Task = TypeVar("Task")
Result = TypeVar("Result")
Batch = tuple[Task, ...]
Work = Callable[[Sequence[Task]], list[Result]]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What spreads calls over workers; a call is whatever the library has for it."""

    submit: Callable[[Callable[..., Any], Any], Any]  # a function and its argument; the call
    in_turn: Callable[[list[Any]], Iterable[Any]]  # the calls as they are done
    result: Callable[[Any], Any]  # of a call that is done
    killed: type[BaseException]  # raised by `result`: the call killed its worker too often
    gone: tuple[type[BaseException], ...]  # the scheduler went away, and what it knew with it


class Opens(Protocol):
    """Opens a cluster."""

    def __call__(
        self, workers: int, scheduler: str, *, again: bool
    ) -> AbstractContextManager[Cluster]:
        """`again`: it was there before, so it may be on its way back.

        Raises:
            UsageError: the library is not installed, or no scheduler answers.
        """


@contextmanager
def dask(workers: int, scheduler: str, *, again: bool) -> Iterator[Cluster]:
    """Open a Dask cluster; see `Opens`."""
    try:
        from dask import distributed
    except ImportError as err:
        raise _missing("Dask", "dask") from err
    _hush("distributed")
    with ExitStack() as stack:
        if scheduler:
            with _answering("Dask", scheduler):
                client = _back(lambda: distributed.Client(scheduler, timeout=_ANSWER_S), again)
        else:
            here = distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
            )
            client = distributed.Client(stack.enter_context(here))
        stack.enter_context(client)
        yield Cluster(
            lambda function, batch: client.submit(function, batch, pure=False),
            distributed.as_completed,
            lambda call: call.result(),
            distributed.KilledWorker,
            (distributed.CancelledError,),
        )


@contextmanager
def ray(workers: int, scheduler: str, *, again: bool) -> Iterator[Cluster]:
    """Open a Ray cluster; see `Opens`. A lost head ends the driver: it does not come back here."""
    try:
        import ray as library
    except ImportError as err:
        raise _missing("Ray", "ray") from err
    how: dict[str, Any] = {"address": scheduler} if scheduler else {"num_cpus": workers}
    quiet = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
    with _answering("Ray", scheduler):
        _heard(scheduler)
        library.init(**how, **({} if scheduler else quiet))

    def in_turn(calls: list[Any]) -> Iterator[Any]:
        while calls:
            (done,), calls = library.wait(calls, num_returns=1)
            yield done

    try:
        spread = library.remote(max_retries=TRIES - 1)
        yield Cluster(
            lambda function, batch: spread(function).remote(batch),
            in_turn,
            library.get,
            library.exceptions.WorkerCrashedError,
            (),
        )
    finally:
        library.shutdown()


def _hush(library: str) -> None:
    """What a library logs of a lost connection are pages; here it is one line of ours."""
    for name in [library, *logging.root.manager.loggerDict]:
        if name == library or name.startswith(f"{library}."):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _missing(name: str, extra: str) -> UsageError:
    return UsageError(f"--engine {extra} needs {name}: pip install 'framegate[{extra}]'")


@contextmanager
def _answering(name: str, scheduler: str) -> Iterator[None]:
    """The ways in which a library says that nobody answers, as one line."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as err:
        raise UsageError(
            f"--scheduler {scheduler}: no {name} scheduler answers there: expected the address "
            f"of one that runs ({str(err).splitlines()[0] if str(err) else type(err).__name__})"
        ) from err


def _heard(address: str) -> None:
    """See that something listens there: Ray itself tries for minutes, and logs each attempt.

    Raises:
        OSError: nothing does.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():  # and not "auto"
        socket.create_connection((host, int(port)), _ANSWER_S).close()


def _back(connect: Callable[[], Any], again: bool) -> Any:
    """Connect; to a scheduler that was there before, for as long as it may take to be back."""
    until_s = time.monotonic() + (_BACK_S if again else 0.0)
    while True:
        try:
            return connect()
        except OSError:
            if time.monotonic() >= until_s:
                raise
            time.sleep(_PAUSE_S)
