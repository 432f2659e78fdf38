"""Tails of policies' outcomes: one policy's for a report, two policies' for the gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from router_ml.data.full_information import FullInformation
from router_ml.errors import ConfigError
from router_ml.evaluation.off_policy.distribution import (
    TailValue,
    WeightedOutcomes,
    quantile,
    tail_mean,
)
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.tails import REPORTED, Tail
from router_ml.types.arrays import FloatArray


def value_of(tail: Tail, outcomes: WeightedOutcomes) -> TailValue:
    """A tail of a policy's outcomes."""
    if not tail.mean:
        return quantile(outcomes, tail.level)
    return tail_mean(outcomes, tail.level, tail="high" if tail.as_ratio else "low")


@dataclass(frozen=True, slots=True)
class TailGuard:
    """A tail of a challenger beside its opponent's, and how much worse it may be.

    Parameters
    ----------
    tail : which
    limit : of latency and cost: the largest ratio, such as 1.2; of quality and utility: what may be
        lost, such as 0.05
    new, old : the two values
    difference : float array, shape (n,), row values of ``log(new / old)`` or of ``new - old``
    rows : effective requests in the thinner of the two tails
    """

    tail: Tail
    limit: float
    new: float
    old: float
    difference: FloatArray
    rows: float

    @classmethod
    def of(cls, tail: Tail, limit: float, new: WeightedOutcomes, old: WeightedOutcomes) -> Self:
        """Compare; both outcomes are of the same requests."""
        first, second = value_of(tail, new), value_of(tail, old)
        rows = min(first.tail_rows, second.tail_rows)
        if tail.as_ratio:
            if not (first.value > 0.0 and second.value > 0.0):
                rows = 0.0
            difference = _log_rows(first) - _log_rows(second)
        else:
            difference = first.influence - second.influence
        return cls(tail, limit, first.value, second.value, difference, rows)

    @property
    def threshold(self) -> float:
        """What the bound of ``difference`` must clear: below it for ratios, above it else."""
        return float(np.log(self.limit)) if self.tail.as_ratio else -self.limit


def tail_guards(
    guards: Mapping[str, float],
    new: Mapping[str, WeightedOutcomes],
    old: Mapping[str, WeightedOutcomes],
) -> tuple[TailGuard, ...]:
    """Every guard, of policies' outcomes by measure.

    Raises
    ------
    ConfigError
        If a measure is not known.
    """
    found = []
    for name, limit in guards.items():
        tail = Tail.parse(name)
        if tail.measure not in new or tail.measure not in old:
            raise ConfigError(
                f"{name} cannot be guarded: nothing tells {tail.measure} here; known are "
                f"{', '.join(new) or 'no measures'}"
            )
        found.append(TailGuard.of(tail, limit, new[tail.measure], old[tail.measure]))
    return tuple(found)


def logged_outcomes(
    logs: Mapping[str, LoggedFeedback], action_probs: FloatArray, *, cost_weight: float = 0.0
) -> dict[str, WeightedOutcomes]:
    """A policy's outcomes by measure, as far as a log knows any of its choices.

    Parameters
    ----------
    logs : feedback of the same requests by measure
    action_probs : float array, shape (n, K)
    cost_weight : quality per dollar; with it there is utility
    """
    logs = dict(logs)
    if cost_weight > 0.0 and {"quality", "cost_usd"} <= set(logs):
        spent = cost_weight * logs["cost_usd"].outcome
        logs["utility"] = replace(logs["quality"], outcome=logs["quality"].outcome - spent)
    return {
        measure: WeightedOutcomes.of_log(log, action_probs)
        for measure, log in logs.items()
        if log.weights(action_probs).any()
    }


def matrix_outcomes(
    truth: FullInformation, action_probs: FloatArray, *, cost_weight: float = 0.0
) -> dict[str, WeightedOutcomes]:
    """The same where every candidate's outcome is known."""
    known = {measure: getattr(truth, measure) for measure in ("quality", "cost_usd", "latency_ms")}
    if cost_weight > 0.0:
        known["utility"] = truth.quality - cost_weight * truth.cost_usd
    return {
        measure: WeightedOutcomes.of_matrix(values, action_probs, truth.groups)
        for measure, values in known.items()
        if np.isfinite(values[action_probs > 0.0]).any()
    }


def reported_tails(
    outcomes: Mapping[str, WeightedOutcomes], names: Iterable[str] = REPORTED
) -> dict[str, TailValue]:
    """The tails of a policy whose measures are known."""
    tails = map(Tail.parse, names)
    return {t.name: value_of(t, outcomes[t.measure]) for t in tails if t.measure in outcomes}


def _log_rows(tail: TailValue) -> FloatArray:
    """Row values of the logarithm, linearised."""
    value = max(tail.value, 1e-300)
    rows: FloatArray = np.log(value) + (tail.influence - tail.value) / value
    return rows
