"""The server's metrics for Prometheus. They are in a registry of their own, so that one process can run several
servers.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 30, 60)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("visketch_requests", "Requests answered.", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "visketch_request_seconds",
            "Time from the request to the end of its response.",
            ["path"],
            registry=registry,
            buckets=SECONDS,
        )
        self.batch = Histogram(
            "visketch_batch_size", "Drawings recognised together.", registry=registry, buckets=BATCHES
        )
        self.waiting = Gauge("visketch_waiting", "Requests waiting for the model.", ["lane"], registry=registry)
        self.worked = Counter("visketch_model_seconds", "The model's work.", ["lane"], registry=registry)
        self.refused = Counter(
            "visketch_refused", "Requests refused with 429 because too many were waiting.", ["lane"], registry=registry
        )
        self.dropped = Counter(
            "visketch_dropped", "Long jobs cancelled because the client had disconnected.", registry=registry
        )

    def page(self) -> bytes:
        return generate_latest(self.registry)
