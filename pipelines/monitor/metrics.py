"""What a monitor knows, as Prometheus metrics: a file, and a port if one is asked for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from pipelines.monitor.watch import Watch
from router_ml.monitoring.alarm import Alarm

FILE: Final = "metrics.prom"


class MonitorMetrics:
    """Collects from a watch on every scrape.

    Parameters
    ----------
    watch : that is followed
    alarms : so far

    Attributes
    ----------
    looked : when the log was last looked at, seconds since 1970
    """

    def __init__(self, watch: Watch, alarms: Sequence[Alarm]) -> None:
        self.watch = watch
        self.alarms = list(alarms)
        self.looked = time.time()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def serve(self, port: int) -> None:
        """Answer scrapes at a port of loopback, in a thread."""
        start_http_server(port, addr="127.0.0.1", registry=self.registry)

    def write(self, folder: Path) -> Path:
        """A file for the node exporter's textfile collector."""
        write_to_textfile(str(folder / FILE), self.registry)
        return folder / FILE

    def describe(self) -> Iterator[Any]:
        """Nothing in advance."""
        return iter(())

    def collect(self) -> Iterator[Any]:
        """Metric families, as they stand now."""
        reader = self.watch.reader
        for name, text, value in (
            ("router_monitor_decisions", "Decisions read", reader.n_decisions),
            ("router_monitor_outcomes", "Outcomes tested, all signals", reader.n_outcomes),
        ):
            yield CounterMetricFamily(name, text, value=value)
        yield GaugeMetricFamily(
            "router_monitor_last_look_seconds", "When the log was last read", value=self.looked
        )
        labels = ("signal", "candidate", "action")
        alarms = CounterMetricFamily("router_monitor_alarms", "Alarms", labels=labels)
        found = Counter((a.signal, a.candidate, a.action) for a in self.alarms)
        for values, n in sorted(found.items()):
            alarms.add_metric(values, n)
        yield alarms
        yield from self._evidence()

    def _evidence(self) -> Iterator[Any]:
        labels = ("version", "signal", "candidate")
        evidence = GaugeMetricFamily(
            "router_monitor_log_evidence",
            "Logarithm of the weighted e-value against no change; an alarm is at the threshold",
            labels=labels,
        )
        limit = GaugeMetricFamily(
            "router_monitor_log_threshold", "Logarithm of 1 / alpha", labels=("version",)
        )
        for monitor in self.watch.monitors.values():
            limit.add_metric((monitor.version,), monitor.threshold)
            for (signal, _, candidate), log_e in sorted(monitor.evidence().items()):
                evidence.add_metric((monitor.version, signal, candidate), max(log_e, -100.0))
        yield from (evidence, limit)
