"""Measure the server under load: many clients at once, each sending one drawing after another.

    python bench/serve.py                          # 200 clients for two minutes, then one drawing at a time
    python bench/serve.py --clients 50 --seconds 10
    python bench/serve.py --kill                   # the server is killed halfway: what do clients get?

Prints the throughput with batches and with one drawing at a time (`visketch serve --batch 1`), the time of answers, the
number of refusals (429, after which a client waits as long as the server says and tries again), the number of answers
of 500 and above, and the server's memory after a quarter of the time and at the end. Clients and server share the
machine.
"""

import argparse
import asyncio
import json
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from server import served

DRAWINGS = 64


@dataclass
class Load:
    """What the clients observed."""

    seconds: list[float] = field(default_factory=list)  # for each answer with status 200
    status: Counter[str] = field(default_factory=Counter)


def drawings() -> list[bytes]:
    """Requests: the example drawings, each turned a little in many ways, in the simplified form of Quick, Draw!."""
    from visketch.data import write
    from visketch.data.read import read

    rng, found = np.random.default_rng(0), []
    examples = [next(read(path)) for path in sorted(Path("docs/examples").glob("*.svg"))]
    for number in range(DRAWINGS):
        angle = rng.uniform(-0.2, 0.2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        lines = write.quickdraw([line @ turn for line in examples[number % len(examples)].lines()])
        found.append(json.dumps({"drawing": [np.rint(line).astype(int).T.tolist() for line in lines]}).encode())
    return found


async def client(address: str, bodies: list[bytes], first: int, until: float, load: Load) -> None:
    """Send one request after another over a connection. It is written by hand, so that clients use little CPU."""
    where = urlsplit(address)
    number, reader, writer = first, None, None
    while time.perf_counter() < until:
        body = bodies[number % len(bodies)]
        number += 1
        start, wait = time.perf_counter(), 0.0
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(where.hostname, where.port)
            head = f"POST /v1/classify HTTP/1.1\r\nhost: {where.netloc}\r\ncontent-type: application/json\r\n"
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            status, headers = await answer(reader)
            load.status[str(status)] += 1
            if status == 200:
                load.seconds.append(time.perf_counter() - start)
            elif status in (429, 503):
                wait = float(headers.get("retry-after", 1))
        except (OSError, EOFError) as error:
            load.status[type(error).__name__] += 1
            reader = writer = None
            wait = 0.5
        if wait:
            await asyncio.sleep(min(wait, max(0.0, until - time.perf_counter())))
    if writer:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers


async def attack(address: str, clients: int, seconds: float, pid: int, kill: bool) -> tuple[Load, list[float]]:
    bodies, load = drawings(), Load()
    start = time.perf_counter()
    memory = []

    async def on_progress() -> None:
        for share in (0.25, 0.5, 0.98):
            await asyncio.sleep(max(0.0, start + share * seconds - time.perf_counter()))
            if kill and share == 0.5:
                os.kill(pid, signal.SIGKILL)
                return
            memory.append(resident(pid))

    until = start + seconds
    await asyncio.gather(on_progress(), *(client(address, bodies, 7 * i, until, load) for i in range(clients)))
    return load, memory


def resident(pid: int) -> float:
    """The resident memory of a process in MiB."""
    import psutil

    return psutil.Process(pid).memory_info().rss / 2**20


def measure(batch: int, clients: int, seconds: float, kill: bool) -> float:
    """The throughput in drawings a second."""
    with served("--batch", batch) as (server, address):
        asyncio.run(attack(address, 8, min(3.0, seconds), server.pid, False))  # warm-up
        load, memory = asyncio.run(attack(address, clients, seconds, server.pid, kill))
    took = np.array(load.seconds or [float("nan")])
    p50, p99 = np.percentile(took, [50, 99])
    rate = len(load.seconds) / seconds
    print(f"batches of at most {batch}, {clients} clients, {seconds:.0f} s: {rate:.1f} drawings a second")
    print(f"  answered in {p50:.2f} s (median), {p99:.2f} s (99 of 100), {took.max():.2f} s (slowest)")
    print("  " + ", ".join(f"{status}: {count:,}" for status, count in sorted(load.status.items())))
    print(f"  5xx: {sum(count for status, count in load.status.items() if status.startswith('5'))}")
    if memory:
        print(f"  memory: {' → '.join(f'{mib:.0f}' for mib in memory)} MiB", flush=True)
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    together = measure(options.batch, options.clients, options.seconds, options.kill)
    if not options.kill:
        alone = measure(1, options.clients, options.seconds, False)
        print(f"batching is worth {together / alone:.2f} x")


if __name__ == "__main__":
    main()
