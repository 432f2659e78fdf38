"""The ASGI application, and the process around it."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from router_ml import __version__
from serving.http import openapi
from serving.http.errors import MEDIA_TYPE, problem, problem_of
from serving.http.protocol import ConnectionLimits, LimitedProtocol
from serving.loading.loader import Loader
from serving.loading.sources import check_source
from serving.metrics.shared import FOLDER_VARIABLE
from serving.routes import routes
from serving.service import Service
from serving.settings import Settings
from serving.telemetry import Telemetry

LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "()": "serving.reasons.RedactingFormatter",
            "fmt": "%(levelname)s:     %(name)s: %(message)s",
        }
    },
    "handlers": {"errors": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["errors"], "level": "INFO"},
}
"""To standard error, secrets struck out; ``logging.config`` reads it in every worker."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; nothing is loaded before its lifespan begins.

    Parameters
    ----------
    settings : ``None`` = from ``ROUTER_SERVE_*``
    """
    settings = Settings.from_environ() if settings is None else settings
    service = Service(
        settings=settings,
        loader=Loader(settings=settings),
        telemetry=Telemetry(baseline=settings.baseline),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        _on_hang_up(service)
        # What is there now stays: a full collection would walk all of it while requests wait.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="Router",
        version=__version__,
        summary="Chooses an LLM endpoint for every request.",
        lifespan=lifespan,
        redirect_slashes=False,
        exception_handlers={HTTPException: _http_problem, Exception: _failure},
    )
    app.state.service = service
    app.state.refused = service.telemetry.refused
    app.state.limits = ConnectionLimits(
        connections=settings.max_connections,
        header_bytes=settings.max_header_bytes,
        receive_s=settings.receive_timeout_s,
        send_s=settings.send_timeout_s,
        idle_s=settings.idle_timeout_s,
    )
    app.router.routes[:0] = routes(service)

    def document() -> dict[str, Any]:
        # Made anew each time: it names the candidates of the router in service.
        base = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        router = service.loader.current
        names = () if router is None else router.runtime.candidates.names
        routers = [*service.routers.named]
        keys = settings.has_keys
        return openapi.document(base, has_keys=keys, candidates=names, routers=routers)

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
        with tempfile.TemporaryDirectory(prefix="router-metrics-") as folder:
            os.environ[FOLDER_VARIABLE] = folder
            serve("serving.app:create_app", settings, factory=True, workers=settings.workers)


def serve(app: FastAPI | str, settings: Settings, **options: Any) -> None:
    """Run uvicorn with what the service needs of it."""
    import uvicorn

    # A closed terminal ends nothing; the lifespan takes the signal over.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=LimitedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=LOGGING,
        timeout_keep_alive=math.ceil(settings.idle_timeout_s),
        timeout_graceful_shutdown=math.ceil(settings.shutdown_s),
        **options,
    )


def _on_hang_up(service: Service) -> None:
    """SIGHUP reopens logs and keys; worker processes are replaced by their parent instead."""
    if threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.hang_up)


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
