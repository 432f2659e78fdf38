"""How fast one worker of the scoring service is: the ``serve`` part of ``bench.json``.

The service runs in its own process on loopback; this process is the client, on raw keep-alive
sockets, because an HTTP client library takes longer than the service. Every figure is the median
of several rounds, route and no-op in turn, since neighbours on the machine come and go.
"""

from __future__ import annotations

import gzip
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import numpy as np

from pipelines.benchmarks.http_load import ask, concurrent, http, rss_mb, sequential, service
from pipelines.benchmarks.unseen import unseen_bodies
from router_ml.errors import DataError

N_PROMPTS: Final = 2_000


@dataclass(frozen=True, slots=True)
class ServeBenchmark:
    """What was reached; the names are the keys of ``bench.json``.

    Parameters
    ----------
    p50_ms, p99_ms : time from the first byte sent to the last received, one connection, prompts
        never seen before
    rps, noop_rps : answers a second over 8 connections, of ``/v1/route`` and of the no-op path
    share_of_noop : ``rps / noop_rps``
    rss_mb : resident memory of the service after the load
    ready_s : from the start of the process to ``/readyz`` saying so, from a bundle folder
    """

    p50_ms: float
    p99_ms: float
    rps: float
    noop_rps: float
    share_of_noop: float
    rss_mb: float
    ready_s: float


def benchmark_serve(
    bundle: Path,
    *,
    bodies: Sequence[bytes],
    rounds: int = 5,
    n_requests: int = 3_000,
    repeated: bool = False,
    progress: Callable[[str], None] | None = None,
) -> ServeBenchmark:
    """Measure a bundle folder behind HTTP, decision log included.

    Parameters
    ----------
    bundle : folder that ``router_ml.bundle.write_bundle`` wrote
    bodies : JSON bodies of ``/v1/route``, see :func:`prompt_bodies`; what is measured are prompts
        made of theirs, none of which is sent twice
    rounds, n_requests : measurements, and requests in each
    repeated : send the prompts as they are, again and again, as caches like it
    progress : is told what comes next
    """
    say = progress or (lambda text: None)
    warm, n = bodies[:500], rounds * n_requests
    bodies = [*islice(cycle(bodies), n)] if repeated else unseen_bodies(bodies, n)
    say("start")
    ready: list[float] = []
    with service(bundle, noop_bytes=1_000, ready=ready) as (port, _):
        answers = [ask(port, http("/v1/route", body)) for body in warm[:200]]
    noop_bytes = int(statistics.median(map(len, answers)))
    route = [http("/v1/route", body) for body in bodies]
    noop = [http("/noop", body) for body in bodies]
    latencies: list[list[float]] = []
    rates: dict[str, list[float]] = {"route": [], "noop": []}
    with service(bundle, noop_bytes=noop_bytes, ready=ready) as (port, pid):
        sequential(port, [http("/v1/route", body) for body in warm])
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            part = slice(number * n_requests, (number + 1) * n_requests)
            half = route[part][: n_requests // 2], route[part][n_requests // 2 :]
            latencies.append(sequential(port, half[0]))
            rates["route"].append(concurrent(port, half[1]))
            rates["noop"].append(concurrent(port, noop[part]))
        rss = rss_mb(pid)
    with service(bundle, noop_bytes=noop_bytes, ready=ready):
        pass
    rps, noop_rps = (statistics.median(rates[name]) for name in ("route", "noop"))
    return ServeBenchmark(
        p50_ms=statistics.median(float(np.percentile(x, 50)) for x in latencies),
        p99_ms=statistics.median(float(np.percentile(x, 99)) for x in latencies),
        rps=rps,
        noop_rps=noop_rps,
        share_of_noop=rps / noop_rps,
        rss_mb=rss,
        ready_s=statistics.median(ready),
    )


def prompt_bodies(requests: Path, *, limit: int = N_PROMPTS) -> list[bytes]:
    """Distinct prompts with their tools out of a LiteLLM request log, as bodies of ``/v1/route``.

    Raises
    ------
    DataError
        If the log has no prompt.
    """
    opened = gzip.open if requests.suffix == ".gz" else open
    bodies: dict[bytes, None] = {}
    with opened(requests, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            body = {"messages": row["messages"]}
            if tools := (row.get("model_parameters") or {}).get("tools"):
                body["tools"] = tools
            bodies[json.dumps(body).encode()] = None
            if len(bodies) >= limit:
                break
    if not bodies:
        raise DataError(f"expected requests in {requests}, found none; name another log")
    return list(bodies)
