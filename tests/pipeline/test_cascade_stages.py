"""A cascade from a log to a bundle that decides, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.config import TrainConfig
from pipelines.options import load_config
from router_ml.bundle.files import read_bundle
from router_ml.cascade.policies.cascade import CascadePolicy
from router_ml.cascade.runtime.attempt import Attempt
from router_ml.cascade.runtime.cascade import CascadeRuntime
from router_ml.errors import ConfigError
from router_ml.features.query import Query
from router_ml.runtime.runtime import Runtime
from tests.command import run_command


def invoke(*arguments: str, **values: object) -> str:
    settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    return run_command([*arguments, *settings])


def report(runs: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((runs / "trained" / "training.json").read_text())
    cascade: dict[str, Any] = content["cascade"]
    return cascade


@pytest.fixture(scope="module")
def runs(small_world: Path, encoder_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two answers a query in four of five of the log: join, train with a cascade, export."""
    runs = tmp_path_factory.mktemp("runs")
    invoke(
        "join",
        requests=small_world / "requests.jsonl.gz",
        labels=small_world / "labels.csv",
        prices=small_world / "prices.json",
        output=runs / "joined",
    )
    invoke(
        "train",
        joined=runs / "joined",
        output=runs / "trained",
        cache=encoder_cache,
        quality="{name: linear}",
        cascade="{name: cascade, cost_share: 0.5, max_depth: 2}",
    )
    invoke("export", trained=runs / "trained", joined=runs / "joined", output=runs / "export")
    return runs


def test_the_report_says_what_the_cascade_rests_on(runs: Path) -> None:
    told = report(runs)
    assert told["agreement"] == "learned"
    assert told["labelled_answers"] < told["answers"]
    assert 0.0 < told["lent_share"] < 1.0
    # Answers of this world hedge when they are wrong: 15 % against 70 %.
    assert told["answer_auc"]["alone"] > 0.7
    assert told["expected"]["answers_a_query"] <= 2.0
    parity = json.loads((runs / "export" / "parity.json").read_text())
    assert parity["answer_max_error"] < 1e-4


def test_the_bundle_escalates_hedged_answers_more_often_than_firm_ones(
    runs: Path, small_world: Path
) -> None:
    bundle = read_bundle(runs / "export" / "bundle")
    cascade = CascadeRuntime(bundle=bundle, runtime=Runtime(bundle=bundle))
    assert isinstance(cascade.policy, CascadePolicy)
    texts = pq.read_table(small_world / "matrix.parquet")["prompt"].to_pylist()[:200:4]
    accepted = {"Here is the answer: ": 0, "I am not certain, but roughly: ": 0}
    for text in texts:
        query = Query(text)
        first = cascade.next(query, []).candidate
        for opening in accepted:
            step = cascade.next(query, [Attempt(first, opening + text[:60])])
            accepted[opening] += step.action == "accept"
    firm, hedged = accepted.values()
    assert firm > hedged + len(texts) / 4


def test_evaluation_plays_the_cascade_where_every_answer_is_known(
    runs: Path, small_world: Path
) -> None:
    output = invoke(
        "evaluate",
        bundle=runs / "export" / "bundle",
        joined=runs / "joined",
        matrix=small_world / "matrix.parquet",
        output=runs / "full",
    )
    assert "cascade" in output
    summary = json.loads((runs / "full" / "evaluation.json").read_text())
    assert 1.0 <= summary["cascade"]["answers_a_query"] <= 2.0
    assert summary["cascade"]["latency_ms"] > 0
    policies = summary["policies"]
    assert policies["cascade"]["quality"]["value"] <= policies["oracle"]["quality"]["value"]
    # The search knew the log only: its promise of cost holds on prompts it never saw.
    promised = report(runs)["expected"]["cost_usd"]
    assert policies["cascade"]["cost_usd"]["value"] == pytest.approx(promised, rel=0.35)


def test_a_small_log_refuses_to_judge_a_cascade_and_says_why(runs: Path) -> None:
    invoke(
        "evaluate", bundle=runs / "export" / "bundle", joined=runs / "joined", output=runs / "log"
    )
    summary = json.loads((runs / "log" / "evaluation.json").read_text())
    assert "effective sample size" in summary["cascade"]["refused"]


@pytest.mark.parametrize(
    ("cascade", "says"),
    [
        ({"name": "cascade"}, "one of budget_usd, cost_share, min_quality"),
        ({"name": "cascade", "budget_usd": 1.0, "cost_share": 0.1}, "one of"),
        ({"name": "cascade_routing", "min_quality": 0.9}, "cost_weight"),
        ({"name": "other", "budget_usd": 1.0}, "must be one of"),
        ({"name": "cascade", "budget_usd": 1.0, "deep": 2}, "no key deep"),
    ],
)
def test_a_cascade_config_that_makes_no_sense_is_refused(
    cascade: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load_config(TrainConfig, None, {"joined": "a", "output": "b", "cascade": cascade})
