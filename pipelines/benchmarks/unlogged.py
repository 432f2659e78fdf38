"""Propensities that were not logged: policy values by estimated ones beside the true ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from pipelines.benchmarks.company_logs import (
    LOGGING,
    SOURCES,
    Drawn,
    Traffic,
    constants,
    logging_probs,
    traffic,
)
from pipelines.benchmarks.results import read_results, write_results
from pipelines.benchmarks.trials import mean_of_trials, root_ratio_of_trials, share_of_trials
from router_ml.evaluation.gate.gate import DEFAULT_MARGIN, Gate, Verdict
from router_ml.evaluation.off_policy.estimators import doubly_robust
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.nuisance import cross_fit, outcome_model
from router_ml.evaluation.off_policy.propensities import ESTIMATED
from router_ml.evaluation.off_policy.shrinkage import shrunken_doubly_robust
from router_ml.evaluation.off_policy.today import today_values
from router_ml.types.arrays import FloatArray, IntArray

Progress = Callable[[Iterable[int], str], Iterable[int]]
Errors = dict[str, dict[str, tuple[float, bool]]]
"""By source of propensities and by what is estimated: error, and whether the interval holds it."""


def run(
    data: Path,
    out: Path,
    *,
    n_logs: int = 200,
    n_requests: int = 3_000,
    n_verdicts: int = 50,
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
    n_verdicts : logs that the gate judges challengers on

    Returns
    -------
    ``out``
    """
    results = read_results(out)
    workloads = results["workloads"]
    for logging in LOGGING if n_logs else ():
        for name in populations:
            population = traffic(data, name)
            rng = np.random.default_rng([random_state, LOGGING.index(logging)])
            steps = progress(range(n_logs), f"{name}: logs of {logging}, propensities hidden")
            trials = [trial(population, logging, n_requests, rng) for _ in steps]
            workloads[f"{name}-{logging}"] = {"methods": summarise(trials)}
            write_results(out, results)
    for name in populations if n_verdicts else ():
        population = traffic(data, name)
        rng = np.random.default_rng([random_state, len(LOGGING)])
        steps = progress(range(n_verdicts), f"{name}: verdicts on logs of rules")
        said = [one for _ in steps for one in verdicts(population, n_requests, rng)]
        methods = workloads.setdefault(f"{name}-rules", {}).setdefault("methods", {})
        methods["verdicts"] = count_verdicts(said)
        write_results(out, results)
    return out


def summarise(trials: Sequence[Errors]) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics of both sources over logs, of values and of differences to today (``gate_``).

    ``rmse_ratio`` is over that by logged propensities, with a paired bootstrap interval over logs.
    """
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
        ratio = root_ratio_of_trials(square[ESTIMATED], square["logged"])
        methods[ESTIMATED][f"{prefix}_rmse_ratio"] = ratio.as_dict()
    return methods


def trial(population: Traffic, logging: str, n_requests: int, rng: np.random.Generator) -> Errors:
    """One log: error and whether the interval holds the truth, by source and policy."""
    drawn = Drawn.of(population, logging_probs(population, logging, rng), n_requests, rng)
    query = drawn.query
    played = constants(population)
    played["uniform"] = np.full((len(population), 4), 0.25)
    played |= {f"router_{i}": population.router(rng) for i in range(2)}
    now = population.value(drawn.behavior)
    found: Errors = {}
    for source, log in drawn.logs.items():
        predicted = _nuisance(population, log, query)
        today = today_values(log, predicted)
        errors = {}
        for name, p in played.items():
            if not drawn.supports(p):
                continue
            truth = population.value(p)
            value = shrunken_doubly_robust(log, p[query], predicted)
            interval = value.wilson()
            errors[name] = (value.value - truth, interval.low <= truth <= interval.high)
            gate = doubly_robust(log, p[query], predicted).influence - today.influence
            errors[f"gate_{name}"] = _difference(gate, truth - now)
        found[source] = errors
    return found


def verdicts(
    population: Traffic, n_requests: int, rng: np.random.Generator
) -> list[tuple[Verdict, bool]]:
    """What the gate says of challengers against today on one log of rules, and whether that holds.

    Challengers are every constant, and four routers of different thrift that learned from an
    earlier log of the same rules.
    """
    behavior = logging_probs(population, "rules", rng)
    past = Drawn.of(population, behavior, n_requests, rng)
    earlier = past.logs[ESTIMATED]
    known = earlier.labelled
    predict = outcome_model(
        population.features[past.query][known], earlier.action[known], earlier.outcome[known], 4
    )
    quality, cost = predict(population.features), population.cost_usd.mean(axis=0)
    played = constants(population)
    for saving in (0.0, 0.05, 0.1, 0.2):
        best = (quality - saving * cost / cost.max()).argmax(axis=1)
        played[f"router_{saving}"] = np.eye(4)[best]
    drawn = Drawn.of(population, behavior, n_requests, rng)
    log, query = drawn.logs[ESTIMATED], drawn.query
    predicted = _nuisance(population, log, query)
    today = today_values(log, predicted)
    said = []
    for p in played.values():
        if not drawn.supports(p):
            continue
        rows = doubly_robust(log, p[query], predicted).influence - today.influence
        report = Gate().judge(rows, np.full(n_requests, -1.0))
        gain = population.value(p) - population.value(behavior)
        said.append((report.verdict, holds(report.verdict, gain)))
    return said


def holds(verdict: Verdict, gain: float) -> bool:
    """Whether a verdict is true of a challenger with that true gain.

    Examples
    --------
    >>> holds("better", 0.01), holds("not worse", -0.02), holds("shown to be worse", -0.01)
    (True, False, True)
    """
    wrong = {
        "better": gain <= 0.0,
        "not worse": gain <= -DEFAULT_MARGIN,
        "shown to be worse": gain >= 0.0,
    }
    return not wrong.get(verdict, False)


def count_verdicts(said: Sequence[tuple[Verdict, bool]]) -> dict[str, dict[str, float]]:
    """Share of each verdict, and of all verdicts that are wrong, with exact intervals."""
    found = {"wrong": share_of_trials(np.array([not true for _, true in said])).as_dict()}
    for verdict in ("better", "not worse", "shown to be worse", "can't tell"):
        found[verdict] = share_of_trials(np.array([one == verdict for one, _ in said])).as_dict()
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
