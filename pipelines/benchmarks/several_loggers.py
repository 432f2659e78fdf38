"""Logs of several routers as one: balanced propensities beside each router's own, known truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np

from pipelines.benchmarks.company_logs import LABELLED, Traffic, constants, traffic
from pipelines.benchmarks.results import read_results, write_results
from pipelines.benchmarks.trials import mean_of_trials, root_ratio_of_trials, share_of_trials
from router_ml.data.loggers import Loggers
from router_ml.data.outcomes import TrainingTable
from router_ml.evaluation.off_policy.balance import request_shares, with_loggers
from router_ml.evaluation.off_policy.estimators import doubly_robust, snips
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.nuisance import cross_fit, outcome_model
from router_ml.evaluation.off_policy.shrinkage import shrunken_doubly_robust
from router_ml.features.query import Query
from router_ml.types.arrays import FloatArray, IntArray

Progress = Callable[[Iterable[int], str], Iterable[int]]

SETTINGS: Final = ("together", "drifting")
"""Versions served at the same time, or one after the other while traffic moved."""
SHARES: Final = (0.3, 0.5, 0.2)
EXPLORED: Final = (1.0, 0.2, 0.1)
"""What the first log, the first router and the second play at random."""
DRIFT: Final = 1.5
"""Log odds by which the longest prompts become more likely from one version to the next."""
NAIVE: Final = "own"
NONE: Final = Query("")


@dataclass(frozen=True, slots=True)
class SeveralLogs:
    """One log that three policies drew, known by what each would have done or not.

    Parameters
    ----------
    query : int array, shape (n,), row of the population
    logs : quality by source of propensities: ``own``, ``replayed``, ``estimated``
    own : int array, shape (n,), policy that served
    weight : float array, shape (N,), share of every prompt in the traffic
    balanced : whether estimated versions passed the check
    """

    query: IntArray
    logs: dict[str, LoggedFeedback]
    own: IntArray
    weight: FloatArray
    balanced: bool

    @classmethod
    def of(
        cls,
        population: Traffic,
        setting: str,
        n: int,
        rng: np.random.Generator,
        *,
        estimate: bool = True,
    ) -> Self:
        """Draw policies, requests, choices and labels; ``estimate`` versions from the log, too."""
        policies = np.stack([
            (1.0 - e) * population.router(rng, saving=0.6 * rng.random()) + e / 4.0
            for e in EXPLORED
        ])  # fmt: skip
        traffic_of = np.stack([_traffic(population, setting, j) for j in range(3)])
        own = rng.choice(3, size=n, p=SHARES)
        query = np.empty(n, dtype=np.int64)
        for j in range(3):
            mine = own == j
            query[mine] = rng.choice(len(population), size=mine.sum(), p=traffic_of[j])
        probs = policies[own, query]
        action = (rng.random((n, 1)) > probs.cumsum(axis=1)[:, :-1]).sum(axis=1)
        labelled = rng.random(n) < LABELLED
        outcome = np.where(labelled, population.quality[query, action], np.nan)
        features = population.features[query]
        known = Loggers(
            names=("v0", "v1", "v2"),
            own=own,
            probs=policies[:, query, action].T,
            share=request_shares(features, own, query),
            balanced=np.ones(3, dtype=bool),
            sources=("replayed",) * 3,
        )
        log = LoggedFeedback(
            action=action,
            propensity=known.logged,
            outcome=outcome,
            label_prob=np.full(n, labelled.mean()),
            group_id=query,
        )
        logs = {NAIVE: log, "replayed": replace(log, propensity=known.propensity)}
        balanced = True
        if estimate:
            table = as_table(query, action, probs, outcome, own)
            table = with_loggers(table, features=features)
            logs["estimated"] = replace(log, propensity=table.balanced_propensity)
            balanced = table.loggers is not None and bool(table.loggers.balanced.all())
        weight = np.asarray(SHARES) @ traffic_of
        return cls(query, logs, own, weight, balanced)


def _traffic(population: Traffic, setting: str, version: int) -> FloatArray:
    """Probability of every prompt while a version served, shape (N,)."""
    if setting == "together":
        return np.full(len(population), 1.0 / len(population))
    rank = population.features[:, 0].argsort().argsort() / len(population)
    odds = np.exp(DRIFT * (version - 1) * rank)
    weight: FloatArray = odds / odds.sum()
    return weight


def as_table(
    query: IntArray, action: IntArray, probs: FloatArray, outcome: FloatArray, own: IntArray
) -> TrainingTable:
    """A log of n requests to K candidates as ``with_loggers`` takes it; the text is left out.

    Parameters
    ----------
    probs : float array, shape (n, K), of the version that served
    own : int array, shape (n,), that version
    """
    n, k = probs.shape
    rows, ones = np.arange(n), np.ones(n)
    Y = np.full((n, k), np.nan)
    Y[rows, action] = outcome
    ids = tuple(f"{i:08x}" for i in query)
    return TrainingTable(
        request_id=tuple(map(str, rows)),
        queries=(NONE,) * n,
        candidates=tuple(f"candidate-{j}" for j in range(k)),
        Y=Y,
        weight=ones,
        chosen=action,
        served=action,
        propensity=probs[rows, action],
        action_probs=probs,
        eligible=np.ones((n, k), dtype=bool),
        outdated=np.zeros((n, k), dtype=bool),
        query_id=ids,
        group_id=ids,
        time=rows.astype("datetime64[us]"),
        input_tokens=ones,
        output_tokens=ones,
        latency_ms=ones,
        cost_usd=ones,
        succeeded=np.ones(n, dtype=bool),
        answer=(None,) * n,
        finish_reason=("",) * n,
        split=("test",) * n,
        policy_version=tuple(f"v{j}" for j in own),
    )


def run(
    data: Path,
    out: Path,
    *,
    n_logs: int = 200,
    n_estimated: int = 50,
    n_requests: int = 3_000,
    random_state: int = 0,
    populations: Iterable[str] = ("mix", "bfcl"),
    progress: Progress = lambda steps, _: steps,
) -> Path:
    """Measure and write ``workloads.<population>-<setting>.methods.<source>.<metric>`` as JSON.

    Parameters
    ----------
    data : folder with ``mix/`` and ``bfcl/``
    out : JSON file; other workloads that it already holds are kept
    n_logs : logs drawn for each population and setting
    n_estimated : of these, logs whose versions are estimated, too; that takes most of the time
    n_requests : requests in each, of three versions together
    """
    results = read_results(out)
    workloads = results["workloads"]
    for name in populations:
        population = traffic(data, name)
        for setting in SETTINGS:
            rng = np.random.default_rng([random_state, SETTINGS.index(setting)])
            steps = progress(range(n_logs), f"{name}: logs of three versions, {setting}")
            trials = [
                trial(population, setting, n_requests, rng, estimate=i < n_estimated) for i in steps
            ]
            workloads[f"{name}-{setting}"] = {"methods": summarise(trials)}
            write_results(out, results)
    return out


@dataclass(frozen=True, slots=True)
class Trial:
    """Of one log: by source and metric, one number a policy; and whether the check passed."""

    found: Mapping[str, Mapping[str, FloatArray]]
    balanced: bool


def trial(
    population: Traffic,
    setting: str,
    n_requests: int,
    rng: np.random.Generator,
    *,
    estimate: bool = True,
) -> Trial:
    """Errors, coverage, width and effective sample size of one log, by source and policy."""
    drawn = SeveralLogs.of(population, setting, n_requests, rng, estimate=estimate)
    played = [*constants(population).values(), np.full((len(population), 4), 0.25)]
    played += [population.router(rng) for _ in range(2)]
    found: dict[str, dict[str, FloatArray]] = {}
    for source, log in drawn.logs.items():
        predicted = _nuisance(population, log, drawn.query)
        rows = [_judge(population, drawn, log, predicted, p) for p in played]
        found[source] = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        if source == NAIVE:
            weighted = [_weighted(population, drawn, predicted, p) for p in played]
            found["weighted"] = {"dr": np.array(weighted)}
    return Trial(found, drawn.balanced)


def _judge(
    population: Traffic,
    drawn: SeveralLogs,
    log: LoggedFeedback,
    predicted: FloatArray,
    probs: FloatArray,
) -> dict[str, float]:
    truth = float(drawn.weight @ (probs * population.quality).sum(axis=1))
    p = probs[drawn.query]
    value = shrunken_doubly_robust(log, p, predicted)
    interval = value.wilson()
    full = doubly_robust(log, p, predicted)
    weights = log.weights(p)
    return {
        "dr": value.value - truth,
        "dr_full": full.value - truth,
        "snips": snips(log, p).value - truth,
        "covered": float(interval.low <= truth <= interval.high),
        "half_width": interval.half_width,
        "ess": full.effective_sample_size,
        "largest": float(weights.max()),
    }


def _weighted(
    population: Traffic, drawn: SeveralLogs, predicted: FloatArray, probs: FloatArray
) -> float:
    """Error of the log-by-log estimates, weighted by the inverse of their variances."""
    truth = float(drawn.weight @ (probs * population.quality).sum(axis=1))
    log = drawn.logs[NAIVE]
    values, errors = [], []
    for j in range(3):
        rows = np.flatnonzero(drawn.own == j)
        part = LoggedFeedback(
            log.action[rows], log.propensity[rows], log.outcome[rows], log.label_prob[rows]
        )
        one = doubly_robust(part, probs[drawn.query[rows]], predicted[rows])
        values.append(one.value)
        errors.append(one.standard_error())
    precision = 1.0 / np.maximum(errors, 1e-6) ** 2
    return float(precision @ np.array(values) / precision.sum()) - truth


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


def summarise(everything: Sequence[Trial]) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics of every source over logs.

    ``*_rmse_ratio`` is over that by each version's own propensities, with a paired bootstrap
    interval over logs.
    """
    methods: dict[str, dict[str, dict[str, float]]] = {}
    for source in everything[0].found:
        trials = [one for one in everything if source in one.found]
        metrics = methods.setdefault(source, {})
        for part in ("dr", "dr_full", "snips"):
            if part not in trials[0].found[source]:
                continue
            error = np.array([one.found[source][part] for one in trials])
            own = np.array([one.found[NAIVE][part] for one in trials])
            square, base = (np.mean(e**2, axis=1) for e in (error, own))
            metrics[f"{part}_rmse"] = mean_of_trials(square, root=True).as_dict()
            metrics[f"{part}_bias"] = mean_of_trials(error.mean(axis=1)).as_dict()
            metrics[f"{part}_rmse_ratio"] = root_ratio_of_trials(square, base).as_dict()
        for part, name in (("covered", "coverage"), ("half_width",) * 2, ("ess",) * 2,
                           ("largest", "largest_weight")):  # fmt: skip
            if part in trials[0].found[source]:
                values = np.array([one.found[source][part].mean() for one in trials])
                metrics[name] = mean_of_trials(values).as_dict()
    if "estimated" in methods:
        balanced = np.array([one.balanced for one in everything if "estimated" in one.found])
        methods["estimated"]["balanced"] = share_of_trials(balanced).as_dict()
    return methods
