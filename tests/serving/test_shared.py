"""Two services and a Redis: spending, health and conversations are shared, and Redis may vanish."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bundles import make_bundle
from tests.serving.conftest import serve
from tests.serving.redis_server import free_port, redis_server
from tests.serving.test_sessions import TURNS
from tests.unit.router_ml.runtime.test_conditions import PRICES

CAP = 1.0
BUDGET = {"name": "shared", "usd": CAP, "window": "month", "per": "tenant", "beyond": "refuse"}
BODY = {"query": "Mix blue.", "cost_weight": 0.0, "tenant": "acme"}


def until(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def spent(client: httpx.Client) -> float:
    label = 'router_budget_spent_usd{budget="shared",scope="acme"} '
    lines = [x for x in client.get("/metrics").text.splitlines() if x.startswith(label)]
    return float(lines[0].removeprefix(label)) if lines else 0.0


def status(client: httpx.Client, **more: Any) -> int:
    return client.post("/v1/route", json=BODY | more).status_code


def decide(client: httpx.Client, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/v1/route", json=BODY | more).json()
    return answer


def report(client: httpx.Client, decision_id: str, usd: float, name: str = "quality") -> None:
    body = {"decision_id": decision_id, "cost_usd": usd, "name": name}
    assert client.post("/v1/feedback", json=body).status_code == 202


def test_two_services_share_and_go_on_without(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    (tmp_path / "prices.json").write_text(json.dumps(PRICES))
    (tmp_path / "budgets.json").write_text(json.dumps({"budgets": [BUDGET]}))
    port = free_port()
    with ExitStack() as stack, ExitStack() as redis:
        url = redis.enter_context(redis_server(tmp_path, port))
        paths = {"bundle": tmp_path / "bundle", "prices_file": tmp_path / "prices.json"}
        paths["budgets_file"] = tmp_path / "budgets.json"
        options = {"redis_url": url, "breaker_failures": 3, "breaker_pause_s": 60.0}
        one, two = (
            stack.enter_context(
                serve(tmp_path / f"{n}.log", decision_log=tmp_path / f"log{n}", **paths, **options)
            )
            for n in range(2)
        )
        # Spending of one is known to the other, and a report reaches who decided.
        first = decide(one)
        until(lambda: decide(two) is not None and spent(two) > spent(one) / 2 > 0)
        report(two, first["decision_id"], 0.75)
        until(lambda: decide(two) is not None and spent(two) >= 0.75)
        until(lambda: decide(one) is not None and spent(one) >= 0.75)
        report(one, first["decision_id"], 1.5)
        until(lambda: status(one) == status(two) == 429)
        report(one, first["decision_id"], 0.25)
        until(lambda: status(one) == status(two) == 200)
        # Whom one knows to fail, both avoid.
        best = first["candidate"]
        for _ in range(3):
            one.post("/v1/health-events", json={"candidate": best, "status": "failure"})
        until(lambda: decide(two)["candidate"] != best)
        # A conversation that one began, the other takes up.
        fresh, names = _costs(two, "never begun"), itertools.count()

        def is_taken_up() -> bool:
            """Five milliseconds are little on a busy machine: some turns go on without."""
            name = f"conversation {next(names)}"
            asked = decide(one, messages=TURNS[:2], query=None, session={"id": name})["candidate"]
            time.sleep(0.3)
            return _costs(two, name)[asked] < 0.5 * fresh[asked]

        until(is_taken_up)

        # Redis is gone: both go on, each by its own estimate, and say so.
        before = spent(one)
        redis.close()
        for client in (one, two):
            until(lambda c=client: "Redis cannot be reached" in c.get("/readyz").text)  # type: ignore[misc]
            assert client.get("/readyz").json()["status"] == "degraded"
            assert str(port) not in " ".join(client.get("/readyz").json()["reasons"])
            failing = 'router_background_failing{loop="shared_state"} 1.0'
            assert failing in client.get("/metrics").text
            assert status(client) == 200
        assert spent(one) >= before
        took = time.perf_counter()
        assert status(one, messages=TURNS, query=None, session={"id": "s"}) == 200
        assert time.perf_counter() - took < 1.0
        report(one, first["decision_id"], 0.5)
        until(lambda: spent(one) >= 0.5)
        # It comes back with nothing in it: what the processes know is what was spent.
        redis.enter_context(redis_server(tmp_path, port))
        until(lambda: decide(two) is not None and spent(two) >= 0.5, 30)
        until(lambda: decide(one) is not None and spent(one) >= 0.5)
        assert spent(one) == pytest.approx(spent(two), rel=0.05)
        for client in (one, two):
            until(lambda c=client: "Redis" not in c.get("/readyz").text)  # type: ignore[misc]


def _costs(client: httpx.Client, name: str) -> dict[str, float]:
    answer = decide(client, messages=TURNS, query=None, session={"id": name})
    return {line["candidate"]: line["cost_usd"] for line in answer["ranking"]}


def test_it_starts_without_redis(tmp_path: Path, bundle: Path) -> None:
    url = f"redis://user:hunter2@127.0.0.1:{free_port()}/0"
    with serve(tmp_path / "service.log", bundle=bundle, redis_url=url) as client:
        assert status(client, tenant=None) == 200
        until(lambda: client.get("/readyz").json()["status"] == "degraded")
        assert "hunter2" not in client.get("/readyz").text + client.get("/metrics").text
    assert "hunter2" not in (tmp_path / "service.log").read_text()
