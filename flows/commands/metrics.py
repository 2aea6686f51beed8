"""`dailies metrics`: Prometheus figures, /healthz and /readyz, on a port of their own. Reads; changes nothing."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from schemas.errors import DailiesError
from schemas.settings import Settings
from storage.ledger import Ledger
from storage.ledger.gauges import Numbers
from storage.objects import Store

SCHEDULE_SECONDS = 30.0
"""How long an answer of the Prefect server is used again."""


class Monitor:
    """Asks ledger, store and schedule; a prometheus_client collector."""

    def __init__(
        self, ledger: Ledger, store: Store, *, next_start: Callable[[], datetime | None] | None = None
    ) -> None:
        """`next_start`: when the next night begins; None where no Prefect server is used."""
        self.ledger, self.store, self._next_start = ledger, store, next_start
        self._asked: tuple[float, datetime | None] | None = None
        self._guard = threading.Lock()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        trouble, seconds = self._measure()
        yield _labelled(
            "dailies_up", "1 where this part answers", "part", {p: float(not t) for p, t in trouble.items()}
        )
        yield _labelled("dailies_answer_seconds", "how long this part took to answer", "part", seconds)
        if not trouble["database"]:
            yield from _families(self.ledger.numbers())
        start = self._next()
        if start is not None:
            yield GaugeMetricFamily(
                "dailies_next_night_timestamp_seconds", "start of the next night", start.timestamp()
            )

    def ready(self) -> dict[str, str]:
        """Part -> ok, or the kind of trouble. A studio without a scheduled night is not ready."""
        trouble, _ = self._measure()
        states = {part: wrong or "ok" for part, wrong in trouble.items()}
        if self._next_start is not None:
            states["schedule"] = "ok" if self._next() is not None else "no night is scheduled"
        return states

    def _measure(self) -> tuple[dict[str, str], dict[str, float]]:
        trouble, seconds = {}, {}
        asks: dict[str, Callable[[], Any]] = {
            "database": lambda: self.ledger.nights(limit=1),
            "store": lambda: self.store.exists("reports/ready"),
        }
        for part, ask in asks.items():
            start = time.monotonic()
            try:
                ask()
                trouble[part] = ""
            except DailiesError as wrong:
                trouble[part] = type(wrong).__name__
            seconds[part] = time.monotonic() - start
        return trouble, seconds

    def _next(self) -> datetime | None:
        if self._next_start is None:
            return None
        with self._guard:
            if self._asked is None or time.monotonic() - self._asked[0] > SCHEDULE_SECONDS:
                self._asked = (time.monotonic(), self._next_start())
            return self._asked[1]


def _labelled(name: str, text: str, label: str, values: dict[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([str(value)], number)
    return family


def _families(numbers: Numbers) -> Iterator[GaugeMetricFamily]:
    yield _labelled("dailies_waiting", "specs to make", "priority", {p: float(n) for p, n in numbers.waiting.items()})
    failures = {cause: float(count) for cause, count in numbers.failures_day.items()}
    yield _labelled("dailies_failures_day", "failures of 24 hours", "cause", failures)
    yield _labelled("dailies_stage_seconds", "mean seconds an image", "stage", numbers.stage_seconds)
    single = {
        "dailies_set_aside": ("specs that failed too often", numbers.set_aside),
        "dailies_inbox": ("images that wait for a person", numbers.inbox),
        "dailies_leases": ("specs in a worker's hands", numbers.live_leases),
        "dailies_expired_leases": ("leases that ran out", numbers.expired_leases),
        "dailies_made_day": ("images made in 24 hours", numbers.made_day),
        "dailies_gpu_seconds_day": ("GPU seconds of 24 hours", numbers.gpu_seconds_day),
        "dailies_decisions_day": ("decisions of 24 hours", numbers.decisions_day),
        "dailies_review_seconds": ("mean seconds an image was looked at", numbers.review_seconds),
        "dailies_batch_size": ("mean images in a forward pass", numbers.batch_size),
        "dailies_open_nights": ("nights that have not ended", numbers.open_nights),
    }
    for name, (text, value) in single.items():
        yield GaugeMetricFamily(name, text, float(value))


def make_server(monitor: Monitor, *, address: str, port: int) -> ThreadingHTTPServer:
    """Not started. /metrics, /healthz, /readyz; everything else is 404."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(monitor)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif path == "/healthz":
                self._answer(200, b'{"ok": true}', "application/json")
            elif path == "/readyz":
                states = monitor.ready()
                ready = all(state == "ok" for state in states.values())
                self._answer(200 if ready else 503, json.dumps({"ok": ready, **states}).encode(), "application/json")
            else:
                self._answer(404, b"Not Found", "text/plain")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return ThreadingHTTPServer((address, port), Handler)


def serve(settings: Settings, *, address: str, port: int) -> None:
    """Serves until it is stopped."""
    from tasks.parts import open_parts

    parts = open_parts(settings)
    asks = _next_start if os.environ.get("PREFECT_API_URL") else None
    with make_server(Monitor(parts.ledger, parts.store, next_start=asks), address=address, port=port) as server:
        print(f"http://{address}:{server.server_port}/metrics", flush=True)
        server.serve_forever()


def _next_start() -> datetime | None:
    """Start of the next night on the Prefect server; None when there is none or nobody answers."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    from flows.schedule import next_night

    try:
        with get_client(sync_client=True) as client:
            night = next_night(client)
    except (httpx.HTTPError, ObjectNotFound):
        return None
    return night.at if night else None
