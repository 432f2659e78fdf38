"""A guard in a process of its own, over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from router_ml.client.connection import Connections
from router_ml.errors import ScorerUnavailableError


class RemoteGuard:
    """Posts ``{"texts": […]}`` and reads ``{"labels": […]}``.

    :mod:`router_ml.integrations.guard_server` is such a server around any guard in Python.

    Parameters
    ----------
    url : such as ``http://127.0.0.1:8090``; ``/check`` is added
    timeout_ms : of one exchange, connecting included
    """

    def __init__(self, *, url: str, timeout_ms: float = 100.0) -> None:
        self.timeout_s = timeout_ms / 1e3
        self._connections = Connections(url=url, kept=8)

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Labels of what was found.

        Raises
        ------
        ScorerUnavailableError
            If the answer is not of that shape. What the network raises is passed on.
        """
        deadline = time.monotonic() + self.timeout_s
        body = json.dumps({"texts": list(texts)}).encode()
        headers = {"Content-Type": "application/json"}
        status, content = self._connections.post("/check", body, headers, deadline)
        answer = json.loads(content) if status == 200 else None
        labels = answer.get("labels") if isinstance(answer, dict) else None
        if not isinstance(labels, list):
            raise ScorerUnavailableError(
                f"the guard answered {status}, expected 200 with a list of labels"
            )
        return [str(label) for label in labels]

    def close(self) -> None:
        """Close the connections that are kept."""
        self._connections.close()
