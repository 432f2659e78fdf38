"""Propensities that were not logged: policy values by estimated ones beside the true ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from pipelines.benchmarks.trials import mean_of_trials
from router_ml.data.full_information import read_matrix
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.off_policy.estimators import doubly_robust
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.nuisance import cross_fit, outcome_model
from router_ml.evaluation.off_policy.propensities import (
    ESTIMATED,
    estimated_propensities,
    query_features,
)
from router_ml.evaluation.off_policy.shrinkage import shrunken_doubly_robust
from router_ml.evaluation.off_policy.today import today_values
from router_ml.types.arrays import FloatArray, IntArray

Progress = Callable[[Iterable[int], str], Iterable[int]]
Errors = dict[str, dict[str, tuple[float, bool]]]
"""By source of propensities and by what is estimated: error, and whether the interval holds it."""
CANDIDATES: Final = (
    "claude-3-5-sonnet-20240620",
    "claude-3-haiku-20240307",
    "gpt-4o-2024-05-13",
    "gpt-4o-mini-2024-07-18",
)
"""What the company whose rules are drawn by has."""
RULES: Final = np.array(
    [
        [0.147, 0.000, 0.740, 0.113],  # with tools
        [0.053, 0.091, 0.292, 0.564],  # without, up to 300 characters
        [0.392, 0.043, 0.407, 0.158],  # without, longer
    ]
)
"""Its measured shares; rows are kinds of request, columns roles of candidates."""
LONG: Final = 300
LABELLED: Final = 0.51
"""Share of requests with a thumb or a score."""
EXPLORATION: Final = 0.2
"""Share that a logging router plays at random."""
SOURCES: Final = ("logged", ESTIMATED)
LOGGING: Final = ("rules", "router")
TAUGHT: Final = 1_500
"""Labels that a router learns from."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Queries whose every outcome is known, and what models may see of them.

    Parameters
    ----------
    features : float array, shape (N, d), as propensities are estimated from
    kind : int array, shape (N,), row of ``RULES``
    quality, cost_usd : float arrays, shape (N, 4)
    """

    name: str
    features: FloatArray
    kind: IntArray
    quality: FloatArray
    cost_usd: FloatArray

    def __len__(self) -> int:
        return len(self.quality)

    def router(self, rng: np.random.Generator, *, saving: float = 0.3) -> FloatArray:
        """Decisions of a router that learned from some labels of every candidate, shape (N, 4).

        Parameters
        ----------
        saving : quality that the dearest candidate's mean cost is worth
        """
        rows = rng.integers(len(self), size=TAUGHT)
        action = rng.integers(4, size=TAUGHT)
        predict = outcome_model(self.features[rows], action, self.quality[rows, action], 4)
        cost = self.cost_usd.mean(axis=0)
        utility = predict(self.features) - saving * rng.random() * cost / cost.max()
        probs: FloatArray = np.eye(4)[utility.argmax(axis=1)]
        return probs


def traffic(data: Path, name: str) -> Traffic:
    """Prompts of ``bfcl`` or ``mix``; where all have tools, kinds go by thirds of length."""
    truth = read_matrix(data / name / "matrix.parquet", CANDIDATES)
    length = np.array([len(query.ask) for query in truth.queries])
    tools = np.array([bool(query.tools) for query in truth.queries])
    kind = np.where(tools, 0, np.where(length <= LONG, 1, 2))
    if (kind == 0).mean() > 0.9:
        kind = np.digitize(length, np.quantile(length, [1 / 3, 2 / 3]))
    return Traffic(name, query_features(truth.queries), kind, truth.quality, truth.cost_usd)


def logging_probs(population: Traffic, kind: str, rng: np.random.Generator) -> FloatArray:
    """Who serves, shape (N, 4): by rules, roles dealt anew for every log, or by a router."""
    if kind == "rules":
        return RULES[:, rng.permutation(4)][population.kind]
    return (1.0 - EXPLORATION) * population.router(rng) + EXPLORATION / 4.0


def run(
    data: Path,
    out: Path,
    *,
    n_logs: int = 200,
    n_requests: int = 3_000,
    random_state: int = 0,
    populations: Iterable[str] = ("mix", "bfcl"),
    progress: Progress = lambda steps, _: steps,
) -> Path:
    """Measure and write ``workloads.<population>-<logging>.methods.<source>.<metric>`` as JSON.

    Parameters
    ----------
    data : folder with ``mix/`` and ``bfcl/``
    out : JSON file; other workloads that it already holds are kept
    n_logs : logs drawn for each population and logging policy
    n_requests : requests in each

    Returns
    -------
    ``out``
    """
    results: dict[str, Any] = orjson.loads(out.read_bytes()) if out.exists() else {}
    workloads = results.setdefault("workloads", {})
    out.parent.mkdir(parents=True, exist_ok=True)
    for logging in LOGGING:
        for name in populations:
            population = traffic(data, name)
            rng = np.random.default_rng([random_state, LOGGING.index(logging)])
            steps = progress(range(n_logs), f"{name}: logs of {logging}, propensities hidden")
            trials = [trial(population, logging, n_requests, rng) for _ in steps]
            workloads[f"{name}-{logging}"] = {"methods": summarise(trials)}
            out.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    return out


def summarise(trials: Sequence[Errors]) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics of both sources over logs, of values and of differences to today (``gate_``).

    ``rmse_ratio`` is over that by logged propensities, with a paired bootstrap interval over logs.
    """
    rng = np.random.default_rng(0)
    again = rng.integers(len(trials), size=(1_000, len(trials)))
    methods: dict[str, dict[str, dict[str, float]]] = {}
    for part, prefix in (("", "value"), ("gate_", "gate")):
        square = {}
        for source in SOURCES:
            rows = [
                [one for name, one in log[source].items() if name.startswith("gate_") == bool(part)]
                for log in trials
            ]
            square[source] = np.array([np.mean([e**2 for e, _ in row]) for row in rows])
            metrics = methods.setdefault(source, {})
            bias = np.array([np.mean([e for e, _ in row]) for row in rows])
            share = np.array([np.mean([held for _, held in row]) for row in rows])
            metrics[f"{prefix}_rmse"] = mean_of_trials(square[source], root=True).as_dict()
            metrics[f"{prefix}_bias"] = mean_of_trials(bias).as_dict()
            metrics[f"{prefix}_coverage"] = mean_of_trials(share).as_dict()
        ratios = np.sqrt(
            square[ESTIMATED][again].mean(axis=1) / square["logged"][again].mean(axis=1)
        )
        low, high = np.quantile(ratios, [0.025, 0.975])
        value = float(np.sqrt(square[ESTIMATED].mean() / square["logged"].mean()))
        ratio = Estimate(value, float(low), float(high), len(trials))
        methods[ESTIMATED][f"{prefix}_rmse_ratio"] = ratio.as_dict()
    return methods


def trial(population: Traffic, logging: str, n_requests: int, rng: np.random.Generator) -> Errors:
    """One log: error and whether the interval holds the truth, by source and policy."""
    behavior = logging_probs(population, logging, rng)
    query = rng.integers(len(population), size=n_requests)
    cumulative = np.cumsum(behavior[query], axis=1)[:, :-1]
    action = (rng.random((n_requests, 1)) > cumulative).sum(axis=1)
    outcome = population.quality[query, action]
    outcome = np.where(rng.random(n_requests) < LABELLED, outcome, np.nan)
    log = LoggedFeedback(
        action=action,
        propensity=behavior[query, action],
        outcome=outcome,
        label_prob=np.full(n_requests, np.isfinite(outcome).mean()),
    )
    probs = estimated_propensities(population.features[query], action, 4, query)
    blind = replace(
        log, propensity=probs[np.arange(n_requests), action], propensity_source=ESTIMATED
    )
    played = {f"constant_{k}": np.tile(np.eye(4)[k], (len(population), 1)) for k in range(4)}
    played["uniform"] = np.full((len(population), 4), 0.25)
    played |= {f"router_{i}": population.router(rng) for i in range(2)}
    supported = {name: p for name, p in played.items() if not ((p > 0.0) & (behavior <= 0.0)).any()}
    now = float((behavior * population.quality).sum(axis=1).mean())
    found: Errors = {}
    for source, seen in zip(SOURCES, (log, blind), strict=True):
        predicted = _nuisance(population, seen, query)
        today = today_values(seen, predicted)
        errors = {}
        for name, p in supported.items():
            truth = float((p * population.quality).sum(axis=1).mean())
            value = shrunken_doubly_robust(seen, p[query], predicted)
            interval = value.wilson()
            errors[name] = (value.value - truth, interval.low <= truth <= interval.high)
            gate = doubly_robust(seen, p[query], predicted).influence - today.influence
            errors[f"gate_{name}"] = _difference(gate, truth - now)
        found[source] = errors
    return found


def _difference(rows: FloatArray, truth: float) -> tuple[float, bool]:
    error = float(rows.mean()) - truth
    return error, abs(error) <= 1.96 * float(rows.std(ddof=1)) / np.sqrt(len(rows))


def _nuisance(population: Traffic, log: LoggedFeedback, query: IntArray) -> FloatArray:
    weights = 1.0 / (log.propensity * log.label_prob)
    features, known = population.features[query], log.labelled

    def fit_predict(train: IntArray, test: IntArray) -> FloatArray:
        rows = train[known[train]]
        predict = outcome_model(
            features[rows], log.action[rows], log.outcome[rows], 4, weights=weights[rows]
        )
        return predict(features[test])

    return np.clip(cross_fit(query, fit_predict), 0.0, 1.0)
