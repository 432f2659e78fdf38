"""Which path leads where."""

from __future__ import annotations

from fastapi import FastAPI, Response
from starlette.routing import Route

from serving.http.endpoint import JsonEndpoint
from serving.service import Service
from serving.telemetry import Collector


def json_routes(service: Service) -> list[Route]:
    """The JSON endpoints, the busiest first: the router tries them in order."""
    settings, telemetry = service.settings, service.telemetry
    one, many = settings.max_body_bytes, settings.max_batch_body_bytes
    keys = settings.api_keys

    def route(path: str, method: str, endpoint: JsonEndpoint) -> Route:
        return Route(path, endpoint, methods=[method], include_in_schema=False)

    return [
        route("/v1/route", "POST", JsonEndpoint(
            name="route", handler=service.route, telemetry=telemetry, api_keys=keys,
            max_body_bytes=one,
        )),
        route("/v1/feedback", "POST", JsonEndpoint(
            name="feedback", handler=service.feedback, telemetry=telemetry, api_keys=keys,
            max_body_bytes=one, status=202,
        )),
        route("/v1/route/batch", "POST", JsonEndpoint(
            name="route_batch", handler=service.route_batch, telemetry=telemetry, api_keys=keys,
            max_body_bytes=many,
        )),
        route("/v1/cascade/next", "POST", JsonEndpoint(
            name="cascade_next", handler=service.cascade_next, telemetry=telemetry, api_keys=keys,
            max_body_bytes=one,
        )),
        route("/v1/router", "GET", JsonEndpoint(
            name="router", handler=service.router, telemetry=telemetry, api_keys=keys,
        )),
        route("/readyz", "GET", JsonEndpoint(
            name="readyz", handler=service.ready, telemetry=telemetry,
        )),
    ]  # fmt: skip


def add_operations(app: FastAPI, service: Service) -> None:
    """``/healthz`` and ``/metrics``: open to whoever watches the service."""

    @app.get("/healthz", summary="Whether the process answers")
    async def healthz() -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    @app.get("/metrics", summary="Prometheus metrics")
    async def metrics() -> Response:
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        registry = Collector(
            telemetry=service.telemetry, loader=service.loader, log=service.log
        ).registry()
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})
