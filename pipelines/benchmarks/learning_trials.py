"""Whether learning that corrects for what the log did not show makes better routers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.benchmarks.population import bfcl_population
from pipelines.benchmarks.trials import mean_of_trials
from router_ml.data.groups import group_folds
from router_ml.data.synthetic import SyntheticWorld
from router_ml.estimators.base import Estimator
from router_ml.estimators.cross_fitting import out_of_fold
from router_ml.estimators.registry import load_all, make_estimator
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.off_policy.direct import learn_budget_policy
from router_ml.evaluation.off_policy.pseudo_outcomes import pseudo_outcomes
from router_ml.features.lexical import NAMES
from router_ml.policies.base import Policy
from router_ml.policies.budget import BudgetPolicy
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions
from router_ml.types.queries import QueryBatch, Tokens

Progress = Callable[[Iterable[int], str], Iterable[int]]
N_REQUESTS: Final = 12_000
N_PROMPTS, N_TEST = 3_000, 6_000
COST_SHARE: Final = 0.25
"""Budget, as a share of what the best constant costs."""
MAX_WEIGHT: Final = 3.0
"""As in training: inverse probabilities are capped at this many times their mean."""
STACK: Final[Mapping[str, Any]] = {
    "name": "stacked",
    "members": {
        "linear": {"name": "linear"},
        "loose": {"name": "linear", "shared_penalty": 30.0, "contrast_penalty": 100.0},
        "low_rank": {"name": "low_rank", "n_iterations": 60},
        "lightgbm": {"name": "lightgbm"},
    },
}
LEARNERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "stacked": STACK,
    "linear": STACK["members"]["loose"],
}
"""The blend that training uses by default, less its token members, and one linear model."""


@dataclass(frozen=True, slots=True)
class LearningWorld:
    """A log to learn from, and the truth about other prompts.

    Parameters
    ----------
    train, test : queries of the log, and N others
    query, action : int arrays, shape (n,), of the requests
    weight : float array, shape (n,), 1 / (propensity * label probability)
    quality : float array, shape (n,), NaN where unlabelled
    candidates : of unit price, so that tokens in millions are dollars
    train_cost, test_cost : US dollars of every candidate; taken as known, for they are no matter of
        selection
    test_quality : float array, shape (N, K), the truth
    """

    train: QueryBatch
    test: QueryBatch
    query: IntArray
    action: IntArray
    weight: FloatArray
    quality: FloatArray
    candidates: CandidateTable
    train_cost: FloatArray
    test_cost: FloatArray
    test_quality: FloatArray

    def cells(self, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weighted mean label and mass of every cell, both of shape (n_train, K)."""
        shape = (len(self.train), len(self.candidates))
        seen: BoolArray = ~np.isnan(self.quality)
        at = (self.query[seen], self.action[seen])
        total, mass = np.zeros(shape), np.zeros(shape)
        np.add.at(total, at, self.quality[seen] * weight[seen])
        np.add.at(mass, at, weight[seen])
        return np.divide(total, mass, out=np.full(shape, np.nan), where=mass > 0), mass

    @property
    def requests(self) -> FloatArray:
        """Requests of every training query, shape (n_train,)."""
        return np.bincount(self.query, minlength=len(self.train)).astype(float)


def synthetic_learning(*, hidden: bool = False, random_state: int = 0) -> LearningWorld:
    """Strong selection driven by topic and difficulty; hard queries are audited more often.

    The candidates are those of the synthetic population; prompts, log and labels follow the seed.

    Parameters
    ----------
    hidden : whether the router is not shown the difficulty, as where those who chose in the past
        knew more than the query's text; propensities are logged all the same
    """
    world = SyntheticWorld(random_state=0)
    seeds = [int(s) for s in np.random.SeedSequence([random_state, 5]).generate_state(3)]
    train = world.sample(N_PROMPTS, random_state=seeds[0])
    test = world.sample(N_TEST, random_state=seeds[1])
    log = world.log(
        train, n_requests=N_REQUESTS, label_share=0.55, missing="mar", random_state=seeds[2]
    )
    mean, scale = train.covariates.mean(axis=0), train.covariates.std(axis=0)
    shown = slice(0, -1 if hidden else None)
    batches = [_batch(((part.covariates - mean) / scale)[:, shown]) for part in (train, test)]
    return _asked(
        batches[0],
        batches[1],
        query=log.query,
        action=log.action,
        weight=1.0 / (log.propensity * log.label_prob),
        quality=log.quality,
        costs=(train.cost_usd, test.cost_usd),
        test_quality=test.quality_prob,
        names=world.candidates.names,
    )


def bfcl_learning(data: Path, *, random_state: int = 0) -> LearningWorld:
    """The real log's two-stratum policy, played on seven tenths of the matrix' prompts."""
    population = bfcl_population(data)
    rng = np.random.default_rng([random_state, 6])
    order = rng.permutation(len(population))
    cut = round(0.7 * len(order))
    train, test = order[:cut], order[cut:]
    query = rng.integers(cut, size=N_REQUESTS)
    probs = population.behavior_probs[train[query]]
    action = (rng.random((N_REQUESTS, 1)) > np.cumsum(probs, axis=1)[:, :-1]).sum(axis=1)
    label_prob = population.label_prob[train[query]]
    labelled = rng.random(N_REQUESTS) < label_prob
    served = population.quality[train[query], action]
    return _asked(
        _batch(population.features[train]),
        _batch(population.features[test]),
        query=query,
        action=action,
        weight=1.0 / (probs[np.arange(N_REQUESTS), action] * label_prob),
        quality=np.where(labelled, served, np.nan),
        costs=(population.cost_usd[train], population.cost_usd[test]),
        test_quality=population.quality[test],
        names=population.candidates,
    )


def learning_trials(
    data: Path | None, *, workload: str, n_seeds: int, random_state: int, progress: Progress
) -> dict[str, Estimate]:
    r"""Regret of naive and corrected learners on the same logs, over ``n_seeds`` logs.

    Regret is what the router at a budget loses of mean utility :math:`q - \lambda c` against the
    best decisions at that budget, :math:`\lambda` being its shadow price under the truth.

    Returns
    -------
    ``regret_<learner>`` and ``regret_difference_<learner>`` (to naive, paired by log; below zero is
    better) for ``ipw``, ``dr`` (pseudo-outcomes) and ``direct`` (offsets that maximise the DR value
    under the budget, on top of ``ipw``), and ``regret_best_constant``, of those that the budget
    allows; the same with ``_linear`` for one linear model in place of the blend, and, on synthetic
    logs, with ``_hidden`` where routers are not shown what selection went by
    """
    rows: dict[str, list[float]] = {}
    label = f"{workload}: learning"
    for seed in progress(range(random_state, random_state + n_seeds), label):
        if workload == "synthetic" or data is None:
            worlds = {
                "": synthetic_learning(random_state=seed),
                "_hidden": synthetic_learning(hidden=True, random_state=seed),
            }
        else:
            worlds = {"": bfcl_learning(data, random_state=seed)}
        for shown, world in worlds.items():
            for estimator, spec in LEARNERS.items():
                suffix = shown if estimator == "stacked" else f"{shown}_{estimator}"
                for name, value in _with_differences(regrets(world, spec)).items():
                    rows.setdefault(f"{name}{suffix}", []).append(value)
    return {name: mean_of_trials(np.array(values)) for name, values in rows.items()}


def _with_differences(found: Mapping[str, float]) -> dict[str, float]:
    """Regrets, and each corrected one less the naive."""
    out = {f"regret_{name}": value for name, value in found.items()}
    for name in ("ipw", "direct", "dr"):
        out[f"regret_difference_{name}"] = found[name] - found["naive"]
    return out


def regrets(world: LearningWorld, spec: Mapping[str, Any]) -> dict[str, float]:
    """Regret of every learner of one estimator on one log."""
    load_all()
    truth = _predictions(world.test_quality, world.test_cost)
    best = best_constant(world.test_quality, world.test_cost)
    budget = COST_SHARE * float(world.test_cost[:, best].mean())
    oracle = BudgetPolicy.solve(truth, world.candidates, budget_usd=budget)
    price = oracle.mix * oracle.cost_weight_low + (1.0 - oracle.mix) * oracle.cost_weight_high
    utility = world.test_quality - price * world.test_cost

    def regret(probs: FloatArray) -> float:
        return float(np.mean(utility.max(axis=1) - np.sum(probs * utility, axis=1)))

    def judged(policy: Policy, quality: FloatArray) -> float:
        return regret(policy.action_probs(_predictions(quality, world.test_cost), world.candidates))

    capped = np.minimum(world.weight, MAX_WEIGHT * world.weight.mean())
    weights = {"naive": np.ones(len(world.weight)), "ipw": capped / capped.mean()}
    requests, groups = world.requests, np.arange(len(world.train))
    asked = requests > 0
    out: dict[str, float] = {}
    for name, weight in weights.items():
        Y, mass = world.cells(weight)
        held_out, tested = _fit(world, spec, Y, mass)
        inside = _predictions(held_out, world.train_cost)
        policy = BudgetPolicy.solve(inside, world.candidates, budget_usd=budget)
        out[name] = judged(policy, tested)
    gamma = np.full(Y.shape, np.nan)
    gamma[asked] = pseudo_outcomes(held_out[asked], Y[asked], mass[asked], requests[asked])
    direct = learn_budget_policy(
        inside.take(asked),
        world.candidates,
        gamma[asked],
        budget_usd=budget,
        requests=requests[asked],
        group_id=groups[asked],
    )
    out["direct"] = judged(direct.policy, tested)
    held_out, tested = _fit(world, spec, gamma, np.tile(requests[:, None], (1, Y.shape[1])))
    inside = _predictions(held_out, world.train_cost)
    out["dr"] = judged(BudgetPolicy.solve(inside, world.candidates, budget_usd=budget), tested)
    within = world.test_cost.mean(axis=0) <= budget
    constants = np.where(within, utility.mean(axis=0), -np.inf)
    out["best_constant"] = float(np.mean(utility.max(axis=1)) - constants.max())
    return out


def _fit(
    world: LearningWorld, spec: Mapping[str, Any], Y: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Out-of-fold predictions of the training prompts, and those of the test prompts."""
    estimator: Estimator = make_estimator(spec)
    groups = np.arange(len(world.train))
    weight = np.where(np.isnan(Y), 0.0, weight)
    estimator.fit(world.train, Y, candidates=world.candidates, sample_weight=weight, groups=groups)
    held_out = getattr(estimator, "oof_", None)
    if held_out is None:
        by_name, _ = out_of_fold(
            {"one": estimator},
            world.train,
            Y,
            candidates=world.candidates,
            weight=weight,
            groups=groups,
            folds=group_folds(groups, n_folds=5, random_state=0),
        )
        held_out = by_name["one"]
    return held_out, estimator.predict(world.test, world.candidates)


def _predictions(quality: FloatArray, cost_usd: FloatArray) -> Predictions:
    tokens = cost_usd * 1e6  # of candidates at one dollar a million tokens
    return Predictions(quality, tokens, np.zeros_like(tokens), np.zeros_like(tokens))


def _batch(features: FloatArray) -> QueryBatch:
    """Queries of which only an embedding is known, of unit length on average."""
    n = len(features)
    length = np.sqrt(np.mean(np.sum(features**2, axis=1)))
    return QueryBatch(
        text=tuple(str(i) for i in range(n)),
        tools=("",) * n,
        tokens=Tokens.from_rows([[1]] * n),
        lexical=np.zeros((n, len(NAMES)), np.float32),
        embedding=(features / length).astype(np.float32),
    )


def _asked(
    train: QueryBatch,
    test: QueryBatch,
    *,
    query: IntArray,
    action: IntArray,
    weight: FloatArray,
    quality: FloatArray,
    costs: tuple[FloatArray, FloatArray],
    test_quality: FloatArray,
    names: tuple[str, ...],
) -> LearningWorld:
    return LearningWorld(
        train=train,
        test=test,
        query=query,
        action=action,
        weight=weight,
        quality=quality,
        candidates=CandidateTable.from_prices(dict.fromkeys(names, (1.0, 1.0))),
        train_cost=costs[0],
        test_cost=costs[1],
        test_quality=test_quality,
    )
