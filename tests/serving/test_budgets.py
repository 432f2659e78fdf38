"""Caps on spending, of a real service under concurrency."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.keys import digest
from tests.serving.conftest import serve, serving_process

KEYS = [
    {"name": "web", "sha256": digest("web"), "scopes": ["route", "feedback"], "tenant": "acme"},
    {"name": "gateway", "sha256": digest("gateway"), "scopes": ["route", "feedback"],
     "sets_tenant": True},
]  # fmt: skip
BODY = {"query": "Mix blue.", "cost_weight": 0.0}


def write(folder: Path, *budgets: dict[str, Any]) -> None:
    scratch = folder / "budgets.new"
    scratch.write_text(json.dumps({"budgets": budgets}))
    scratch.replace(folder / "budgets.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("budgets")
    (folder / "keys.json").write_text(json.dumps({"keys": KEYS}))
    write(folder)
    return folder


@pytest.fixture(scope="module")
def capped(folder: Path, bundle: Path) -> Iterator[httpx.Client]:
    paths = {"keys_file": folder / "keys.json", "budgets_file": folder / "budgets.json"}
    options = {"poll_interval_s": 0.05, "log_flush_s": 0.01, "deadline_ms": 20_000}
    log = folder / "service.log"
    with serve(log, bundle=bundle, decision_log=folder / "log", **paths, **options) as client:
        yield client


def ask(client: httpx.Client, key: str = "gateway", **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return client.post("/v1/route", json=BODY | more, headers=headers)


def price(answer: httpx.Response) -> float:
    body = answer.json()
    lines = {line["candidate"]: line for line in body["ranking"]}
    return float(lines[body["candidate"]]["cost_usd"])


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def in_force(client: httpx.Client, folder: Path, *budgets: dict[str, Any]) -> None:
    write(folder, *budgets)
    caps = {f'{{budget="{b["name"]}"}} {b["usd"]}' for b in budgets}
    until(lambda: all(cap in client.get("/metrics").text for cap in caps))


def spent(client: httpx.Client, budget: str, scope: str) -> float:
    label = f'router_budget_spent_usd{{budget="{budget}",scope="{scope}"}} '
    (line,) = [x for x in client.get("/metrics").text.splitlines() if x.startswith(label)]
    return float(line.removeprefix(label))


def test_a_cap_is_exact_whoever_comes_at_once(capped: httpx.Client, folder: Path) -> None:
    dear = price(ask(capped, tenant="x"))
    cap = 10.5 * dear
    budget = {"name": "exact", "usd": cap, "window": "month", "per": "tenant",
              "beyond": "refuse", "rises_from": 0.99}  # fmt: skip
    in_force(capped, folder, budget)
    with ThreadPoolExecutor(24) as pool:
        answers = [*pool.map(lambda _: ask(capped, tenant="y"), range(200))]
    good = [price(answer) for answer in answers if answer.status_code == 200]
    assert 0 <= cap - sum(good) < dear
    assert sum(good) == pytest.approx(spent(capped, "exact", "y"))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {429}
    assert all(answer.headers["content-type"] == "application/problem+json" for answer in refused)
    assert 0 < int(refused[-1].headers["retry-after"]) <= 31 * 86_400
    assert "budget exact of $" in refused[-1].json()["detail"]
    assert ask(capped, tenant="z").status_code == 200  # another account
    # Of a batch too, all or none: what is refused is not booked.
    left = cap - spent(capped, "exact", "z")
    body = {"requests": [BODY | {"tenant": "z"}] * 20}
    headers = {"authorization": "Bearer gateway"}
    assert capped.post("/v1/route/batch", json=body, headers=headers).status_code == 429
    assert cap - spent(capped, "exact", "z") == pytest.approx(left)


def test_what_is_reported_replaces_what_was_predicted(capped: httpx.Client, folder: Path) -> None:
    budget = {"name": "reported", "usd": 1.0, "window": "day", "per": "key", "beyond": "refuse"}
    in_force(capped, folder, budget)
    answer = ask(capped, "web")
    assert spent(capped, "reported", "web") == pytest.approx(price(answer))

    def report(key: str, usd: float, name: str = "quality") -> int:
        body = {"decision_id": answer.json()["decision_id"], "cost_usd": usd, "name": name}
        headers = {"authorization": f"Bearer {key}"}
        return capped.post("/v1/feedback", json=body, headers=headers).status_code

    assert report("web", 2.0) == 202
    until(lambda: spent(capped, "reported", "web") == pytest.approx(2.0))
    assert ask(capped, "web").status_code == 429
    assert report("gateway", 0.0) == 202  # not its decision
    assert ask(capped, "web").status_code == 429
    assert report("web", 0.25) == report("web", 0.25) == 202
    until(lambda: spent(capped, "reported", "web") == pytest.approx(0.25))
    assert ask(capped, "web").status_code == 200


def test_cost_weighs_more_and_more_until_the_cheapest_is_left(
    capped: httpx.Client, folder: Path
) -> None:
    dear = price(ask(capped, tenant="w"))
    budget = {"name": "smooth", "usd": 60 * dear, "window": "hour", "per": "tag:project"}
    in_force(capped, folder, budget)
    costs = [price(ask(capped, tags={"project": "p"})) for _ in range(400)]
    cheapest = min(line["cost_usd"] for line in ask(capped).json()["ranking"])
    assert costs[:25] == pytest.approx([dear] * 25)
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) > 2  # by steps, not at once
    assert sum(costs[:-1]) < 60 * dear or costs[-1] == pytest.approx(cheapest)
    report = {"decision_id": ask(capped, tags={"project": "p"}).json()["decision_id"],
              "cost_usd": 90 * dear}  # fmt: skip
    headers = {"authorization": "Bearer gateway"}
    assert capped.post("/v1/feedback", json=report, headers=headers).status_code == 202
    until(lambda: spent(capped, "smooth", "p") > 60 * dear)
    beyond = ask(capped, tags={"project": "p"})
    assert price(beyond) == pytest.approx(cheapest)
    assert "the budget smooth is spent" in beyond.json()["reason"]
    assert price(ask(capped, tags={"project": "q"})) == pytest.approx(dear)


def test_who_may_name_a_tenant(capped: httpx.Client) -> None:
    assert ask(capped, "web", tenant="acme").status_code == 200
    refused = ask(capped, "web", tenant="other")
    assert refused.status_code == 403
    assert "sets_tenant" in refused.json()["detail"]
    assert ask(capped, "gateway", tenant="other").status_code == 200


def test_a_wrong_file_leaves_the_former_budgets_in_force(
    capped: httpx.Client, folder: Path
) -> None:
    budget = {"name": "kept", "usd": 1e-9, "window": "day", "beyond": "refuse"}
    in_force(capped, folder, budget)
    assert ask(capped).status_code == 429
    write(folder, {"name": "kept", "usd": -1.0, "window": "day"})
    until(lambda: capped.get("/readyz").json()["status"] == "degraded")
    assert "budgets file" in capped.get("/readyz").json()["reasons"][0]
    assert ask(capped).status_code == 429
    write(folder)
    until(lambda: ask(capped).status_code == 200)


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_restart_forgets_no_cap(tmp_path: Path, bundle: Path, how: str) -> None:
    budget = {"name": "kept", "usd": 1.0, "window": "month", "beyond": "refuse"}
    write(tmp_path, budget)
    paths = {"bundle": bundle, "budgets_file": tmp_path / "budgets.json"}
    paths |= {"spending_file": tmp_path / "spending.json", "decision_log": tmp_path / "log"}
    with serving_process(tmp_path / "1.log", **paths) as (client, process):
        decided = client.post("/v1/route", json=BODY).json()
        report = {"decision_id": decided["decision_id"], "cost_usd": 0.75}
        assert client.post("/v1/feedback", json=report).status_code == 202
        if how == "kill":
            until(lambda: b"0.75" in (tmp_path / "spending.json").read_bytes())
        getattr(process, how)()
        process.wait(20)
    with serve(tmp_path / "2.log", **paths) as client:
        assert spent(client, "kept", "") == pytest.approx(0.75)
        body = BODY | {"max_cost_usd": 10.0}
        assert client.post("/v1/route", json=body).status_code == 200
        (tmp_path / "spending.json").unlink()
        (tmp_path / "spending.json").mkdir()
        assert client.post("/v1/route", json=body).status_code == 200
        until(lambda: "spending file" in client.get("/readyz").text)
        assert 'loop="spending_file"} 1.0' in client.get("/metrics").text
    (tmp_path / "spending.json").rmdir()
    (tmp_path / "spending.json").write_text("torn")
    with (
        pytest.raises(RuntimeError, match="expected what was spent"),
        serve(tmp_path / "3.log", **paths),
    ):
        pass


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"workers": 2}, "REDIS_URL"),
        ({"spending_file": "x", "redis_url": "redis://localhost"}, "the one or the other"),
        ({"redis_url": "localhost"}, "redis_url must begin with"),
        ({"ttft_quantile": 1.0}, "ttft_quantile"),
        ({"budgets_file": "/nowhere/budgets.json"}, "expected a budgets file"),
    ],
)
def test_wrong_settings_do_not_start(
    tmp_path: Path, bundle: Path, settings: dict[str, object], says: str
) -> None:
    write(tmp_path)
    given = {"budgets_file": tmp_path / "budgets.json"} | settings
    with (
        pytest.raises(RuntimeError, match=says),
        serve(tmp_path / "log", bundle=bundle, **given),
    ):
        pass
