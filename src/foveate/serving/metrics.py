"""What the server counts, for Prometheus. No label names a key or a document."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from foveate.document import Page

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_ROWS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("requests", "Answered requests", "route", "method", "status")
        self.seconds = self._histogram("request_seconds", "Time to the end of the answer", _SECONDS, "route")
        self.refused = self._counter("refused", "Requests turned away for want of room", "reason")
        self.pages = self._counter("pages", "Pages read", "mode", "stop")
        self.page_seconds = self._histogram(
            "page_seconds", "Time of a page with the network", _SECONDS, "mode"
        )
        self.vision_tokens = self._counter("vision_tokens", "Vision tokens of the pages read")
        self.text_tokens = self._counter("text_tokens", "Text tokens written")
        self.rows = self._histogram("batch_rows", "Pages that one step of the network served", _ROWS)
        self.waiting = self._gauge("requests_waiting", "Requests in the queue")
        self.running = self._gauge("requests_running", "Requests in work")
        self.jobs = self._gauge("jobs", "Jobs, by their state", "status")

    def page(self, page: Page, seconds: float) -> None:
        """Counts a page."""
        mode = page.mode or "none"
        self.pages.labels(mode, page.stop).inc()
        self.page_seconds.labels(mode).observe(seconds)
        self.vision_tokens.inc(page.vision_tokens)
        self.text_tokens.inc(page.text_tokens)

    def text(self) -> bytes:
        """What /metrics answers."""
        return generate_latest(self.registry)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"foveate_{name}", help, labels, registry=self.registry)

    def _gauge(self, name: str, help: str, *labels: str) -> Gauge:
        return Gauge(f"foveate_{name}", help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"foveate_{name}", help, labels, buckets=buckets, registry=self.registry)
