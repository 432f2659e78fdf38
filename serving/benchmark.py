"""The service with one more path, for ``make bench`` alone: ``python -m serving.benchmark``.

``POST /noop`` reads a body as ``/v1/route`` does and answers ``ROUTER_NOOP_BYTES`` bytes of JSON
without looking at it, so that the cost of scoring can be told from the cost of HTTP.
"""

from __future__ import annotations

import os

from starlette.routing import Route

from serving.app import create_app, serve
from serving.http.call import Call
from serving.http.endpoint import Endpoint
from serving.settings import Settings


def main() -> None:
    """Serve in one process as ``ROUTER_SERVE_*`` says."""
    settings = Settings.from_environ()
    answer = b'{"noop":"' + b"x" * (int(os.environ.get("ROUTER_NOOP_BYTES", "1000")) - 11) + b'"}'

    async def noop(call: Call) -> bytes:
        return answer

    app = create_app(settings)
    endpoint = Endpoint(
        name="noop",
        handler=noop,
        telemetry=app.state.service.telemetry,
        access=app.state.service.access,
        scopes=("route",),
        max_body_bytes=settings.max_body_bytes,
    )
    app.router.routes.insert(0, Route("/noop", endpoint, methods=["POST"]))
    serve(app, settings)


if __name__ == "__main__":
    main()
