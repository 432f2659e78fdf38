"""Rules and the dashboard's queries, by promtool and on a real Prometheus with a real service."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.bundles import make_bundle
from tests.serving.conftest import ROOT, serve
from tests.serving.raw import connect
from tests.unit.router_ml.runtime.test_conditions import PRICES

FOLDER = ROOT / "deploy" / "prometheus"
BUDGETS = [
    {
        "name": name,
        "usd": 1e-9,
        "window": "month",
        "per": "tag:team",
        "only": team,
        "beyond": beyond,
    }
    for name, team, beyond in (("poor", "few", "refuse"), ("lavish", "many", "cheapest"))
]
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "router.json"


@pytest.mark.parametrize(
    "words",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "rules.yml"),
        ("test", "rules", "rules_test.yml"),
    ],
)
def test_promtool(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test() -> None:
    groups = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    tests = yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test.get("alert_rule_test", ())
        if case["exp_alerts"]
    }
    assert fired == alerts


def dashboard_queries() -> dict[str, str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return {
        f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "30s")
        for panel in panels
        for target in panel["targets"]
    }


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[httpx.Client]:
    """A server that scrapes the target every half second with the project's rules."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    shutil.copy(FOLDER / "rules.yml", folder)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client
    finally:
        process.terminate()
        process.wait(20)


def query(client: httpx.Client, expr: str) -> list[dict[str, Any]]:
    response = client.get("/api/v1/query", params={"query": expr})
    body = response.json()
    assert body["status"] == "success", f"{expr}: {body}"
    result: list[dict[str, Any]] = body["data"]["result"]
    return result


def traffic(client: httpx.Client) -> None:
    """Something of everything that is counted."""
    answer = client.post("/v1/route", json={"query": "Mix blue.", "cost_weight": 0}).json()
    client.post("/v1/route", json={"query": "Mix.", "candidates": ["candidate-0"]})
    client.post("/v1/route", json={"query": "a"}, headers={"x-deadline-ms": "0.0001"})
    said = {"decision_id": answer["decision_id"], "quality": 1.0, "cost_usd": 0.01}
    client.post("/v1/feedback", json=said)
    event = {"candidate": "candidate-1", "ttft_ms": 90.0, "latency_ms": 900.0}
    client.post("/v1/health-events", json=event)
    client.post("/v1/health-events", json={"candidate": "candidate-2", "status": "failure"})
    for team in ("few", "many"):
        client.post("/v1/route", json={"query": "Mix.", "tags": {"team": team}})
    client.post("/v1/route", json={"query": "Mix.", "session": {"id": "a"}})
    assert client.base_url.port is not None
    with connect(client.base_url.port) as sock:
        sock.sendall(b"no HTTP\r\n\r\n")
        sock.recv(1_000)


def test_every_query_of_the_dashboard_and_the_rules_finds_something(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    bundle = tmp_path / "bundle"
    options = {"bundle": bundle, "decision_log": tmp_path / "log", "baseline": "candidate-0"}
    (tmp_path / "budgets.json").write_text(json.dumps({"budgets": BUDGETS}))
    (tmp_path / "prices.json").write_text(json.dumps(PRICES))
    options |= {name: tmp_path / f"{name[:-5]}.json" for name in ("budgets_file", "prices_file")}
    with serve(tmp_path / "service.log", **options) as client:
        traffic(client)
        with prometheus(tmp_path, f"127.0.0.1:{client.base_url.port}") as server:
            queries = dashboard_queries() | {"recorded": "router:savings_usd:rate1h"}
            assert len(queries) > 15
            empty = set(queries)
            deadline = time.monotonic() + 60
            while empty and time.monotonic() < deadline:
                traffic(client)
                time.sleep(0.5)
                try:
                    empty = {name for name in empty if not query(server, queries[name])}
                except httpx.TransportError:  # it is starting
                    continue
            assert empty == set()
            rules = server.get("/api/v1/rules").json()["data"]["groups"][0]["rules"]
            assert {rule["health"] for rule in rules} == {"ok"}
            assert query(server, 'up{job="router"}')[0]["value"][1] == "1"
