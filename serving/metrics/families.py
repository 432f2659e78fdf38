"""A snapshot as Prometheus metric families."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from serving.metrics.snapshot import Snapshot, labels_of
from serving.telemetry import BUCKETS_S

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_COUNTERS: Final = (
    ("router_http_requests", "Answered requests", "requests", ("endpoint", "status")),
    ("router_decisions", "Decisions by chosen candidate", "decisions", ("candidate",)),
    ("router_removed", "Candidates ruled out, by reason", "removed", ("reason",)),
    ("router_feedback", "Feedback by outcome", "feedback", ("status",)),
    ("router_requests_shed", "Requests not handled", "shed", ("endpoint", "cause")),
    ("router_connections_refused", "Connections that reached a limit", "refused", ("cause",)),
    ("router_decision_log_rows", "Rows written, dropped by a full queue, or given up", "log_rows",
     ("outcome",)),
    ("router_predicted", "Sum of predictions for the chosen candidates", "predicted", ("what",)),
    ("router_realised", "Sum of what feedback reported", "realised", ("what",)),
    ("router_realised_reports", "Reports in that sum", "realised_n", ("what",)),
    ("router_stage_seconds", "Time of requests by stage", "stage_seconds", ("stage",)),
    ("router_stage_requests", "Requests in that time", "stage_n", ("stage",)),
    ("router_candidate_reports", "Reports of calls of candidates", "health_reports",
     ("candidate", "outcome")),
    ("router_breaker_opened", "Times that a breaker opened", "breaker_opened", ("candidate",)),
    ("router_budget_refused", "Requests refused for a budget that is spent", "budget_refused",
     ("budget",)),
    ("router_budget_cheapest", "Requests sent to the cheapest for a budget that is spent",
     "budget_cheapest", ("budget",)),
    ("router_experiment", "Requests of the experiment by arm, shadows by outcome", "experiment",
     ("outcome",)),
    ("router_loads", "Routers put in service", "loads", ()),
    ("router_load_failures", "Attempts to load that failed", "load_failures", ()),
)  # fmt: skip
"""Name, description, family of the snapshot, labels."""

_COMPARED: Final = (
    ("router_compared_decisions", "Decisions compared with the baseline", "n"),
    ("router_compared_cost_usd", "Predicted dollars of what was chosen in them", "cost_usd"),
    ("router_compared_quality", "Predicted quality of what was chosen in them", "quality"),
    ("router_baseline_cost_usd", "Predicted dollars of the baseline in them", "baseline_cost_usd"),
    ("router_baseline_quality", "Predicted quality of the baseline in them", "baseline_quality"),
)
"""Savings are the baseline's dollars less those of what was chosen; without a comparison there is
no series, because what is not measured is not zero."""

_GAUGES: Final = (
    ("router_reload_failing", "1 while the newest version is not in service", "reload_failing"),
    ("router_decision_log_waiting_rows", "Not written yet", "waiting_rows"),
    ("router_decision_log_waiting_bytes", "Not written yet", "waiting_bytes"),
)


_LABELLED: Final = (
    ("router_breaker_state", "0 closed, 0.5 half-open, 1 open", "breaker_state", ("candidate",)),
    ("router_candidate_milliseconds", "Quantiles of the latest reported times", "candidate_ms",
     ("candidate", "what", "quantile")),
    ("router_budget_spent_usd", "Spent in the window under way", "budget_spent",
     ("budget", "scope")),
    ("router_budget_cap_usd", "Cap of each scope", "budget_cap", ("budget",)),
    ("router_sessions", "Conversations that are remembered", "sessions", ()),
    ("router_session_bytes", "Memory that they take, estimated", "session_bytes", ()),
)  # fmt: skip


class Families:
    """A collector of the Prometheus client library.

    Parameters
    ----------
    snapshot : of one worker, or of all
    baseline : label of the comparison
    """

    def __init__(self, snapshot: Snapshot, *, baseline: str = "") -> None:
        self.snapshot = snapshot
        self.baseline = baseline

    def registry(self) -> CollectorRegistry:
        """A registry with these metrics and those of this process (memory, CPU, files)."""
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
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        s = self.snapshot
        for name, text, family, labels in _COUNTERS:
            counter = CounterMetricFamily(name, text, labels=labels)
            for values, n in sorted(s.counters.get(family, {}).items()):
                counter.add_metric(labels_of(values) if labels else (), n)
            if family in s.counters:
                yield counter
        compared = s.counters.get("compared", {})
        for name, text, what in _COMPARED:
            if what in compared:
                counter = CounterMetricFamily(name, text, labels=("baseline",))
                counter.add_metric((self.baseline,), compared[what])
                yield counter
        for name, text, gauge in _GAUGES:
            if gauge in s.gauges:
                yield GaugeMetricFamily(name, text, value=s.gauges[gauge])
        yield from self._labelled()
        yield from self._seconds()
        yield from self._background()
        info = GaugeMetricFamily(
            "router_info", "The router in service", labels=("name", "version", "bundle_id")
        )
        for router in dict.fromkeys(s.routers):
            info.add_metric(router, 1.0)
        yield info

    def _labelled(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        for name, text, family, labels in _LABELLED:
            if found := self.snapshot.labelled.get(family):
                gauge = GaugeMetricFamily(name, text, labels=labels)
                for values, value in sorted(found.items()):
                    gauge.add_metric(labels_of(values) if labels else (), value)
                yield gauge

    def _seconds(self) -> Iterator[Any]:
        from prometheus_client.core import HistogramMetricFamily

        seconds = HistogramMetricFamily(
            "router_http_request_seconds", "Time from body to answer", labels=("endpoint",)
        )
        bounds = [*(str(bound) for bound in BUCKETS_S), "+Inf"]
        for endpoint, counts in self.snapshot.histograms.items():
            cumulative = [*map(float, accumulate(counts))]
            total = self.snapshot.seconds.get(endpoint, 0.0)
            seconds.add_metric((endpoint,), [*zip(bounds, cumulative, strict=True)], total)
        yield seconds

    def _background(self) -> Iterator[Any]:
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
        for loop, beat in sorted(self.snapshot.beats.items()):
            age.add_metric((loop,), beat.age_s)
            failing.add_metric((loop,), float(beat.failing))
            failures.add_metric((loop,), beat.failures)
        yield from (age, failing, failures)
