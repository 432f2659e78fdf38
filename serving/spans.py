"""Decisions as OpenTelemetry spans, for Phoenix and whatever else takes OTLP over HTTP.

Off unless ``ROUTER_SERVE_OTLP_ENDPOINT`` is set; needs the extra ``[otel]``. Spans are sent from a
thread of their own, in batches; a collector that is slow or down costs spans, never a request.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, Final

from router_ml.cascade.runtime.next_step import NextStep
from router_ml.errors import ConfigError
from router_ml.types.decisions import Decision
from serving.loading.loader import Router
from serving.log.text import LoggedText
from serving.requests import Ask

_ROUTE: Final = "route"
_CASCADE: Final = "cascade"
_MOST: Final = 16
"""Lines of a ranking that a span holds."""


class DecisionSpans:
    """Sends a span for every decision, with OpenInference's attributes and GenAI's.

    Parameters
    ----------
    endpoint : such as ``http://127.0.0.1:6006/v1/traces``
    text : whether ``input.value`` may hold what was asked

    Raises
    ------
    ConfigError
        If the extra is not installed.
    """

    def __init__(self, *, endpoint: str, text: LoggedText) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise ConfigError(
                f"ROUTER_SERVE_OTLP_ENDPOINT needs the extra [otel]: {error.name} is not installed"
            ) from error
        resource = Resource.create({"service.name": "router-ml"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5))
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("router-ml")
        self._context = TraceContextTextMapPropagator()
        self._text = text

    def record(self, decision_id: str, router: Router, ask: Ask, decision: Decision) -> None:
        """Queue the span of a decision."""
        self._send(_ROUTE, ask, self._attributes(decision_id, router, ask, decision))

    def step(
        self, decision_id: str, router: Router, ask: Ask, step: NextStep, asked: Sequence[str]
    ) -> None:
        """Queue the span of a cascade's step, after the candidates ``asked`` so far."""
        found = self._common(_CASCADE, decision_id, router, ask, step.candidate)
        found |= {
            "router.action": step.action,
            "router.reason": step.reason,
            "router.quality": step.quality,
            "router.expected_gain": step.expected_gain,
            "router.cost_usd": step.expected_cost_usd,
            "router.asked": tuple(asked),
        }
        self._send(_CASCADE, ask, found)

    def _send(self, name: str, ask: Ask, attributes: dict[str, Any]) -> None:
        """A span that ends now, and began when its last byte arrived."""
        ended = time.time_ns()
        call = ask.call
        took_ns = int(1e9 * (time.perf_counter() - call.arrived)) if call.arrived else 0
        parent = None
        if call.traceparent:
            parent = self._context.extract({"traceparent": call.traceparent.decode("latin-1")})
        begun = ended - took_ns
        span = self._tracer.start_span(
            name, context=parent, start_time=begun, attributes=attributes
        )
        span.end(ended)

    def close(self, timeout_s: float) -> None:
        """Send what waits, for so long at most."""
        self._processor.force_flush(int(1e3 * timeout_s))
        self._provider.shutdown()

    def _attributes(
        self, decision_id: str, router: Router, ask: Ask, decision: Decision
    ) -> dict[str, Any]:
        chosen = next(line for line in decision.ranking if line.candidate == decision.candidate)
        return self._common(_ROUTE, decision_id, router, ask, decision.candidate) | {
            "router.policy": decision.policy,
            "router.reason": decision.reason,
            "router.propensity": decision.propensity,
            "router.quality": chosen.quality,
            "router.cost_usd": chosen.cost_usd,
            "router.latency_ms": chosen.latency_ms,
            "router.ranking": tuple(line.candidate for line in decision.ranking[:_MOST]),
            "router.removed": tuple(f"{r.candidate}: {r.reason}" for r in decision.removed[:_MOST]),
        }

    def _common(
        self, operation: str, decision_id: str, router: Router, ask: Ask, candidate: str
    ) -> dict[str, Any]:
        found: dict[str, Any] = {
            "openinference.span.kind": "CHAIN",
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": candidate,
            "output.value": candidate,
            "output.mime_type": "text/plain",
            "router.decision_id": decision_id,
            "router.name": router.name.name,
            "router.version": router.name.version,
            "router.rules": tuple(rule.name for rule in ask.limits.rules),
        }
        if provider := router.runtime.candidates.provider[router.runtime.positions[candidate]]:
            found["gen_ai.provider.name"] = provider
        request = ask.request
        if request.request_id is not None:
            found["router.request_id"] = request.request_id
        if ask.session_id is not None:
            found["session.id"] = ask.session_id
        if isinstance(request.tags, dict) and request.tags:
            found["metadata"] = json.dumps(request.tags)
        elif request.tags:
            found["tag.tags"] = tuple(request.tags)
        said = self._text.keep(query=request.query, messages=request.messages)
        if said:
            found["input.value"] = json.dumps(said, default=str)
            found["input.mime_type"] = "application/json"
        return found
