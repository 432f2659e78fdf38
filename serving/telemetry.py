"""Counters that the event loop increments without a lock, rendered when Prometheus asks."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from serving.heartbeat import Heartbeat
from serving.loading.loader import Loader
from serving.log.decision_log import DecisionLog

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

BUCKETS_S: Final = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)


class Telemetry:
    """What happened in this process; only the event loop writes, so no lock is needed."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.decisions: Counter[str] = Counter()
        self.feedback: Counter[str] = Counter()
        self.shed: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def observe(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests[endpoint, status] += 1
        buckets = self._buckets.get(endpoint)
        if buckets is None:
            buckets = self._buckets[endpoint] = [0] * (len(BUCKETS_S) + 1)
            self._seconds[endpoint] = 0.0
        buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self._seconds[endpoint] += seconds

    def histogram(self) -> Iterator[tuple[str, list[tuple[str, float]], float]]:
        """Endpoint, cumulative buckets and sum of seconds."""
        bounds = [*(str(bound) for bound in BUCKETS_S), "+Inf"]
        for endpoint, counts in self._buckets.items():
            total = 0.0
            cumulative = [(b, total := total + c) for b, c in zip(bounds, counts, strict=True)]
            yield endpoint, cumulative, self._seconds[endpoint]


class Collector:
    """Turns the state of one process into Prometheus metric families."""

    def __init__(
        self,
        *,
        telemetry: Telemetry,
        loader: Loader,
        log: DecisionLog | None,
        heartbeats: Iterable[Heartbeat] = (),
    ) -> None:
        self.telemetry = telemetry
        self.loader = loader
        self.log = log
        self.heartbeats = tuple(heartbeats)

    def registry(self) -> CollectorRegistry:
        """A registry with these metrics and those of the process (memory, CPU, files)."""
        from prometheus_client import CollectorRegistry, ProcessCollector

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        ProcessCollector(registry=registry)
        return registry

    def describe(self) -> Iterator[Any]:
        """Nothing in advance; families are made on the scrape."""
        return iter(())

    def collect(self) -> Iterator[Any]:
        """Metric families, as they stand now."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        t = self.telemetry
        requests = CounterMetricFamily(
            "router_http_requests", "Answered requests", labels=("endpoint", "status")
        )
        for (endpoint, status), n in sorted(t.requests.items()):
            requests.add_metric((endpoint, str(status)), n)
        yield requests
        seconds = HistogramMetricFamily(
            "router_http_request_seconds", "Time from body to answer", labels=("endpoint",)
        )
        for endpoint, buckets, total in t.histogram():
            seconds.add_metric((endpoint,), buckets, total)
        yield seconds
        for name, text, label, counts in (
            ("router_decisions", "Decisions by chosen candidate", "candidate", t.decisions),
            ("router_feedback", "Feedback by outcome", "status", t.feedback),
        ):
            family = CounterMetricFamily(name, text, labels=(label,))
            for value, n in sorted(counts.items()):
                family.add_metric((value,), n)
            yield family
        yield from self._refusal_families()
        yield from self._log_families()
        yield from self._router_families()
        yield from self._background_families()

    def _refusal_families(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily

        shed = CounterMetricFamily(
            "router_requests_shed", "Requests not handled", labels=("endpoint", "cause")
        )
        for (endpoint, cause), n in sorted(self.telemetry.shed.items()):
            shed.add_metric((endpoint, cause), n)
        yield shed
        refused = CounterMetricFamily(
            "router_connections_refused", "Connections that reached a limit", labels=("cause",)
        )
        for cause, n in sorted(self.telemetry.refused.items()):
            refused.add_metric((cause,), n)
        yield refused

    def _background_families(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        age = GaugeMetricFamily(
            "router_background_last_success_age_seconds",
            "Since a loop that runs in the background last succeeded",
            labels=("loop",),
        )
        failing = GaugeMetricFamily(
            "router_background_failing",
            "1 while its last round failed, or it stopped",
            labels=("loop",),
        )
        failures = CounterMetricFamily(
            "router_background_failures", "Rounds that failed", labels=("loop",)
        )
        for beat in self.heartbeats:
            label = (beat.name.replace(" ", "_"),)
            age.add_metric(label, beat.age_s)
            failing.add_metric(label, float(beat.problem is not None))
            failures.add_metric(label, beat.failures)
        yield from (age, failing, failures)

    def _log_families(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        if self.log is None:
            return
        family = CounterMetricFamily(
            "router_decision_log_rows",
            "Rows written, dropped because the queue was full, or lost to a write error",
            labels=("outcome",),
        )
        for outcome, n in (
            ("written", self.log.written),
            ("dropped", self.log.dropped),
            ("failed", self.log.failed),
        ):
            family.add_metric((outcome,), n)
        yield family
        yield GaugeMetricFamily(
            "router_decision_log_waiting_rows", "Not written yet", value=self.log.waiting_rows
        )
        yield GaugeMetricFamily(
            "router_decision_log_waiting_bytes", "Not written yet", value=self.log.waiting_bytes
        )

    def _router_families(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        loader = self.loader
        yield CounterMetricFamily("router_loads", "Routers put in service", value=loader.swaps)
        yield CounterMetricFamily(
            "router_load_failures", "Attempts to load that failed", value=loader.failures
        )
        yield GaugeMetricFamily(
            "router_reload_failing",
            "1 while the newest version is not in service",
            value=float(loader.error is not None),
        )
        info = GaugeMetricFamily(
            "router_info", "The router in service", labels=("name", "version", "bundle_id")
        )
        if (router := loader.current) is not None:
            labels = (router.name.name, router.name.version, router.runtime.manifest.bundle_id)
            info.add_metric(labels, 1.0)
        yield info
