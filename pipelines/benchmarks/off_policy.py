"""Off-policy estimates, gate, guarantee and learning from a log, against known truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.benchmarks.gate_trials import gate_trials
from pipelines.benchmarks.guarantee_trials import guarantee_trials
from pipelines.benchmarks.learning_trials import learning_trials
from pipelines.benchmarks.population import (
    DrawnLog,
    Population,
    bfcl_population,
    draw_log,
    synthetic_population,
)
from pipelines.benchmarks.results import read_results, write_results
from pipelines.benchmarks.trials import mean_of_trials, p_value, share_of_trials
from router_ml.evaluation.concentration import empirical_bernstein
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.off_policy.estimators import (
    RowValues,
    direct_method,
    doubly_robust,
    ipw,
    snips,
)
from router_ml.evaluation.off_policy.shrinkage import shrunken_doubly_robust
from router_ml.types.arrays import BoolArray, FloatArray

Metrics = dict[str, Estimate]
ESTIMATORS = ("DM", "IPW", "SNIPS", "DR", "DR-full", "DR-clip", "DR-SWITCH")
"""``DR`` shrinks its weights, as every report does; ``DR-full`` does not."""
RATED = ("SNIPS", "DR", "DR-full")
"""Estimators whose intervals are Wilson's at the effective sample size; others: normal."""
CLIP = 20.0
"""Weight at which the clipped and the SWITCH estimator cut."""


def run(
    data: Path | None,
    out: Path,
    *,
    n_logs: int = 2_000,
    n_requests: int = 3_000,
    n_trials: int = 1_000,
    n_seeds: int = 5,
    random_state: int = 0,
    progress: Callable[[Iterable[int], str], Iterable[int]] = lambda steps, _: steps,
) -> Path:
    """Measure and write ``workloads.<workload>.methods.<method>.<metric>`` as JSON.

    Parameters
    ----------
    data : folder with ``bfcl/``; None measures the synthetic world alone
    out : JSON file; other methods that it already holds for a workload are kept
    n_logs : resampled logs for ``rmse``, ``bias``, ``coverage`` and ``ess``
    n_requests : requests in each
    n_trials : trials of gate and guarantee
    n_seeds : logs that routers are learned from
    progress : wraps the loops, given a label

    Returns
    -------
    ``out``
    """
    populations = [synthetic_population(random_state=random_state)]
    if data is not None:
        populations.insert(0, bfcl_population(data))
    results = read_results(out)
    workloads = results["workloads"]
    for population in populations:
        methods = accuracy(
            population,
            n_logs=n_logs,
            n_requests=n_requests,
            random_state=random_state,
            steps=progress(range(n_logs), f"{population.name}: resampled logs"),
        )
        methods["gate"] = gate_trials(
            population, n_trials=n_trials, random_state=random_state, progress=progress
        )
        methods["guarantee"] = guarantee_trials(
            population, n_trials=n_trials, random_state=random_state, progress=progress
        )
        methods["learning"] = learning_trials(
            data,
            workload=population.name,
            n_seeds=n_seeds,
            random_state=random_state,
            progress=progress,
        )
        kept = workloads.setdefault(population.name, {}).setdefault("methods", {})
        kept.update(
            {
                method: {name: estimate.as_dict() for name, estimate in metrics.items()}
                for method, metrics in methods.items()
            }
        )
    write_results(out, results)
    return out


def evaluation_policies(population: Population) -> dict[str, FloatArray]:
    """Six policies, near to and far from the behaviour policy; arrays of shape (N, K)."""
    served = population.behavior_probs.mean(axis=0)
    return {
        "constant_best": population.constant(population.best_constant),
        "constant_near": population.constant(int(served.argmax())),
        "constant_far": population.constant(int(served.argmin())),
        "router_quality": population.router(0.0),
        "router_saving": population.router(30.0),
        "uniform": np.full_like(population.behavior_probs, 1.0 / population.n_candidates),
    }


def accuracy(
    population: Population,
    *,
    n_logs: int,
    n_requests: int,
    random_state: int,
    steps: Iterable[int],
) -> dict[str, Metrics]:
    """RMSE, bias, coverage and effective sample size of every estimator over resampled logs."""
    policies = evaluation_policies(population)
    truth = np.array([np.mean(np.sum(p * population.quality, axis=1)) for p in policies.values()])
    rng = np.random.default_rng(random_state)
    shape = (n_logs, len(ESTIMATORS), len(policies))
    value, ess = np.empty(shape), np.empty(shape)
    covered, bernstein = np.empty(shape, dtype=bool), np.empty((n_logs, len(policies)), dtype=bool)
    for i in steps:
        log = draw_log(population, n_requests, rng)
        for j, probs in enumerate(policies.values()):
            rows = _estimate(log, probs[log.query])
            for e, (name, row) in enumerate(zip(ESTIMATORS, rows, strict=True)):
                interval = row.wilson() if name in RATED else _normal(row)
                value[i, e, j] = row.value
                covered[i, e, j] = interval.low <= truth[j] <= interval.high
                ess[i, e, j] = row.effective_sample_size
            bernstein[i, j] = _bernstein_covers(population, log, probs, truth[j])
    return _summary(value - truth, covered, bernstein, ess, tuple(policies))


def _estimate(log: DrawnLog, probs: FloatArray) -> list[RowValues]:
    """Row values in the order of ``ESTIMATORS``; DR and DR-full normalise their correction."""
    feedback, predicted = log.feedback, log.predicted
    return [
        direct_method(feedback, probs, predicted),
        ipw(feedback, probs),
        snips(feedback, probs),
        shrunken_doubly_robust(feedback, probs, predicted),
        doubly_robust(feedback, probs, predicted, self_normalised=True),
        doubly_robust(feedback, probs, predicted, clip=CLIP),
        doubly_robust(feedback, probs, predicted, switch=CLIP),
    ]


def _normal(rows: RowValues) -> Estimate:
    reach = 1.96 * rows.standard_error()
    return Estimate(rows.value, rows.value - reach, rows.value + reach, len(rows.numerator))


def _bernstein_covers(
    population: Population, log: DrawnLog, probs: FloatArray, truth: float
) -> bool:
    """Whether the empirical Bernstein interval of plain DR holds the truth.

    With predictions in [0, 1] a row lies in [-w, 1 + w], w the largest weight the policy can meet.
    """
    plain = doubly_robust(log.feedback, probs[log.query], log.predicted)
    label_prob = min(population.label_prob.min(), log.feedback.label_prob.min())
    largest = float((probs / population.behavior_probs).max() / label_prob)
    interval = empirical_bernstein(plain.influence, low=-largest, high=1.0 + largest)
    return interval.low <= truth <= interval.high


def _summary(
    error: FloatArray,
    covered: BoolArray,
    bernstein: BoolArray,
    ess: FloatArray,
    policies: tuple[str, ...],
) -> dict[str, Metrics]:
    """Metrics pooled over policies, and for each policy by suffix; arrays (n_logs, E, P).

    ``p_value_*`` is of the binomial test against coverage below 95 %.
    """
    methods: dict[str, Metrics] = {}
    for e, name in enumerate(ESTIMATORS):
        metrics: Metrics = {
            "rmse": mean_of_trials(np.mean(error[:, e] ** 2, axis=1), root=True),
            "bias": mean_of_trials(error[:, e].mean(axis=1)),
            "coverage": share_of_trials(covered[:, e].ravel()),
            "ess": mean_of_trials(ess[:, e].mean(axis=1)),
        }
        for j, policy in enumerate(policies):
            metrics[f"rmse_{policy}"] = mean_of_trials(error[:, e, j] ** 2, root=True)
            metrics[f"bias_{policy}"] = mean_of_trials(error[:, e, j])
            metrics[f"coverage_{policy}"] = share_of_trials(covered[:, e, j])
            metrics[f"ess_{policy}"] = mean_of_trials(ess[:, e, j])
            hits = int(covered[:, e, j].sum())
            metrics[f"p_value_{policy}"] = p_value(hits, len(covered), 0.95, alternative="less")
        methods[name] = metrics
    methods["empirical_bernstein"] = {
        "coverage": share_of_trials(bernstein.ravel()),
        **{
            f"coverage_{policy}": share_of_trials(bernstein[:, j])
            for j, policy in enumerate(policies)
        },
    }
    return methods


def table(results: Mapping[str, Any]) -> list[tuple[str, str, str, str, str, str]]:
    """Rows (workload, estimator, rmse, bias, coverage, ess) for a person to read."""
    rows = []
    for workload, content in results["workloads"].items():
        for name in ESTIMATORS:
            metrics = content["methods"].get(name)
            if metrics is not None:
                rows.append(
                    (
                        workload,
                        name,
                        f"{metrics['rmse']['value']:.4f}",
                        f"{metrics['bias']['value']:+.4f}",
                        f"{metrics['coverage']['value']:.3f}",
                        f"{metrics['ess']['value']:,.0f}",
                    )
                )
    return rows
