"""Map many items in parallel, in order.

`prepare` turns an item into any number of things, and a worker takes batches of these things. `local` runs `prepare` in
other processes of this machine, and `on_ray` runs everything on a Ray cluster. Memory use does not depend on the number
of items.
"""

import logging
import multiprocessing
import os
import signal
import socket
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal, TypeVar

from visketch.errors import PassedOverWarning, UsageError, VisketchError

Item = TypeVar("Item")
Made = TypeVar("Made")
Row = TypeVar("Row")
Prepare = Callable[[Item], Iterable[Made]]  # an item → any number of things; must be importable in other processes
Worker = Callable[[list[Made]], Iterable[Row]]  # turns a batch of things into rows
Engine = Literal["local", "ray"]

CHUNK = 16  # the number of items that are sent to another process at once
MOST = 8  # the largest default number of processes; the model is not fast enough for more
# These are the cores that Ray's processes request. Together they fit on a machine with one core. They differ because
# Ray would otherwise fuse both steps into one process, and a file of many drawings would be processed by a single
# model.
READING, WORKING = 0.25, 0.5


class _Fork:
    """Whether torch has computed in this process, or had computed in the process from which this one was forked."""

    used = False
    inherited = False


def _note_fork() -> None:
    _Fork.inherited = _Fork.used


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def refuse_after_fork() -> None:
    """Raises UsageError in a process that was forked after torch had computed. Call this before torch computes.

    The threads of torch do not exist in such a process, and the first matrix product would wait for them forever.
    """
    if _Fork.inherited:
        raise UsageError(
            "this process was forked after a model had been used, and torch cannot compute in it; "
            'start processes with multiprocessing.get_context("spawn") or "forkserver"'
        )
    _Fork.used = True


def usual_workers() -> int:
    """The default number of processes. There is one for each core, since the consumer mostly waits for them."""
    return min(MOST, os.cpu_count() or 1)


def local(
    items: Iterable[Item],
    prepare: Prepare[Item, Made],
    worker: Worker[Made, Row],
    batch: int,
    workers: int | None = None,
) -> Iterator[Row]:
    """Run `prepare` in `workers` processes (0: in this one), and `worker` in this process.

    Raises VisketchError if a process is killed.
    """
    made = ahead(prepare, items, usual_workers() if workers is None else workers)
    while some := list(islice(made, batch)):
        yield from worker(some)


def ahead(prepare: Prepare[Item, Made], items: Iterable[Item], workers: int) -> Iterator[Made]:
    """What `prepare` makes of the items, in their order, computed in advance by other processes.

    The first items are prepared in this process while the others start, which is faster if there are only a few items.
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
        with _interrupts_put_off():  # SIGINT is blocked in worker processes, since this process stops them
            waiting: deque[Future] = deque(pool.submit(_prepare_all, prepare, chunk) for chunk in first)
        for item in here:
            yield from prepare(item)
        while waiting:
            done, told = waiting.popleft().result()
            waiting.extend(pool.submit(_prepare_all, prepare, chunk) for chunk in islice(chunks, 1))
            for warning in told:
                warnings.warn(warning, stacklevel=2)
            yield from done
    except BrokenProcessPool:
        message = "a process that reads files was killed; if memory is short, use fewer --workers"
        raise VisketchError(message) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _prepare_all(prepare: Prepare[Item, Made], items: list[Item]) -> tuple[list[Made], list[PassedOverWarning]]:
    """What `prepare` makes of the items, and what it warned of. The main process shows it in its own way."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", PassedOverWarning)
        made = [made for item in items for made in prepare(item)]
    return made, [warning.message for warning in told if isinstance(warning.message, PassedOverWarning)]


def _end_with_parent() -> None:
    """Exit when the parent process does. Otherwise the workers of a killed parent would wait for work forever."""
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
    prepare: Prepare[Item, Made],
    make_worker: Callable[[str], Worker[Made, Row]] | None,
    batch: int,
    workers: int | None = None,
    device: str = "auto",
) -> Iterator[Row]:
    """Run `prepare` and the workers on a cluster, by Ray Data. The cluster is the one that RAY_ADDRESS names, or this
    machine.

    `prepare` runs in tasks. There are `workers` workers, each created where it runs by calling `make_worker` with the
    name of a device. By default there is one for each GPU, or without GPUs one for each core, as far as there is work
    for them. Without `make_worker`, the rows are what `prepare` makes. Every machine must see the same files under the
    same names.

    If a process is killed or a machine is lost, another one repeats its work, and the results count once. Raises
    VisketchError if Ray is not installed or fails, UsageError for a device that does not exist.
    """
    ray = connect()
    there = ray.cluster_resources()
    cores, cards = max(1, int(there.get("CPU", 1))), int(there.get("GPU", 0))
    if device == "auto":
        device = "cuda" if cards else "cpu"
    if device not in ("cpu", "cuda"):
        raise UsageError(f"no device {device!r} for a cluster; use auto, cpu or cuda")
    if device == "cuda" and not cards:
        raise UsageError("no device 'cuda' in the cluster; use --device cpu or auto")
    waiting = [_Kept(item) for item in items]
    if not waiting:
        return
    # It is passed by reference because it may be large: it may hold the names of all drawings that are done.
    place = {"home": os.getcwd(), "stored": ray.put(prepare), "batch": batch}
    # There are enough tasks to keep all cores busy until the end. If there are many items, each task has enough for a
    # batch.
    tasks = max(min(len(waiting), 4 * cores), len(waiting) // batch)
    rows = ray.data.from_items(waiting, override_num_blocks=tasks).map_batches(
        _prepare_on_ray, fn_kwargs=place, batch_size=None, num_cpus=READING
    )
    if make_worker:
        most = workers or (cards if device == "cuda" else cores)
        rows = rows.map(
            _WorkerOnRay,
            fn_constructor_args=(os.getcwd(), make_worker, device),
            compute=ray.data.ActorPoolStrategy(min_size=workers or 1, max_size=most),
            **({"num_gpus": 1} if device == "cuda" else {"num_cpus": WORKING}),
        )
    try:
        for row in rows.iter_rows():
            yield from row["item"].value
    except ray.exceptions.RayError as error:
        raise VisketchError(_reason(error)) from error


@dataclass(frozen=True)
class _Kept:
    """Keeps values as they are. Ray Data would turn a dictionary into columns and a list into an array."""

    value: Any


def _prepare_on_ray(columns: dict[str, Any], home: str, stored: Any, batch: int) -> Iterator[dict[str, list[_Kept]]]:
    import ray

    os.chdir(home)
    prepare: Prepare = ray.get(stored)
    made = chain.from_iterable(prepare(kept.value) for kept in columns["item"])
    while some := list(islice(made, batch)):
        yield {"item": [_Kept(some)]}


class _WorkerOnRay:
    """A worker in the form that Ray Data creates and calls."""

    def __init__(self, home: str, make_worker: Callable[[str], Worker[Made, Row]], device: str) -> None:
        os.chdir(home)
        self.worker = make_worker(device)

    def __call__(self, row: dict[str, _Kept]) -> dict[str, _Kept]:
        return {"item": _Kept(list(self.worker(row["item"].value)))}


def connect(**local: Any) -> Any:
    """Ray, connected to a cluster. `local` are arguments that only apply to a cluster on this machine. Raises
    VisketchError.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it would log harmless events as errors
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")  # otherwise it prints messages about workers on stdout
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise VisketchError('Ray is not installed: pip install "visketch[ray]"') from None
    if not ray.is_initialized():
        where = os.environ.get("RAY_ADDRESS")
        if where is None:
            local |= {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            _knock(where or "")
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **local)
        except (OSError, ValueError) as error:
            where = where or "this machine"
            raise VisketchError(f"no Ray cluster at {where}; check RAY_ADDRESS ({error})".splitlines()[0]) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.target_max_block_size = 1  # in bytes; so every batch is passed on as soon as it is ready
    context.enable_progress_bars = context.print_on_execution_start = False
    return ray


def _knock(address: str) -> None:
    """Raises OSError if no server listens at `host:port`. Ray itself would keep trying for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _reason(error: Exception) -> str:
    """What went wrong, in one line, without the stack trace of the other machine."""
    lines = str(error).strip().splitlines()
    said = [line for line in lines if line.startswith(f"{VisketchError.__module__}.")]
    return said[-1].partition(": ")[2] if said else f"Ray gave up: {getattr(error, 'cause', None) or lines[-1]}"
