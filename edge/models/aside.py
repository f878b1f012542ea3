"""A look in a thread of its own, while the process that asked goes on with its turns.

On a slow device a look for people takes longer than a lease of 200 ms lasts. While it lasts the
decider renews what earlier evidence still allows, hears the board, and hears a withdrawal.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

TURN_S = 0.040
MOST_TURNS = 7  # then it only waits: the last one finds that the look took too long

T = TypeVar("T")


def aside(look: Callable[[], T], meanwhile: Callable[[], None]) -> T:
    """What `look` returns or raises; `meanwhile` is called up to `MOST_TURNS` times until then.

    Nothing else of the process may use what `look` uses. The thread is over at the end.

    Raises:
        MemoryError: there was too little to say what came of it.
    """
    answer: Future[T] = Future()
    thread = threading.Thread(target=_answer, args=(look, answer), name="look")
    with contextlib.suppress(RuntimeError):  # the system gives no thread: it waits for the look
        thread.start()
    if thread.ident is None:
        return look()
    try:
        for _ in range(MOST_TURNS):
            thread.join(TURN_S)
            if not thread.is_alive():
                break
            meanwhile()
    finally:
        thread.join()
    if not answer.done():
        raise MemoryError("a look ended without an answer")
    return answer.result()


def _answer(look: Callable[[], T], answer: Future[T]) -> None:
    try:
        answer.set_result(look())
    except BaseException as err:  # whatever it is belongs to whoever asked
        answer.set_exception(err)
