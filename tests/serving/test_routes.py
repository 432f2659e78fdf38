"""The endpoints as an application sees them."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from router_ml.features.query import parse_query
from router_ml.runtime.runtime import Runtime
from tests.serving.conftest import serve

TOOLS = {"name": "mix_paint", "description": "Mix two colors", "parameters": {"properties": {}}}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Mix blue and yellow paint."}]},
]


def test_the_answer_is_the_runtimes(client: httpx.Client, bundle: Path) -> None:
    answer = client.post("/v1/route", json={"messages": MESSAGES, "tools": TOOLS}).json()
    expected = Runtime.from_folder(bundle).decide(parse_query(MESSAGES, TOOLS))
    assert answer["candidate"] == expected.candidate
    assert answer["propensity"] == expected.propensity == 1.0
    assert answer["policy"] == "cost_aware"
    assert [line["candidate"] for line in answer["ranking"]] == [
        line.candidate for line in expected.ranking
    ]
    for line, other in zip(answer["ranking"], expected.ranking, strict=True):
        for name in ("quality", "cost_usd", "latency_ms", "utility"):
            assert line[name] == pytest.approx(getattr(other, name), rel=1e-5)
    assert answer["router"] == {
        "name": "router",
        "version": Runtime.from_folder(bundle).manifest.bundle_id,
    }
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer["decision_id"])


@pytest.mark.parametrize("place", ["top", "constraints"])
def test_limits_hold_wherever_they_stand(client: httpx.Client, place: str) -> None:
    def route(**limits: object) -> dict[str, object]:
        body = {"query": "Mix blue."} | (limits if place == "top" else {"constraints": limits})
        response = client.post("/v1/route", json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, object] = response.json()
        return answer

    assert route(candidates=["candidate-1"])["candidate"] == "candidate-1"
    everyone = route(cost_weight=0)["ranking"]
    assert isinstance(everyone, list)
    costs = sorted(line["cost_usd"] for line in everyone)
    cheapest = route(max_cost_usd=costs[0] * 1.01)["ranking"]
    assert isinstance(cheapest, list)
    assert [line["cost_usd"] for line in cheapest] == costs[:1]
    quick = route(max_latency_ms=min(line["latency_ms"] for line in everyone) * 1.01)["ranking"]
    assert isinstance(quick, list)
    assert len(quick) == 1
    assert route(min_quality=0.0)["policy"] == "quality_floor"
    capped = route(max_output_tokens=1, cost_weight=0)["ranking"]
    assert isinstance(capped, list)
    assert max(line["cost_usd"] for line in capped) < costs[-1]


def test_batch_answers_as_single_requests_do(client: httpx.Client) -> None:
    requests: list[dict[str, object]] = [
        {"query": "Mix blue."},
        {"messages": MESSAGES, "tools": [TOOLS], "max_output_tokens": 3},
        {"query": "Prüfe 数学 " * 50, "request_id": "r-3", "constraints": {"min_quality": 0.4}},
    ]
    batch = client.post("/v1/route/batch", json={"requests": requests}).json()["decisions"]
    assert len({answer["decision_id"] for answer in batch}) == 3
    for request, answer in zip(requests, batch, strict=True):
        single = client.post("/v1/route", json=request).json()
        assert single["candidate"] == answer["candidate"]
        assert answer["request_id"] == request.get("request_id")
        for line, other in zip(single["ranking"], answer["ranking"], strict=True):
            assert line["cost_usd"] == pytest.approx(other["cost_usd"], rel=1e-4)


def test_router_describes_itself(client: httpx.Client, bundle: Path) -> None:
    info = client.get("/v1/router").json()
    runtime = Runtime.from_folder(bundle)
    assert info["bundle_id"] == runtime.manifest.bundle_id
    assert [row["name"] for row in info["candidates"]] == list(runtime.candidates.names)
    assert info["policy"] == runtime.policy.to_dict()


def test_health_metrics_and_documentation(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["status"] == "ready"
    before = _value(client, 'router_http_requests_total{endpoint="route",status="200"}')
    client.post("/v1/route", json={"query": "Mix blue."})
    after = _value(client, 'router_http_requests_total{endpoint="route",status="200"}')
    assert after == before + 1
    assert _value(client, 'router_http_request_seconds_count{endpoint="route"}') >= after
    assert _value(client, "router_reload_failing") == 0
    assert _value(client, "process_resident_memory_bytes") > 1e7
    document = client.get("/openapi.json").json()
    assert {"/v1/route", "/v1/route/batch", "/v1/feedback", "/v1/router"} <= set(document["paths"])
    schema = document["components"]["schemas"]["RouteRequest"]
    assert {"query", "messages", "tools", "constraints", "max_cost_usd"} <= set(
        schema["properties"]
    )
    assert client.get("/docs").status_code == 200


def _value(client: httpx.Client, series: str) -> float:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(series + " "):
            return float(line.rpartition(" ")[2])
    return 0.0


def test_keys(tmp_path: Path, bundle: Path) -> None:
    with serve(tmp_path / "log", bundle=bundle, api_keys="key-one,key-two") as client:
        body = {"query": "Mix blue."}
        for header in (None, "Bearer wrong", "key-one", "Basic key-one", "Bearer kéy"):
            headers = {} if header is None else {b"authorization": header.encode("latin-1")}
            response = client.post("/v1/route", json=body, headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.headers["content-type"] == "application/problem+json"
        for key in ("key-one", "key-two"):
            good = {"authorization": f"Bearer {key}"}
            assert client.post("/v1/route", json=body, headers=good).status_code == 200
        assert client.get("/v1/router").status_code == 401
        assert client.get("/readyz").status_code == 200


def test_several_workers(tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "decisions"
    with serve(tmp_path / "log", bundle=bundle, workers=2, decision_log=folder) as client:
        deadline = 100
        while len(list(folder.glob("*.jsonl"))) < 2 and deadline:
            assert client.post("/v1/route", json={"query": "Mix blue."}).status_code == 200
            deadline -= 1
    assert len(list(folder.glob("*.jsonl"))) == 2


def test_a_wrong_folder_ends_with_one_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    broken = pytest.raises(RuntimeError, match="BundleError: expected a bundle")
    with broken, serve(log, bundle=tmp_path / "nothing"):
        pass
    assert "Traceback" not in log.read_text()
    unknown = pytest.raises(RuntimeError, match="unknown variables ROUTER_SERVE_TYPO")
    with unknown, serve(log, bundle=tmp_path, typo=1):
        pass
