"""Decisions as OpenTelemetry spans, for Phoenix and whatever else takes OTLP over HTTP.

Off unless ``ROUTER_SERVE_OTLP_ENDPOINT`` is set; needs the extra ``[otel]``. Spans are sent from a
thread of their own, in batches; a collector that is slow or down costs spans, never a request.
"""

from __future__ import annotations

import json
import time
from typing import Any, Final

from router_ml.errors import ConfigError
from router_ml.types.decisions import Decision
from serving.loading.loader import Router
from serving.log.text import LoggedText
from serving.requests import Ask

_NAME: Final = "route"
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
        """Queue the span of a decision; it ends now, and began when its last byte arrived."""
        ended = time.time_ns()
        call = ask.call
        took_ns = int(1e9 * (time.perf_counter() - call.arrived)) if call.arrived else 0
        parent = None
        if call.traceparent:
            parent = self._context.extract({"traceparent": call.traceparent.decode("latin-1")})
        span = self._tracer.start_span(
            _NAME,
            context=parent,
            start_time=ended - took_ns,
            attributes=self._attributes(decision_id, router, ask, decision),
        )
        span.end(ended)

    def close(self, timeout_s: float) -> None:
        """Send what waits, for so long at most."""
        self._processor.force_flush(int(1e3 * timeout_s))
        self._provider.shutdown()

    def _attributes(
        self, decision_id: str, router: Router, ask: Ask, decision: Decision
    ) -> dict[str, Any]:
        k = router.runtime.positions[decision.candidate]
        chosen = next(line for line in decision.ranking if line.candidate == decision.candidate)
        found: dict[str, Any] = {
            "openinference.span.kind": "CHAIN",
            "gen_ai.operation.name": _NAME,
            "gen_ai.request.model": decision.candidate,
            "output.value": decision.candidate,
            "output.mime_type": "text/plain",
            "router.decision_id": decision_id,
            "router.name": router.name.name,
            "router.version": router.name.version,
            "router.policy": decision.policy,
            "router.reason": decision.reason,
            "router.propensity": decision.propensity,
            "router.quality": chosen.quality,
            "router.cost_usd": chosen.cost_usd,
            "router.latency_ms": chosen.latency_ms,
            "router.ranking": tuple(line.candidate for line in decision.ranking[:_MOST]),
            "router.removed": tuple(f"{r.candidate}: {r.reason}" for r in decision.removed[:_MOST]),
            "router.rules": tuple(rule.name for rule in ask.limits.rules),
        }
        if provider := router.runtime.candidates.provider[k]:
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
