"""Any guard in Python as a small server, for one that cannot live in the service's environment.

``python -m router_ml.integrations.guard_server module:callable --port 8090 --options '{…}'``
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
from collections.abc import Callable, Collection, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

_LOG: Final = logging.getLogger(__name__)
_MAX_BYTES: Final = 16_000_000
_SILENCE_S: Final = 75.0


def guard_server(
    guard: Callable[[Sequence[str]], Collection[str]], *, host: str = "127.0.0.1", port: int = 0
) -> ThreadingHTTPServer:
    """A server of ``POST /check``: ``{"texts": […]}`` to ``{"labels": […]}``.

    Parameters
    ----------
    guard : takes texts, gives labels
    port : 0 takes a free one; ``server.server_port`` says which
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _SILENCE_S
        # One packet an answer: header and body apart would wait for the client's acknowledgement.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if length > _MAX_BYTES:
                self.close_connection = True
                self._answer(413, {"error": f"expected at most {_MAX_BYTES} bytes"})
                return
            try:
                texts = json.loads(self.rfile.read(length))["texts"]
                if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
                    raise TypeError("texts must be a list of strings")
            except (ValueError, KeyError, TypeError):
                self._answer(422, {"error": 'expected {"texts": ["…"]}'})
                return
            try:
                self._answer(200, {"labels": sorted(map(str, guard(texts)))})
            except Exception as error:
                # The guard is foreign code; what it raises may hold text, its class does not.
                _LOG.error("the guard failed: %s", type(error).__name__)
                self._answer(500, {"error": type(error).__name__})

        def do_GET(self) -> None:
            self._answer(200, {"status": "ok"})

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a line a request is of no use."""

    return ThreadingHTTPServer((host, port), Handler)


def main() -> None:
    """Make the guard that the command line names, and serve it until the process ends."""
    parser = argparse.ArgumentParser(prog="guard_server", description=__doc__)
    parser.add_argument("factory", help="module:callable that makes the guard")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--options", type=json.loads, default={})
    given = parser.parse_args()
    module, _, name = given.factory.partition(":")
    guard = getattr(importlib.import_module(module), name)(**given.options)
    guard_server(guard, host=given.host, port=given.port).serve_forever()


if __name__ == "__main__":
    main()
