"""Logs as a company's own rules or a router draw them, propensities known and hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np

from router_ml.data.full_information import read_matrix
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.nuisance import outcome_model
from router_ml.evaluation.off_policy.propensities import (
    ESTIMATED,
    estimated_propensities,
    query_features,
)
from router_ml.types.arrays import FloatArray, IntArray

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

    def value(self, probs: FloatArray) -> float:
        """True mean quality of a policy, shape (N, 4)."""
        return float((probs * self.quality).sum(axis=1).mean())

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


@dataclass(frozen=True, slots=True)
class Drawn:
    """A log as it is, and as it looks with its propensities hidden.

    Parameters
    ----------
    behavior : float array, shape (N, 4), who serves
    query : int array, shape (n,), row of the population
    logs : by source of propensities
    """

    behavior: FloatArray
    query: IntArray
    logs: dict[str, LoggedFeedback]

    @classmethod
    def of(
        cls, population: Traffic, behavior: FloatArray, n_requests: int, rng: np.random.Generator
    ) -> Self:
        """Requests with replacement, served by the behaviour policy, some of them labelled."""
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
        guessed = probs[np.arange(n_requests), action]
        blind = replace(log, propensity=guessed, propensity_source=ESTIMATED)
        return cls(behavior, query, {"logged": log, ESTIMATED: blind})

    def supports(self, probs: FloatArray) -> bool:
        """Whether the behaviour policy may choose whatever a policy would."""
        return not ((probs > 0.0) & (self.behavior <= 0.0)).any()


def constants(population: Traffic) -> dict[str, FloatArray]:
    """Every candidate as a policy, shape (N, 4) each."""
    return {f"constant_{k}": np.tile(np.eye(4)[k], (len(population), 1)) for k in range(4)}
