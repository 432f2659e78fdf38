"""Join, train, export, evaluate and route through the command line, on a small world."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.artifacts import read_training_table
from pipelines.config import JoinConfig, TrainConfig
from pipelines.options import load_config
from pipelines.stages.train import run as train
from router_ml.bundle.files import read_bundle
from router_ml.data.full_information import read_matrix
from router_ml.errors import ConfigError, DataError, SchemaError
from router_ml.evaluation.off_policy.log_feedback import feedback
from tests.command import run_command
from tests.conftest import REPOSITORY
from tools.docs.readme_figures import outdated_figures


def invoke(*arguments: str) -> str:
    return run_command(arguments)


@pytest.fixture(scope="module")
def stages(
    small_world: Path, encoder_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    for key, file in (("requests", "requests.jsonl.gz"), ("labels", "labels.csv")):
        assert (small_world / file).is_file(), key
    invoke(
        "join",
        *("--set", f"requests={small_world / 'requests.jsonl.gz'}"),
        *("--set", f"labels={small_world / 'labels.csv'}"),
        *("--set", f"prices={small_world / 'prices.json'}"),
        *("--set", f"output={runs / 'joined'}"),
    )
    invoke(
        "train",
        *("--set", f"joined={runs / 'joined'}"),
        *("--set", f"output={runs / 'trained'}"),
        *("--set", f"cache={encoder_cache}"),
        *("--set", "policy={name: budget, cost_share: 0.3}"),
    )
    invoke(
        "export",
        *("--set", f"trained={runs / 'trained'}"),
        *("--set", f"joined={runs / 'joined'}"),
        *("--set", f"output={runs / 'export'}"),
    )
    return runs


def test_parity_is_proven_and_written(stages: Path) -> None:
    parity = json.loads((stages / "export" / "parity.json").read_text())
    assert max(parity["max_error"].values()) < 1e-4
    assert parity["equal_decisions"] >= 0.999


def test_training_records_selection_and_cost_bias(stages: Path) -> None:
    report = json.loads((stages / "trained" / "training.json").read_text())
    assert report["labelled_cells"] > 0
    assert report["selection"]
    assert report["policy"]["name"] == "budget"
    for bias in report["cost_bias_in_sample"].values():
        assert abs(bias["cost_usd"]) < 0.25


def test_evaluation_on_the_matrix_leaves_training_prompts_out(
    stages: Path, small_world: Path
) -> None:
    output = invoke(
        "evaluate",
        *("--set", f"bundle={stages / 'export' / 'bundle'}"),
        *("--set", f"joined={stages / 'joined'}"),
        *("--set", f"matrix={small_world / 'matrix.parquet'}"),
        *("--set", f"output={stages / 'full'}"),
    )
    assert "oracle" in output
    summary = json.loads((stages / "full" / "evaluation.json").read_text())
    assert 50 < summary["rows"] < 200  # a fifth of 500 prompts
    oracle = summary["policies"]["oracle"]["quality"]["value"]
    assert summary["policies"]["router"]["quality"]["value"] <= oracle
    assert (stages / "full" / "cost_quality.png").stat().st_size > 10_000
    curve = summary["curve"]
    assert 0.0 < curve["aiq"]["value"] <= oracle
    assert curve["cost_share_at_best_single_less_1pt"]["value"] <= 1.0
    assert "apgr" not in curve  # that is of two candidates
    ceiling = summary["ceiling"]
    assert ceiling["kind"] == "expected"  # no query of the matrix stands there twice
    assert 0.0 < ceiling["reachable_gap"]["value"] < 1.0
    assert ceiling["sentence"] in " ".join(output.split())
    # Budgets are those that training solved and floored, not solved anew on what is tested.
    trained = read_bundle(stages / "export" / "bundle").manifest.training["budgets"]
    assert {f"router at {float(share):.0%} of its cost" for share in trained} <= set(
        summary["policies"]
    )
    assert all("floor_share" in policy for policy in trained.values())
    assert "not solved in training" not in output


def test_evaluation_on_the_log_reports_effective_sample_size(stages: Path) -> None:
    invoke(
        "evaluate",
        *("--set", f"bundle={stages / 'export' / 'bundle'}"),
        *("--set", f"joined={stages / 'joined'}"),
        *("--set", f"output={stages / 'log'}"),
        *("--set", "max_unsupported=1.0"),
        *("--set", "cost_weight=10.0"),
    )
    summary = json.loads((stages / "log" / "evaluation.json").read_text())
    router = summary["policies"]["router"]
    assert router["quality_snips"]["low"] <= router["quality_snips"]["value"]
    assert 0 < summary["effective_sample_size"]["router"] < summary["rows"]
    assert router["quality_bernstein"]["low"] <= router["quality_dr"]["low"]
    assert router["utility_dr"]["value"] < router["quality_dr"]["value"]
    quality = summary["assessments"]["router"]["quality"]
    assert quality["sensitivity"][0] < quality["estimates"]["SNIPS"]["value"]
    assert any("have no label" in warning for warning in quality["warnings"])


def test_a_policy_that_the_log_cannot_judge_is_named_and_not_quoted(stages: Path) -> None:
    output = invoke(
        "evaluate",
        *("--set", f"bundle={stages / 'export' / 'bundle'}"),
        *("--set", f"joined={stages / 'joined'}"),
        *("--set", f"output={stages / 'strict'}"),
        *("--set", "max_unsupported=0.0"),
    )
    summary = json.loads((stages / "strict" / "evaluation.json").read_text())
    assert summary["unsupported"]
    assert not set(summary["unsupported"]) & set(summary["policies"])
    assert all("labelled rows, worth" in reason for reason in summary["unsupported"].values())
    assert "not judged" in output


def test_a_floor_is_certified_and_its_bundle_can_be_promoted(
    stages: Path, small_world: Path
) -> None:
    common = (
        *("--set", f"bundle={stages / 'export' / 'bundle'}"),
        *("--set", f"joined={stages / 'joined'}"),
        *("--set", f"output={stages / 'certified'}"),
    )
    matrix = ("--set", f"matrix={small_world / 'matrix.parquet'}")
    invoke("certify", *common, *matrix, "--set", "floor=0.6", "--set", "delta=0.2")
    report = json.loads((stages / "certified" / "certificate.json").read_text())
    claim = "with 80% confidence, mean quality is at least 60% of always calling"
    assert report["text"].startswith(claim)
    assert report["predicted_cost_usd"][report["point"]] < report["reference_cost_usd"]
    bundle = read_bundle(stages / "certified" / "bundle")
    assert bundle.policy["offsets"] == {report["reference"]: report["advantage"][report["point"]]}
    parity = json.loads((stages / "certified" / "parity.json").read_text())
    assert parity["bundle_id"] == bundle.manifest.bundle_id
    invoke("certify", *common, "--set", "floor=0.999")
    report = json.loads((stages / "certified" / "certificate.json").read_text())
    assert report["point"] is None
    assert f"use {report['reference']}" in report["text"]
    policy = read_bundle(stages / "certified" / "bundle").policy
    assert policy == {"name": "constant", "candidate": report["reference"]}


def test_propensities_that_were_not_logged_are_estimated_and_said_to_be(stages: Path) -> None:
    table, _ = read_training_table(stages / "joined")
    unknown = replace(table, propensity=np.full(len(table), np.nan))
    with pytest.raises(DataError, match="no logged propensity"):
        feedback(unknown)
    estimated, _ = feedback(unknown, estimate=True)
    assert estimated.propensity_source == "estimated"
    k = len(table.candidates)
    assert np.mean(1.0 / estimated.propensity) == pytest.approx(k, rel=0.35)
    together = np.corrcoef(np.log(estimated.propensity), np.log(table.propensity))[0, 1]
    assert together > 0.4


@pytest.mark.parametrize("learning", ["naive", "dr"])
def test_quality_and_policy_are_learned_as_configured(
    learning: str, stages: Path, encoder_cache: Path
) -> None:
    trained = stages / f"trained_{learning}"
    invoke(
        "train",
        *("--set", f"joined={stages / 'joined'}"),
        *("--set", f"output={trained}"),
        *("--set", f"cache={encoder_cache}"),
        *("--set", "quality={name: linear}"),
        *("--set", f"learning={learning}"),
        *("--set", "policy={name: budget, cost_share: 0.3, direct: true}"),
    )
    report = json.loads((trained / "training.json").read_text())
    assert set(report["policy_learning"]) == {"gain", "z", "kept"}
    assert bool(report["policy"]["offsets"]) is report["policy_learning"]["kept"]
    folder = stages / f"export_{learning}"
    invoke(
        "export",
        *("--set", f"trained={trained}"),
        *("--set", f"joined={stages / 'joined'}"),
        *("--set", f"output={folder}"),
    )
    assert json.loads((folder / "parity.json").read_text())["equal_decisions"] >= 0.999


def test_one_decision_without_a_service(stages: Path) -> None:
    bundle = stages / "export" / "bundle"
    assert "utility" in invoke("route", str(bundle), "How does dough rise?")


def test_unknown_keys_and_missing_folders_say_what_to_do(stages: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no key reqests"):
        load_config(JoinConfig, None, {"reqests": "x"})
    missing = ("train", "--set", f"joined={tmp_path}", "--set", f"output={tmp_path / 'out'}")
    with pytest.raises(SchemaError, match="router-ml join"):
        run_command(missing)


@pytest.mark.parametrize("left_out", [(), ("delta-medium",)])
def test_a_router_of_other_candidates_than_the_log_is_judged_by_name(
    left_out: tuple[str, ...], stages: Path, encoder_cache: Path, tmp_path: Path
) -> None:
    logged = read_training_table(stages / "joined")[1].names
    names = [name for name in reversed(logged) if name not in left_out]
    invoke(
        "train",
        *("--set", f"joined={stages / 'joined'}"),
        *("--set", f"output={tmp_path / 'trained'}"),
        *("--set", f"cache={encoder_cache}"),
        *("--set", f"candidates={json.dumps(names)}"),
        *("--set", "quality={name: linear}"),
        *("--set", "policy={name: quality_floor, min_quality: 0.0}"),
    )
    export = ("--set", f"trained={tmp_path / 'trained'}", "--set", f"joined={stages / 'joined'}")
    invoke("export", *export, "--set", f"output={tmp_path / 'export'}")
    invoke("export", *export, "--set", f"output={tmp_path / 'export'}")  # again, in its place

    def evaluated(bundle: Path, output: Path) -> dict[str, Any]:
        invoke(
            "evaluate",
            *("--set", f"bundle={bundle}"),
            *("--set", f"joined={stages / 'joined'}"),
            *("--set", f"output={output}"),
            *("--set", "max_unsupported=1.0"),
        )
        report: dict[str, Any] = json.loads((output / "evaluation.json").read_text())
        return report

    mine = evaluated(tmp_path / "export" / "bundle", tmp_path / "mine")
    other = evaluated(stages / "export" / "bundle", tmp_path / "other")
    for name in names:  # SNIPS of a constant does not depend on any router
        assert mine["policies"][name]["quality_snips"] == pytest.approx(
            other["policies"][name]["quality_snips"]
        )
    shares = mine["shares"]["router"]
    cheapest = max(shares, key=lambda name: shares[name])
    assert shares[cheapest] > 0.99  # so the router is worth what that constant is
    router, constant = (mine["policies"][name]["quality_snips"]["value"]
                        for name in ("router", cheapest))  # fmt: skip
    assert router == pytest.approx(constant, abs=0.01)
    assert set(mine["policies"]) == {*names, "random", "router", "today", "hull"}
    certified = invoke(
        "certify",
        *("--set", f"bundle={tmp_path / 'export' / 'bundle'}"),
        *("--set", f"joined={stages / 'joined'}"),
        *("--set", f"output={tmp_path / 'certified'}"),
    )
    assert "98" in certified


def test_an_output_folder_that_is_not_ours_is_left_alone(stages: Path, encoder_cache: Path) -> None:
    before = sorted(path.name for path in (stages / "joined").iterdir())
    wrong = TrainConfig(joined=stages / "joined", output=stages / "joined", cache=encoder_cache)
    with pytest.raises(ConfigError, match="left alone"):
        train(wrong)
    assert sorted(path.name for path in (stages / "joined").iterdir()) == before
    unsolved = replace(
        wrong,
        output=stages / "trained",
        quality={"name": "linear"},
        policy={"name": "budget", "budget_usd": 1e-9},
    )
    kept = (stages / "trained" / "training.json").read_bytes()
    with pytest.raises(ConfigError, match="budget_usd"):
        train(unsolved)
    assert (stages / "trained" / "training.json").read_bytes() == kept
    assert not list(stages.glob(".*partial"))


def test_a_matrix_that_is_none_is_named(stages: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("request_id,name\n")
    for path in (tmp_path / "labels.csv", tmp_path / "nothing.parquet"):
        with pytest.raises(SchemaError, match="full information"):
            read_matrix(path)


@pytest.mark.slow
def test_the_demo_ends_with_a_champion_that_answers(encoder_cache: Path, tmp_path: Path) -> None:
    """The command of the README, in its own process, to the served decisions."""
    import subprocess
    import sys

    command = [sys.executable, "-m", "pipelines.cli", "demo", "--cache", str(encoder_cache)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "is champion now" in done.stdout
    assert done.stdout.count("->") >= 3
    assert "service stopped" in done.stdout
    result = json.loads((tmp_path / "runs" / "demo" / "demo.json").read_text())
    assert result["equal_decisions"] >= 0.999
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert outdated_figures(readme, done.stdout) == []
