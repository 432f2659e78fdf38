from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import orjson
import pytest

from pipelines.benchmarks.gate_trials import MARGIN, challenger
from pipelines.benchmarks.off_policy import ESTIMATORS, evaluation_policies, run, table
from pipelines.benchmarks.population import (
    bfcl_population,
    draw_feedback,
    synthetic_population,
)
from pipelines.benchmarks.trials import mean_of_trials, share_of_trials


def test_a_small_run_has_every_method_and_keeps_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "results" / "off_policy.json"
    out.parent.mkdir()
    there = {"workloads": {"synthetic": {"methods": {"loop": {"regret": {"value": 1.0}}}}}}
    out.write_bytes(orjson.dumps(there))
    seen: list[str] = []

    def noted(steps: Iterable[int], label: str) -> Iterable[int]:
        seen.append(label)
        return steps

    run(
        None,
        out,
        n_logs=8,
        n_requests=600,
        n_trials=4,
        n_seeds=1,
        progress=noted,
    )
    methods = orjson.loads(out.read_bytes())["workloads"]["synthetic"]["methods"]
    others = {"empirical_bernstein", "gate", "guarantee", "learning", "loop"}
    assert set(methods) == {*ESTIMATORS, *others}
    for method, metrics in methods.items():
        if method != "loop":
            for cell in metrics.values():
                assert set(cell) == {"value", "low", "high", "n"}
                assert cell["low"] <= cell["value"] <= cell["high"]
    assert methods["DR"]["coverage"]["n"] == 48
    learning = {name: cell["value"] for name, cell in methods["learning"].items()}
    for learner in ("naive", "ipw", "direct", "dr"):
        for world in ("", "_hidden"):
            assert 0.0 <= learning[f"regret_{learner}{world}"] < learning["regret_best_constant"]
    difference = learning["regret_dr_linear"] - learning["regret_naive_linear"]
    assert learning["regret_difference_dr_linear"] == pytest.approx(difference)
    assert len(table(orjson.loads(out.read_bytes()))) == len(ESTIMATORS)
    assert any("guarantee" in label for label in seen)


def test_challengers_are_worth_exactly_what_the_test_needs() -> None:
    population = synthetic_population(n_queries=2_000)
    champion = population.constant(population.best_constant)
    quality = population.quality

    def value(probs: np.ndarray) -> float:
        return float(np.mean(np.sum(probs * quality, axis=1)))

    for gain in (0.0, -MARGIN, 0.02):
        other = challenger(population, champion, gain)
        assert value(other) - value(champion) == pytest.approx(gain)
        assert np.all(other >= -1e-12)
        assert np.allclose(other.sum(axis=1), 1.0)
        assert np.abs(other - champion).sum(axis=1).mean() > 0.1


def test_logs_follow_the_population() -> None:
    population = synthetic_population(n_queries=1_000)
    rng = np.random.default_rng(0)
    query, feedback = draw_feedback(population, 30_000, rng)
    assert np.isclose((1 / feedback.propensity).mean(), population.n_candidates, rtol=0.05)
    assert np.allclose(feedback.label_prob, population.label_prob[query], atol=0.05)
    seen = feedback.labelled
    served = population.quality[query, feedback.action]
    assert np.array_equal(feedback.outcome[seen], served[seen])


def test_trials_are_summarised_with_exact_intervals() -> None:
    share = share_of_trials(np.arange(1_000) < 950)
    assert (share.low, share.high) == pytest.approx((0.9346, 0.9627), abs=1e-3)
    root = mean_of_trials(np.array([1.0, 9.0]), root=True)
    assert root.value == pytest.approx(np.sqrt(5.0))


@pytest.mark.skipif("ROUTER_ML_DATA" not in os.environ, reason="ROUTER_ML_DATA is not set")
def test_bfcl_population_reads_the_logging_policy() -> None:
    population = bfcl_population(Path(os.environ["ROUTER_ML_DATA"]))
    assert population.quality.shape == (1_385, 12)
    assert len(np.unique(population.behavior_probs, axis=0)) == 2
    # The raw probabilities of a stratum already sum to one; normalising moved nothing.
    assert population.behavior_probs.min() == pytest.approx(0.026911, abs=1e-5)
    assert population.candidates[population.best_constant] == "claude-3-5-sonnet-20240620"
    assert sorted(np.bincount(population.stratum)) == [506, 879]
    assert len(evaluation_policies(population)) == 6
