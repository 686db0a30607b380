"""Much work, in the order in which it was given: items → what `prepare` makes of each → what a worker makes of batches.

`prepare` runs beside the worker, in other processes of this machine. Memory is that of what is under way, however many
items there are.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from visketch.errors import VisketchError

Item = TypeVar("Item")
Made = TypeVar("Made")
Row = TypeVar("Row")
Prepare = Callable[[Item], Iterable[Made]]  # an item → any number of things; a function that other processes can import
Worker = Callable[[list[Made]], Iterable[Row]]  # a batch of them → its rows

CHUNK = 16  # items that go to another process at once
MOST = 8  # processes, if nobody says how many: of more the model cannot take what they make


def usual_workers() -> int:
    """One core is left to whoever takes what they make."""
    return min(MOST, max(1, (os.cpu_count() or 2) - 1))


def local(
    items: Iterable[Item],
    prepare: Prepare[Item, Made],
    worker: Worker[Made, Row],
    batch: int,
    workers: int | None = None,
) -> Iterator[Row]:
    """`prepare` in `workers` processes (0: here), `worker` here. Raises VisketchError if a process is killed."""
    made = ahead(prepare, items, usual_workers() if workers is None else workers)
    while some := list(islice(made, batch)):
        yield from worker(some)


def ahead(prepare: Prepare[Item, Made], items: Iterable[Item], workers: int) -> Iterator[Made]:
    """What `prepare` makes of the items, in their order, made by other processes while the last is being used.

    The first are made here: for so few, starting a process takes longer, and its start need not be waited for.
    """
    items = iter(items)
    if not workers:
        for item in items:
            yield from prepare(item)
        return
    here = list(islice(items, 4 * CHUNK))
    chunks = iter(lambda: list(islice(items, CHUNK)), [])
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        first = list(islice(chunks, 2 * workers + 4))
        with _interrupts_put_off():  # a process starts deaf to Ctrl-C: it is for this one to end them
            waiting: deque[Future] = deque(pool.submit(_prepare_all, prepare, chunk) for chunk in first)
        for item in here:
            yield from prepare(item)
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(_prepare_all, prepare, chunk) for chunk in islice(chunks, 1))
            yield from done
    except BrokenProcessPool:
        message = "a process that reads files was killed; if memory is short, ask for fewer --workers"
        raise VisketchError(message) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _prepare_all(prepare: Prepare[Item, Made], items: list[Item]) -> list[Made]:
    return [made for item in items for made in prepare(item)]


def _end_with_parent() -> None:
    """Without it, the processes of one that was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _interrupts_put_off() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
