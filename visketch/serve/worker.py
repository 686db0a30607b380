"""The thread on which the model runs, and its queue.

All waiting drawings are classified in one batch, and the thread does not wait for a batch to fill. Longer jobs, such as
drawing, run one after another. Between the steps of a long job, the thread checks for cancellation and classifies new
drawings, so recognition goes on while a sketch is drawn. When the queue is full, a job is refused immediately.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from threading import Condition, Thread
from typing import Any

from visketch.errors import VisketchError
from visketch.serve.metrics import Metrics

Emit = Callable[
    [str, Callable[[], dict[str, Any]]], None
]  # the name of an event, and its content, which is only computed if somebody listens
Listen = Callable[[str, dict[str, Any]], None]
Recognise = Callable[[Sequence[Any]], Sequence[Any]]  # for each drawing an answer or a VisketchError

BATCH = 64  # the most drawings in one batch
QUICK, LONG = 256, 8  # the most jobs that may wait in each lane
WAIT = 0.6  # the longest expected wait of a drawing, in seconds, unless it fits into the next batch
SECONDS = 180.0  # the most seconds for one job, including the recognition between its steps


class Full(Exception):
    """Too many jobs are waiting."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds  # the seconds after which to try again


class Gone(Exception):
    """The client has disconnected."""


class Stopped(Exception):
    """The server is stopping, or the work took too long."""


class Job:
    """A job whose answer an event loop awaits."""

    def __init__(self, work: Any, listen: Listen | None = None) -> None:
        self.work, self.listen = work, listen
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()
        self.came = time.perf_counter()
        self.gone = False

    def settle(self, found: Any) -> None:
        """Set the answer. This is called on the worker's thread. An exception is raised where the answer is awaited."""
        self._call(self._settle, found)

    def say(self, name: str, data: Callable[[], dict[str, Any]]) -> None:
        if self.listen:
            self._call(self.listen, name, data())

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(function, *arguments)

    def _settle(self, found: Any) -> None:
        if self.answer.done():
            return
        if isinstance(found, Exception):
            self.answer.set_exception(found)
        else:
            self.answer.set_result(found)


class Worker:
    def __init__(
        self, recognise: Recognise, gauges: Metrics, *, batch: int = BATCH, quick: int = QUICK, long: int = LONG
    ) -> None:
        self.recognise, self.gauges, self.batch = recognise, gauges, batch
        self.most = {"quick": quick, "long": long}
        self.lanes: dict[str, deque[Job]] = {"quick": deque(), "long": deque()}
        self.doing: list[Job] = []  # long jobs
        self.taken = 0  # the number of quick jobs in the current batch
        self.changed = Condition()
        self.stopping = False
        self.usual = {"quick": 0.01, "long": 5.0}  # the running mean of the seconds that a job takes
        self.thread = Thread(target=self._run, name="model", daemon=True)
        for lane in self.lanes:
            gauges.waiting.labels(lane).set_function(partial(len, self.lanes[lane]))

    def start(self) -> None:
        self.thread.start()

    def submit(self, lane: str, work: Any, listen: Listen | None = None) -> Job:
        """Add a job. This is called from an event loop. `listen` receives the job's events. Raises Full or Stopped, as
        `check` does.
        """
        job = Job(work, listen)
        with self.changed:
            self.check(lane)
            self.lanes[lane].append(job)
            self.changed.notify()
        return job

    def drop(self, job: Job) -> None:
        """Cancel a job whose client has disconnected, and remove it from the queue. This is called from the job's event
        loop.
        """
        job.gone = True
        job.answer.cancel()
        with self.changed:
            for lane, waiting in self.lanes.items():
                if job in waiting:
                    waiting.remove(job)
                    if lane == "long":
                        self.gauges.dropped.inc()

    def check(self, lane: str) -> None:
        """Raises Full if too many jobs are waiting, or Stopped if the server is stopping."""
        if self.stopping:
            raise Stopped("the server is being stopped")
        before = len(self.lanes[lane])
        seconds = (before + self.taken) * self.usual[lane]
        late = lane == "quick" and before >= self.batch and seconds > WAIT
        if late or before >= self.most[lane]:
            self.gauges.refused.labels(lane).inc()
            raise Full(seconds)

    def stop(self) -> None:
        """Refuse waiting jobs, and end the running one at its next step. This can be called from any thread, and
        repeatedly.
        """
        self.stopping = True  # without the lock, since a signal handler may interrupt the code that holds it
        Thread(target=self._wake, daemon=True).start()

    def _wake(self) -> None:
        """Refuse all waiting jobs immediately, since the running one may take a while to reach its next step."""
        with self.changed:
            for job in [*self.lanes["quick"], *self.lanes["long"], *self.doing]:
                job.settle(Stopped("the server is being stopped"))
            self.changed.notify_all()

    def _run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.stopping or any(self.lanes.values()))
                if self.stopping:
                    return
                job = self.lanes["long"].popleft() if self.lanes["long"] else None
                self.doing = [job] if job else []
            self._recognise_waiting()
            if job:
                self._do(job)

    def _recognise_waiting(self) -> None:
        some: list[Job] = []
        with self.changed:
            waiting = self.lanes["quick"]
            while waiting and len(some) < self.batch:
                some.append(waiting.popleft())
            self.taken = len(some)
        if not some:
            return
        start = time.perf_counter()
        try:
            answers = self.recognise([job.work for job in some])
        except Exception as error:
            answers = [error] * len(some)
        else:
            self._learn("quick", 0.1, (time.perf_counter() - start) / len(some))
        self.taken = 0
        for job, answer in zip(some, answers, strict=True):
            job.settle(answer)
        self.gauges.batch.observe(len(some))
        self.gauges.worked.labels("quick").inc(time.perf_counter() - start)

    def _do(self, job: Job) -> None:
        start = time.perf_counter()

        def between_steps(name: str, data: Callable[[], dict[str, Any]]) -> None:
            if job.gone:
                raise Gone
            if self.stopping:
                raise Stopped("the server is being stopped")
            if time.perf_counter() - start > SECONDS:
                raise Stopped(f"not finished within {SECONDS:.0f} seconds; ask for less at once")
            job.say(name, data)
            self._recognise_waiting()

        try:
            if job.gone:
                raise Gone
            answer = job.work(between_steps)
        except Gone:
            self.gauges.dropped.inc()
        except (VisketchError, Stopped) as error:
            job.settle(error)
        except Exception as error:  # this is a bug; it is reported to the client, and the thread goes on
            job.settle(error)
        else:
            self._learn("long", 0.3, time.perf_counter() - start)
            job.settle(answer)
        self.gauges.worked.labels("long").inc(time.perf_counter() - start)

    def _learn(self, lane: str, share: float, seconds: float) -> None:
        """Update the running mean of the time that a job takes. Only finished jobs count."""
        self.usual[lane] += share * (seconds - self.usual[lane])
