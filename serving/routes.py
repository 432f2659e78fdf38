"""Which path leads where."""

from __future__ import annotations

from functools import partial

from starlette.routing import Route

from serving.http.call import Call
from serving.http.endpoint import Buffered, Endpoint
from serving.metrics.families import Families
from serving.service import Service
from serving.webhook import AliasWebhook, SignedEndpoint

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def routes(service: Service) -> list[Route]:
    """All endpoints, the busiest first: the router tries them in order. HEAD goes with GET."""
    settings = service.settings
    one, many = settings.max_body_bytes, settings.max_batch_body_bytes
    endpoint = partial(
        Endpoint,
        telemetry=service.telemetry,
        access=service.access,
        buffered=Buffered(limit=max(settings.max_buffered_bytes, one, many)),
    )

    def route(path: str, method: str, endpoint: Endpoint) -> Route:
        return Route(path, endpoint, methods=[method], include_in_schema=False)

    webhooks = []
    if settings.webhook_secret:
        hook = SignedEndpoint(
            secret=settings.webhook_secret,
            name="webhook_mlflow",
            handler=AliasWebhook(service.routers.loaders).take,
            telemetry=service.telemetry,
            access=service.access,
            max_body_bytes=one,
            status=202,
        )
        webhooks.append(route("/v1/webhooks/mlflow", "POST", hook))
    return [
        route("/v1/route", "POST", endpoint(
            name="route", handler=service.route, scopes=("route",), max_body_bytes=one,
        )),
        route("/v1/route/preview", "POST", endpoint(
            name="preview", handler=service.previews.preview, scopes=("route",),
            max_body_bytes=one,
        )),
        route("/v1/feedback", "POST", endpoint(
            name="feedback", handler=service.feedback.take, scopes=("feedback", "label"),
            max_body_bytes=one, status=202,
        )),
        route("/v1/health-events", "POST", endpoint(
            name="health_events", handler=service.health_events.take, scopes=("health",),
            max_body_bytes=one, status=202,
        )),
        route("/v1/route/batch", "POST", endpoint(
            name="route_batch", handler=service.batches.route, scopes=("route",),
            max_body_bytes=many,
        )),
        route("/v1/cascade/next", "POST", endpoint(
            name="cascade_next", handler=service.cascade_next, scopes=("route",),
            max_body_bytes=one,
        )),
        route("/v1/decisions", "POST", endpoint(
            name="decisions", handler=service.decisions.decisions, scopes=("route",),
            max_body_bytes=one,
        )),
        route("/v1/systemone", "POST", endpoint(
            name="systemone", handler=service.decisions.systemone, scopes=("route",),
            max_body_bytes=one,
        )),
        route("/v1/router", "GET", endpoint(
            name="router", handler=service.router, scopes=("route",),
        )),
        *webhooks,
        # Open to whoever watches the service.
        route("/readyz", "GET", endpoint(name="readyz", handler=service.ready)),
        route("/healthz", "GET", endpoint(name="healthz", handler=_healthz)),
        route("/metrics", "GET", endpoint(
            name="metrics", handler=partial(_metrics, service), media_type=_METRICS_TYPE,
        )),
    ]  # fmt: skip


async def _healthz(call: Call) -> bytes:
    return b'{"status":"ok"}'


async def _metrics(service: Service, call: Call) -> bytes:
    from prometheus_client.exposition import generate_latest

    families = Families(service.metrics.all(), baseline=service.telemetry.baseline)
    return generate_latest(families.registry())
