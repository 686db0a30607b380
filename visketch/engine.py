"""Much work, in the order in which it was given: items → what `prepare` makes of each → what a worker makes of batches.

`prepare` runs beside the worker: in other processes of this machine (`local`), or all over a cluster (`ray`, an extra).
Memory is that of what is under way, however many items there are.
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
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from visketch.errors import VisketchError

Item, Made, Row = TypeVar("Item"), TypeVar("Made"), TypeVar("Row")
Prepare = Callable[[Item], Iterable[Made]]  # an item → any number of things; a function that other processes can import
Worker = Callable[[list[Made]], Iterable[Row]]  # a batch of them → its rows

CHUNK = 16  # items that go to another process at once
MOST = 8  # processes, if nobody says how many: of more the model cannot take what they make


def usual_workers() -> int:
    """One core is left to whoever takes what they make."""
    return min(MOST, max(1, (os.cpu_count() or 2) - 1))


def local(
    items: Iterable[Item], prepare: Prepare, worker: Worker, batch: int, workers: int | None = None
) -> Iterator[Row]:
    """`prepare` in `workers` processes (0: here), `worker` here. Raises VisketchError if a process is killed."""
    made = ahead(prepare, items, usual_workers() if workers is None else workers)
    while some := list(islice(made, batch)):
        yield from worker(some)


def ahead(prepare: Prepare, items: Iterable[Item], workers: int) -> Iterator[Made]:
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


def _prepare_all(prepare: Prepare, items: list[Item]) -> list[Made]:
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


def on_ray(
    items: Iterable[Item],
    prepare: Prepare,
    make_worker: Callable[[], Worker],
    batch: int,
    workers: int | None = None,
    cards: int = 0,
) -> Iterator[Row]:
    """The same over a cluster, by Ray Data: `prepare` as tasks, and `workers` workers (by default one for two cores),
    each made once, where it works, by `make_worker`; each gets `cards` GPUs.

    The cluster is the one that RAY_ADDRESS names, else this machine. If a process dies, another does again what it was
    doing, and that counts once. Raises VisketchError if Ray is not installed.
    """
    ray = _connect()
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    if workers is None:
        workers = max(1, int(ray.cluster_resources().get("CPU", 2)) // 2)
    given = ray.data.from_items([{"kept": _Kept(item)} for item in items])
    made = given.flat_map(lambda row: [{"kept": _Kept(one)} for one in prepare(row["kept"].value)])
    rows = made.map_batches(
        _OnRay,
        fn_constructor_args=(make_worker,),
        batch_size=batch,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_gpus=cards or None,
    )
    for row in rows.iter_rows():
        yield row["kept"].value


@dataclass(frozen=True)
class _Kept:
    """Ray Data would make columns of a dictionary, and a list of a tuple; in this they stay what they are."""

    value: Any


class _OnRay:
    """A worker as Ray Data calls it."""

    def __init__(self, make_worker: Callable[[], Worker]) -> None:
        self.worker = make_worker()

    def __call__(self, columns: dict[str, Any]) -> dict[str, list[_Kept]]:
        return {"kept": [_Kept(row) for row in self.worker([kept.value for kept in columns["kept"]])]}


def _connect() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise VisketchError('ray is not installed: pip install "visketch[ray]"') from None
    if not ray.is_initialized():
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        if os.environ.get("RAY_ADDRESS"):
            ray.init(**quiet)
        else:
            ray.init("local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
    return ray
