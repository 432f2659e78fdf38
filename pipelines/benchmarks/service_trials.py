"""The service under what production brings: a trace, a long day, hostile callers, new versions."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from pipelines.benchmarks.http_load import (
    ask,
    concurrent,
    http,
    rss_mb,
    sequential,
    service,
)
from pipelines.benchmarks.open_loop import OpenLoop, open_loop
from pipelines.benchmarks.serve import benchmark_serve
from pipelines.benchmarks.unseen import permuted, unseen_bodies
from router_ml.bundle.files import MANIFEST
from router_ml.evaluation.intervals import Estimate
from router_ml.types.arrays import FloatArray

Metrics = dict[str, dict[str, Any]]
MODES: Final = ("unseen", "repeated", "open", "trace", "memory", "reload")
_WORDS_A_TOKEN: Final = 0.75
_POLL_S: Final = 0.2
_READY: Final = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_HOSTILE_BYTES: Final = 900_000


def run(
    bundle: Path,
    bodies: Sequence[bytes],
    *,
    modes: Sequence[str],
    trace: Path | None = None,
    rate: float = 500.0,
    requests: int = 200_000,
    seconds: float = 30.0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Figures of the named modes in the benchmark schema.

    Parameters
    ----------
    bodies : of real prompts, see :func:`pipelines.benchmarks.serve.prompt_bodies`
    trace : Parquet with ``arrival_s`` and ``input_tokens``
    rate : requests a second of the trace; 300 are sent in the modes open and reload
    requests : of the mode memory
    seconds : of the modes open and reload
    """
    made: dict[str, Callable[[], Metrics]] = {
        "unseen": lambda: closed(bundle, bodies, repeated=False),
        "repeated": lambda: closed(bundle, bodies, repeated=True),
        "open": lambda: steady(bundle, bodies, seconds=seconds),
        "trace": lambda: replay_trace(bundle, bodies, _needed(trace), rate=rate),
        "memory": lambda: memory(bundle, bodies, n_requests=requests, say=say),
        "reload": lambda: reload(bundle, bodies, seconds=seconds),
    }
    workloads: dict[str, Any] = {}
    for mode in modes:
        say(f"measuring {mode}")
        workloads[mode] = {"methods": {"route": made[mode]()}}
    return {"workloads": workloads}


def closed(bundle: Path, bodies: Sequence[bytes], *, repeated: bool) -> Metrics:
    """One connection, then eight, each of which sends when its answer is there."""
    found = benchmark_serve(bundle, bodies=bodies, repeated=repeated)
    values = {name: getattr(found, name) for name in found.__dataclass_fields__}
    return {name: Estimate(v, v, v, 1).as_dict() for name, v in values.items()}


def steady(
    bundle: Path, bodies: Sequence[bytes], *, seconds: float, rate: float = 300.0
) -> Metrics:
    """Poisson arrivals of prompts never seen."""
    due = _poisson(rate, seconds)
    sent = _route(unseen_bodies(bodies, len(due)))
    with service(bundle) as (port, _):
        sequential(port, _route(bodies[:500]))
        return _of(open_loop(port, sent, due))


def replay_trace(bundle: Path, bodies: Sequence[bytes], trace: Path, *, rate: float) -> Metrics:
    """Arrivals and lengths of a production trace, its time stretched to a mean rate."""
    import pyarrow.parquet as pq

    table = pq.read_table(trace, columns=["arrival_s", "input_tokens"]).to_pydict()
    arrival = np.sort(np.array(table["arrival_s"], dtype=float))
    due = (arrival - arrival[0]) * (len(arrival) / (arrival[-1] - arrival[0]) / rate)
    sent = _route(sized_bodies(bodies, table["input_tokens"]))
    with service(bundle) as (port, pid):
        sequential(port, _route(bodies[:500]))
        found = _of(open_loop(port, sent, due.tolist()))
        size = rss_mb(pid)
        return found | {"rss_mb": Estimate(size, size, size, 1).as_dict()}


def memory(
    bundle: Path, bodies: Sequence[bytes], *, n_requests: int, say: Callable[[str], None]
) -> Metrics:
    """Resident memory after varied requests, and after hostile ones."""
    sizes: dict[str, float] = {}
    rng = random.Random(0)
    varied = varied_bodies(bodies, rng)
    with service(bundle, settings={"MAX_BODY_BYTES": "1000000"}) as (port, pid):
        sequential(port, _route(bodies[:500]))
        sizes["start_mb"] = rss_mb(pid)
        done = 0
        while done < n_requests:
            part = [*islice(varied, min(20_000, n_requests - done))]
            concurrent(port, _route(part))
            done += len(part)
            say(f"{done:,} requests: {rss_mb(pid):.0f} MB")
        sizes["varied_mb"] = rss_mb(pid)
        hostile = hostile_requests(rng)
        open_loop(port, hostile, [0.005 * i for i in range(len(hostile))], connections=8)
        sizes["hostile_mb"] = rss_mb(pid)
    return {name: Estimate(v, v, v, n_requests).as_dict() for name, v in sizes.items()}


def reload(
    bundle: Path, bodies: Sequence[bytes], *, seconds: float, rate: float = 300.0
) -> Metrics:
    """Poisson arrivals, calm and then with a new version every other second."""
    due = _poisson(rate, seconds)
    prompts = _route(unseen_bodies(bodies, 2 * len(due)))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        shutil.copytree(bundle, folder)
        with service(folder, settings={"POLL_INTERVAL_S": str(_POLL_S)}) as (port, _):
            sequential(port, _route(bodies[:500]))
            calm = _of(open_loop(port, prompts[: len(due)], due))
            with _Swaps(folder, port) as swaps:
                busy = _of(open_loop(port, prompts[len(due) :], due))
    loads = {"loads": Estimate(swaps.made, swaps.made, swaps.made, 1).as_dict()}
    return {f"calm_{name}": cell for name, cell in calm.items()} | busy | loads


class _Swaps:
    """Gives a bundle's folder another id whenever the last one is in service."""

    def __init__(self, folder: Path, port: int) -> None:
        self.made = 0
        self._folder = folder
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            version = f"{self.made + 1:016x}"
            path = self._folder / MANIFEST
            manifest = json.loads(path.read_text(encoding="utf-8"))
            manifest["bundle_id"] = version
            scratch = path.with_suffix(".new")
            scratch.write_text(json.dumps(manifest), encoding="utf-8")
            scratch.replace(path)
            while not self._stop.wait(_POLL_S):
                ready = json.loads(ask(self._port, _READY))
                if ready["router"]["version"] == version:
                    self.made += 1
                    break


def sized_bodies(bodies: Sequence[bytes], tokens: Sequence[int]) -> list[bytes]:
    """Prompts of about so many tokens each, of the words of real ones, no two alike."""
    rng = random.Random(0)
    words = " ".join(_texts(bodies)).split()
    made = []
    for number, n_tokens in enumerate(tokens):
        n = max(1, int(_WORDS_A_TOKEN * n_tokens))
        begin = rng.randrange(len(words))
        text = " ".join(words[(begin + i) % len(words)] for i in range(n))
        content = f"{permuted(text, rng)} {number}"
        made.append(json.dumps({"messages": [{"role": "user", "content": content}]}).encode())
    return made


def varied_bodies(bodies: Sequence[bytes], rng: random.Random) -> Iterator[bytes]:
    """Bodies without end: new prompts, sessions, tags and, now and then, tools."""
    number = 0
    while True:
        body = json.loads(bodies[number % len(bodies)])
        for message in body["messages"]:
            if isinstance(message.get("content"), str):
                message["content"] = permuted(message["content"], rng)
        number += 1
        body["request_id"] = f"request-{number}"
        body["session_id"] = f"session-{number // 3}"
        body["tags"] = {"team": f"team-{number % 500}"}
        if number % 10 == 0:
            name = f"tool_{number}"
            body["tools"] = [{"name": name, "description": permuted("look up a thing", rng)}]
        yield json.dumps(body).encode()


def hostile_requests(rng: random.Random) -> list[bytes]:
    """Long feedback, long and empty tools, and fields that do not exist."""
    filler = "x" * _HOSTILE_BYTES
    requests = []
    for i in range(300):
        feedback = {"decision_id": f"d-{i}-{rng.random()}", "quality": 1.0, "answer": filler}
        requests.append(http("/v1/feedback", json.dumps(feedback).encode()))
    for i in range(50):
        tool = {"name": f"t{i}", "description": f"{rng.random()}{filler[:800_000]}"}
        requests.append(http("/v1/route", json.dumps({"query": "a", "tools": [tool]}).encode()))
        empty = b'{"query":"a","tools":[' + b"{}," * 300_000 + b"{}]}"
        requests.append(http("/v1/route", empty))
        requests.append(http("/v1/route", json.dumps({filler: i}).encode()))
    return requests


def _texts(bodies: Sequence[bytes]) -> Iterator[str]:
    for body in bodies:
        for message in json.loads(body)["messages"]:
            if isinstance(message.get("content"), str):
                yield message["content"]


def _route(bodies: Sequence[bytes]) -> list[bytes]:
    return [http("/v1/route", body) for body in bodies]


def _poisson(rate: float, seconds: float) -> list[float]:
    rng = np.random.default_rng(0)
    due: list[float] = np.cumsum(rng.exponential(1.0 / rate, int(rate * seconds))).tolist()
    return due


def _of(found: OpenLoop) -> Metrics:
    times = np.sort(np.array(found.latencies_ms))
    cells = {f"p{100 * p:g}_ms": _quantile(times, p) for p in (0.5, 0.99, 0.999)}
    shed = found.failures[503]
    for name, value in (
        ("shed", shed),
        ("errors", found.failures.total() - shed),
        ("client_late_ms", found.late_ms),
    ):
        cells[name] = Estimate(value, value, value, found.done)
    return {name: cell.as_dict() for name, cell in cells.items()}


def _quantile(times: FloatArray, p: float) -> Estimate:
    """With the 95 % interval of order statistics, as if requests were independent."""
    n = len(times)
    if not n:
        return Estimate(float("inf"), float("inf"), float("inf"), 0)
    half = 1.96 * (n * p * (1.0 - p)) ** 0.5
    low, high = (int(np.clip(n * p + s * half, 0, n - 1)) for s in (-1.0, 1.0))
    return Estimate(float(np.quantile(times, p)), float(times[low]), float(times[high]), n)


def _needed(trace: Path | None) -> Path:
    if trace is None:
        raise FileNotFoundError("the mode trace needs the data's traces folder")
    return trace
