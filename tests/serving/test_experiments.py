"""A challenger in the shadow or with a share, several routers, explanations and previews."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.config import ExplainConfig
from pipelines.decision_log import explain
from pipelines.join.sources.decisions import SHADOW, log_rows
from pipelines.join.sources.json_records import json_records
from router_ml.decision_log.verify import log_files, verify
from router_ml.features.query import parse_query
from router_ml.policies.exploration import EpsilonGreedyPolicy
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle
from tests.serving.conftest import serve

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("champion") / "bundle"
    make_bundle(folder, policy=EpsilonGreedyPolicy(epsilon=0.3))
    return folder


@pytest.fixture(scope="module")
def challenger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Knows one candidate more."""
    folder = tmp_path_factory.mktemp("challenger") / "bundle"
    make_bundle(folder, n_candidates=4, random_state=1, policy=EpsilonGreedyPolicy(epsilon=0.5))
    return folder


def rows(folder: Path, kind: str) -> Rows:
    lines = [line for path in log_files([folder]) for line in path.read_text().splitlines()]
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def row_of(folder: Path, decision_id: str) -> bool:
    return any(row["decision_id"] == decision_id for row in rows(folder, "decision"))


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def ask(i: int, **more: object) -> dict[str, object]:
    return {"query": f"mix {'blue ' * (i % 7)} with {i}", "session_id": f"s-{i % 20}"} | more


def test_a_challenger_in_the_shadow_changes_nothing_and_is_never_joined(
    tmp_path: Path, champion: Path, challenger: Path
) -> None:
    log = tmp_path / "decisions"
    with serve(tmp_path / "log", bundle=champion, challenger=challenger, decision_log=log) as http:
        answers = [http.post("/v1/route", json=ask(i)).json() for i in range(40)]
        until(lambda: len(rows(log, "shadow")) == 40)
        metrics = http.get("/metrics").text
    assert {answer["router"]["version"] for answer in answers} == {answers[0]["router"]["version"]}
    served, shadows = rows(log, "decision"), rows(log, "shadow")
    assert [row["decision_id"] for row in served] == [a["decision_id"] for a in answers]
    assert {row["decision_id"] for row in shadows} == {a["decision_id"] for a in answers}
    assert all(row["arm"] == "default" and row["arm_probs"] is None for row in served)
    assert all(row["arm"] == "challenger" and len(row["candidates"]) == 4 for row in shadows)
    assert 'router_experiment_total{outcome="shadow_' in metrics
    assert not verify(log_files([log])).findings
    joined = [
        row
        for path in log_files([log])
        for _, row in log_rows(json_records(io.BytesIO(path.read_bytes())), path)
        if row.get("exclusion") != SHADOW
    ]
    assert len(joined) == 40


def test_a_share_of_sessions_is_the_challengers_and_propensities_are_the_mixtures(
    tmp_path: Path, champion: Path, challenger: Path
) -> None:
    log, share = tmp_path / "decisions", 0.4
    settings = {"challenger": challenger, "challenger_share": share, "decision_log": log}
    with serve(tmp_path / "log", bundle=champion, log_text="true", **settings) as http:
        answers = [http.post("/v1/route", json=ask(i)).json() for i in range(100)]
        # The champion does not know this one, and the challenger's sessions are served by it.
        only = [http.post("/v1/route", json=ask(i, candidates=["candidate-3"])) for i in range(20)]
        until(lambda: len(rows(log, "decision")) >= 100 + sum(r.status_code == 200 for r in only))
    served = rows(log, "decision")
    arms: dict[str, set[str]] = {}
    runtimes = [Runtime.from_folder(champion), Runtime.from_folder(challenger)]
    for row in served[:100]:
        arms.setdefault(row["session_id"], set()).add(row["arm"])
        expected: dict[str, float] = {}
        for runtime, part in zip(runtimes, (1 - share, share), strict=True):
            decision = runtime.decide(parse_query(row["query"]))
            for name, p in zip(runtime.candidates.names, decision.action_probs, strict=True):
                expected[name] = expected.get(name, 0.0) + part * p
        assert dict(zip(row["candidates"], row["action_probs"], strict=True)) == pytest.approx(
            expected, abs=1e-6
        )
        assert row["propensity"] == row["action_probs"][row["candidates"].index(row["candidate"])]
        assert row["challenger_share"] == share
    assert all(len(seen) == 1 for seen in arms.values())
    assert {"default", "challenger"} == set().union(*arms.values())
    by_id = {row["decision_id"]: row for row in served}
    for answer in answers:
        row = by_id[answer["decision_id"]]
        assert row["router_version"] == answer["router"]["version"]
        assert answer["propensity"] in row["arm_probs"]
    # Only the challenger's arm answers, so what is logged is its own distribution.
    for response in only:
        if response.status_code == 200:
            row = by_id[response.json()["decision_id"]]
            assert (row["arm"], row["propensity"]) == ("challenger", 1.0)
        else:
            assert response.status_code == 422
    assert {response.status_code for response in only} == {200, 422}


def test_routers_are_chosen_by_name(tmp_path: Path, champion: Path, challenger: Path) -> None:
    log = tmp_path / "decisions"
    settings = {"routers": f"other={challenger}", "decision_log": log}
    with serve(tmp_path / "log", bundle=champion, **settings) as http:
        default = http.post("/v1/route", json=ask(1)).json()
        other = http.post("/v1/route", json=ask(1, router="other")).json()
        assert default["router"] != other["router"]
        assert len(default["ranking"]) + 1 == len(other["ranking"])
        wrong = http.post("/v1/route", json=ask(1, router="nobody"))
        assert wrong.status_code == 422
        assert "router" in wrong.json()["detail"]
        for name, expected in ((None, default["router"]), ("other", other["router"])):
            several = {"requests": [ask(1, router=name), ask(2, router=name)]}
            batch = http.post("/v1/route/batch", json=several).json()
            assert [answer["router"] for answer in batch["decisions"]] == [expected] * 2
        mixed = {"requests": [ask(1), ask(2, router="other")]}
        assert http.post("/v1/route/batch", json=mixed).status_code == 422
        assert http.get("/metrics").text.count("router_info{") == 2


def test_reasons_come_with_the_answer(client: httpx.Client, bundle: Path, decisions: Path) -> None:
    body = {"query": "Mix blue and yellow. What color? Tell me how. Why is it so?", "explain": True}
    answer = client.post("/v1/route", json=body).json()
    why = answer["explanation"]
    assert [line["candidate"] for line in why["candidates"]] == [
        "candidate-0",
        "candidate-1",
        "candidate-2",
    ]
    assert why["compared"][0] == answer["candidate"]
    assert len(why["contributions"]) == 4
    # The counterfactual holds: at that cost weight the other one wins.
    for line in why["candidates"]:
        if line["best_from"] is not None:
            weight = line["best_from"] * 1.001 + 1e-6
            again = client.post("/v1/route", json=body | {"cost_weight": weight}).json()
            assert again["candidate"] == line["candidate"]
    assert "explanation" not in client.post("/v1/route", json={"query": "a"}).json()
    batch = client.post("/v1/route/batch", json={"requests": [body, {"query": "a"}]}).json()
    assert ["explanation" in d for d in batch["decisions"]] == [True, False]
    cascade = client.post("/v1/cascade/next", json=body)
    assert cascade.status_code == 422
    until(
        lambda: any(
            row["decision_id"] == answer["decision_id"] for row in rows(decisions, "decision")
        )
    )
    explain(ExplainConfig(decision_id=answer["decision_id"], log=(decisions,), bundle=bundle))


@pytest.mark.parametrize(
    "override",
    [
        {"policy": {"name": "nobody"}},
        {"policy": {"name": "cost_aware", "cost_weight": "x"}},
        {"policy": {"name": "constant", "candidate": "nobody"}},
        {"policy": {"name": "threshold"}},
        {"policy": {"name": "quality_floor", "min_quality": 2}},
        {"prices": {"nobody": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}}},
        {"prices": {"candidate-0": {"input_usd_per_mtok": -1, "output_usd_per_mtok": 1}}},
        {"without": ["nobody"]},
    ],
)
def test_a_wrong_override_is_the_callers_mistake(
    client: httpx.Client, override: dict[str, Any]
) -> None:
    response = client.post("/v1/route/preview", json={"query": "a"} | override)
    assert response.status_code == 422, response.text


def test_a_preview_of_nobody(client: httpx.Client) -> None:
    body = {"query": "a", "without": ["candidate-0", "candidate-1", "candidate-2"]}
    assert client.post("/v1/route/preview", json=body).status_code == 409


def test_a_preview_is_what_would_be_decided_and_leaves_no_row(
    client: httpx.Client, decisions: Path
) -> None:
    body: dict[str, Any] = {"query": "preview me", "request_id": "previewed"}
    now = client.post("/v1/route/preview", json=body).json()
    assert now["candidate"] == now["candidate_now"]
    without = client.post("/v1/route/preview", json=body | {"without": [now["candidate"]]}).json()
    assert without["candidate"] != now["candidate"] == without["candidate_now"]
    best = {"name": "cost_aware", "cost_weight": 0.0}
    dear = {now["candidate"]: {"input_usd_per_mtok": 1e6, "output_usd_per_mtok": 1e6}}
    weighed = {"name": "cost_aware", "cost_weight": 1.0}
    best_one = client.post("/v1/route/preview", json=body | {"policy": best}).json()
    assert best_one["ranking"][0]["quality"] == max(r["quality"] for r in best_one["ranking"])
    repriced = client.post(
        "/v1/route/preview", json=body | {"policy": weighed, "prices": dear, "explain": True}
    ).json()
    assert repriced["candidate"] != now["candidate"]
    assert repriced["explanation"]["counterfactual"]
    served = client.post("/v1/route", json=body | {"request_id": "served"}).json()
    until(lambda: any(row["request_id"] == "served" for row in rows(decisions, "decision")))
    assert not any(row["request_id"] == "previewed" for row in rows(decisions, "decision"))
    assert served["candidate"] == now["candidate"]


def test_an_experiment_needs_a_log(tmp_path: Path, champion: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="DECISION_LOG"),
        serve(tmp_path / "log", bundle=champion, challenger=champion),
    ):
        pass
