"""The ASGI application, and the process around it."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from router_ml import __version__
from serving.http import openapi
from serving.http.errors import MEDIA_TYPE, problem, problem_of
from serving.loading.loader import Loader
from serving.loading.sources import check_source
from serving.routes import add_operations, json_routes
from serving.service import Service
from serving.settings import Settings
from serving.telemetry import Telemetry


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; nothing is loaded before its lifespan begins.

    Parameters
    ----------
    settings : ``None`` = from ``ROUTER_SERVE_*``
    """
    settings = Settings.from_environ() if settings is None else settings
    service = Service(settings=settings, loader=Loader(settings=settings), telemetry=Telemetry())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        # What is there now stays: a full collection would walk all of it while requests wait.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            service.close()

    app = FastAPI(
        title="Router",
        version=__version__,
        summary="Chooses an LLM endpoint for every request.",
        lifespan=lifespan,
        redirect_slashes=False,
        exception_handlers={HTTPException: _http_problem, Exception: _failure},
    )
    app.state.service = service
    add_operations(app, service)
    app.router.routes[:0] = json_routes(service)

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            base = get_openapi(
                title=app.title, version=app.version, summary=app.summary, routes=app.routes
            )
            app.openapi_schema = openapi.document(base)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI documents this way
    return app


def run(settings: Settings) -> None:
    """Serve until a signal ends the process; worker processes read the settings from variables.

    Raises
    ------
    RouterError
        If the source cannot be right: no bundle in the folder, or no registry address.
    """
    check_source(settings)
    if settings.workers == 1:
        serve(create_app(settings), settings)
    else:
        os.environ.update(settings.to_environ())
        serve("serving.app:create_app", settings, factory=True, workers=settings.workers)


def serve(app: FastAPI | str, settings: Settings, **options: Any) -> None:
    """Run uvicorn with what the service needs of it."""
    import uvicorn

    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        **options,
    )


async def _http_problem(request: Request, error: Exception) -> Response:
    """404 and 405, which the routing raises."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    detail = {
        404: "no such path; see /docs",
        405: f"{request.method} is not allowed here; see the Allow header",
    }.get(status, HTTPStatus(status).phrase)
    return Response(problem(status, detail), status, headers, MEDIA_TYPE)


async def _failure(request: Request, error: Exception) -> Response:
    """A defect: logged with its traceback, answered without."""
    status, body, headers = problem_of(error)
    return Response(body, status, headers, MEDIA_TYPE)
