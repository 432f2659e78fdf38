"""The application's side: ask the service, answer with what it chose, report what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.service import Client
from pipelines.simulation.world import WorldState
from router_ml.data.full_information import FullInformation
from router_ml.errors import ScorerUnavailableError
from router_ml.features.query import Query
from router_ml.types.arrays import BoolArray, IntArray

_PATIENCE_S: Final = 120.0
_LOOK_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Served:
    """Who served n requests: prompts and candidates as positions, router versions as names."""

    query: IntArray
    action: IntArray
    version: tuple[str, ...]


def play(
    address: str,
    truth: FullInformation,
    state: WorldState,
    query: IntArray,
    told: BoolArray,
    *,
    prefix: str,
    advance: Callable[[int], None] = lambda _: None,
) -> Served:
    """Route requests one after the other, and feed back the outcome of some.

    Parameters
    ----------
    address : of the service
    query : rows of ``truth`` that are asked, shape (n,)
    told : whose outcome is fed back, shape (n,)
    prefix : of the request ids
    advance : called with 1 after every request
    """
    names = truth.candidates.names
    action = np.zeros(len(query), dtype=np.int64)
    version = []
    with Client(address) as client:
        for i, q in enumerate(query):
            decision = client.post("/v1/route", _request(truth.queries[q], f"{prefix}-{i:06d}"))
            k = action[i] = names.index(decision["candidate"])
            version.append(str(decision["router"]["version"]))
            if told[i]:
                report = _report(decision["decision_id"], truth, state, int(q), k)
                client.post("/v1/feedback", report)
            advance(1)
    return Served(query, action, tuple(version))


def _request(query: Query, request_id: str) -> dict[str, Any]:
    body: dict[str, Any] = {"query": query.ask, "request_id": request_id}
    return body | ({"tools": [dict(tool) for tool in query.tools]} if query.tools else {})


def _report(
    decision_id: str, truth: FullInformation, state: WorldState, q: int, k: int
) -> Mapping[str, Any]:
    return {
        "decision_id": decision_id,
        "name": "check",
        "source": "checker",
        "quality": float(state.quality[q, k]),
        "candidate_served": truth.candidates.names[k],
        "input_tokens": int(truth.input_tokens[q, k]),
        "output_tokens": int(truth.output_tokens[q, k]),
        "latency_ms": float(truth.latency_ms[q, k]),
        "status": "success",
    }


def wait_for_version(address: str, version: str) -> None:
    """Block until a version is in service.

    Raises
    ------
    ScorerUnavailableError
        If it does not come, with what the service says of it.
    """
    deadline = time.monotonic() + _PATIENCE_S
    with Client(address) as client:
        while (ready := client.get("/readyz"))["router"]["version"] != version:
            if time.monotonic() > deadline:
                raise ScorerUnavailableError(
                    f"version {version} is not in service after {_PATIENCE_S:g} s: {ready}"
                )
            time.sleep(_LOOK_S)


def wait_for_rows(folder: Path, n: int) -> None:
    """Block until a decision log holds n rows: it is written off the request path.

    Raises
    ------
    ScorerUnavailableError
        If they do not come.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while (found := sum(p.read_bytes().count(b"\n") for p in folder.glob("*.jsonl"))) < n:
        if time.monotonic() > deadline:
            raise ScorerUnavailableError(
                f"{folder} has {found} rows after {_PATIENCE_S:g} s, expected {n}"
            )
        time.sleep(_LOOK_S)
