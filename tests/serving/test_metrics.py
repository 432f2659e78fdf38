"""Metrics of one service, however many workers it has."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.conftest import serve


def values(client: httpx.Client) -> dict[str, float]:
    """Series with its labels, as Prometheus writes them, to its value."""
    with httpx.Client(base_url=client.base_url, timeout=20) as fresh:
        text = fresh.get("/metrics").text
    return {
        sample.name + "".join(f"|{k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def route(client: httpx.Client, **body: object) -> dict[str, object]:
    with httpx.Client(base_url=client.base_url, timeout=20) as fresh:  # of any worker
        answer: dict[str, object] = fresh.post("/v1/route", json={"query": "Mix.", **body}).json()
    return answer


def test_savings_are_signed_and_what_is_not_measured_is_not_there(
    tmp_path: Path, bundle: Path
) -> None:
    options = {"bundle": bundle, "decision_log": tmp_path / "decisions"}
    with serve(tmp_path / "log", **options, baseline="candidate-0") as client:
        assert not [name for name in values(client) if "baseline" in name]
        dear = route(client, candidates=["candidate-0", "candidate-2"], cost_weight=0.0)
        route(client, candidates=["candidate-1"])  # the baseline was ruled out: no comparison
        found = values(client)
        assert found["router_compared_decisions_total|baseline=candidate-0"] == 1
        cost = found["router_compared_cost_usd_total|baseline=candidate-0"]
        base = found["router_baseline_cost_usd_total|baseline=candidate-0"]
        assert (base < cost) == (dear["candidate"] == "candidate-2")
        assert found["router_removed_total|reason=not in the request's candidates"] == 3
        assert found["router_predicted_total|what=quality"] > 0
        assert found["router_stage_requests_total|stage=score"] == 2
        assert not [name for name in found if "realised" in name]
        said = {"decision_id": dear["decision_id"], "quality": 0.5, "cost_usd": 0.25}
        for _ in range(2):
            client.post("/v1/feedback", json=said)
        found = values(client)
        assert found["router_realised_total|what=cost_usd"] == 0.25
        assert found["router_realised_reports_total|what=quality"] == 1


def test_several_workers_have_one_port_and_one_set_of_metrics(tmp_path: Path, bundle: Path) -> None:
    with serve(tmp_path / "log", bundle=bundle, workers=2) as client:
        for _ in range(60):
            route(client)
        time.sleep(1.5)
        totals = []
        for _ in range(12):
            found = values(client)
            totals.append(found["router_http_requests_total|endpoint=route|status=200"])
            assert found["router_http_request_seconds_count|endpoint=route"] == 60
        assert set(totals) == {60}
