"""Health and metrics over HTTP, in Prometheus' text format."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Histogram, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from app.serve.settings import HttpSettings
from app.serve.spool import Spool
from operators.core.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["Metrics", "serve_http"]

_RUN_BUCKETS = (5, 10, 20, 30, 60, 90, 120, 180, 300, 600, 1200, 3600)


class Metrics:
    """Counters of the service. They hold no information about patients."""

    def __init__(self, spool: Spool) -> None:
        self.registry = CollectorRegistry()
        self.received = self._counter("objects_received", "DICOM objects stored")
        self.refused = self._counter("objects_refused", "DICOM objects refused", "reason")
        self.rejected = self._counter("associations_rejected", "Associations rejected")
        self.cut_off = self._counter("associations_cut_off", "Associations that ended without a release")
        self.runs = self._counter("runs", "Runs that ended", "outcome")
        self.sends = self._counter("sends", "Studies' results sent", "destination", "outcome")
        self.defects = self._counter("defects", "Unexpected errors inside the service", "part")
        self.run_seconds = Histogram(
            "sarcomap_run_seconds", "Seconds of successful runs", registry=self.registry, buckets=_RUN_BUCKETS
        )
        self.registry.register(_QueueCollector(spool))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"sarcomap_{name}", text, labels, registry=self.registry)


class _QueueCollector(Collector):
    """Gauges that are read from disk on request, so that they are also right after a restart."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._started = time.time()

    def collect(self) -> Iterable[Metric]:
        studies = GaugeMetricFamily("sarcomap_studies", "Studies by state", labels=["state"])
        for state, count in self._spool.counts().items():
            studies.add_metric([state], count)
        yield studies
        free = shutil.disk_usage(self._spool.root).free
        yield GaugeMetricFamily("sarcomap_spool_free_bytes", "Free bytes on the spool's disk", value=free)
        yield GaugeMetricFamily("sarcomap_started_seconds", "When the service started", value=self._started)


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing: one line for each request would be too much."""


def serve_http(settings: HttpSettings, metrics: Metrics, health: Callable[[], dict[str, bool]]) -> WSGIServer:
    """A server for ``/metrics`` and ``/health``; call its ``serve_forever`` in a thread.

    Parameters
    ----------
    settings : HttpSettings
    metrics : Metrics
    health : callable
        Returns the parts of the service and whether each is healthy. ``/health``
        answers 200 if all are, else 503.

    Raises
    ------
    UsageError
        If the service cannot listen on the address.
    """
    prometheus = make_wsgi_app(metrics.registry)

    def application(environment: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environment.get("PATH_INFO", "")
        if path == "/metrics":
            return list(prometheus(environment, start_response))
        if path == "/health":
            parts = health()
            status = "200 OK" if all(parts.values()) else "503 Service Unavailable"
            body = json.dumps({"well": all(parts.values()), "parts": parts}).encode()
            start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/health or /metrics\n"]

    try:
        return make_server(settings.host, settings.port, application, ThreadingWSGIServer, handler_class=_Silent)
    except OSError as error:
        raise UsageError(
            f"HTTP on {settings.host}, port {settings.port}",
            error.strerror or type(error).__name__,
            "a free address",
            "Choose another port, or 0 to switch health and metrics off.",
        ) from error
