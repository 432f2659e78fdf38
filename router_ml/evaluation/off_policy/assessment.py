"""What the log can say about one policy: estimates, overlap, bounds, warnings, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from router_ml.evaluation.concentration import empirical_bernstein
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.off_policy.estimators import (
    RowValues,
    direct_method,
    doubly_robust,
    ipw,
    snips,
)
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.overlap import Overlap, overlap, require_overlap
from router_ml.evaluation.off_policy.sensitivity import (
    Bounds,
    sensitivity_bounds,
    worst_case_bounds,
)
from router_ml.evaluation.off_policy.shrinkage import shrunken_doubly_robust
from router_ml.types.arrays import FloatArray, IntArray

FEW_ROWS: Final = 50.0
"""Effective rows below which a warning says that intervals are not to be leaned on."""
HEAVY_ROW: Final = 0.05
"""Share of all weight in one row above which a warning says so."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a log says about a policy's mean outcome.

    Parameters
    ----------
    estimates : by estimator, with 95 % intervals; ``DR`` is the one to quote
    rows : row values of ``DR`` without shrinkage; differences of two policies' ``influence`` feed
        the gate
    overlap : by candidate and region
    worst_case : bounds that assume nothing about unlabelled outcomes; None if the range is unknown
    sensitivity : bounds if labels depend on outcomes by at most a factor ``gamma`` of odds
    warnings : sentences for a person
    """

    estimates: dict[str, Estimate]
    rows: RowValues
    overlap: Overlap
    worst_case: Bounds | None
    sensitivity: Bounds
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able dictionary."""
        return {
            "estimates": {name: e.as_dict() for name, e in self.estimates.items()},
            "effective_sample_size": self.overlap.effective_sample_size,
            "unsupported_mass": self.overlap.unsupported_mass,
            "worst_case": self.worst_case and [self.worst_case.low, self.worst_case.high],
            "sensitivity": [self.sensitivity.low, self.sensitivity.high],
            "warnings": list(self.warnings),
        }


def assess(
    log: LoggedFeedback,
    action_probs: FloatArray,
    predicted: FloatArray,
    *,
    candidates: Sequence[str],
    region: IntArray | None = None,
    regions: Sequence[str] = ("all queries",),
    outcome_range: tuple[float, float] | None = (0.0, 1.0),
    largest_weight: float | None = None,
    gamma: float = 2.0,
    clip: float = 20.0,
    max_unsupported: float = 0.05,
    random_state: int = 0,
) -> Assessment:
    """Judge a policy by a log of one outcome: quality, cost or utility.

    Parameters
    ----------
    action_probs : float array, shape (n, K), of the evaluation policy
    predicted : float array, shape (n, K), cross-fitted predictions of the outcome
    candidates : K names
    region, regions : query regions for the overlap diagnosis, as in :func:`overlap`
    outcome_range : known range of the outcome, (0, 1) for quality; None for cost, which then gets
        bootstrap intervals and no worst-case bounds
    largest_weight : largest importance weight that can occur; with it and an ``outcome_range``
        there is a finite-sample ``empirical_bernstein`` interval around DR
    gamma : odds by which unlabelled outcomes may differ
    clip : weight at which the tamed estimators cut
    max_unsupported : share of the policy's requests that may lack support

    Raises
    ------
    OverlapError
        If more than that lacks support, naming candidates and regions.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> action = rng.integers(2, size=400)
    >>> log = LoggedFeedback(action, np.full(400, 0.5), (rng.random(400) < 0.8).astype(float))
    >>> always_first = np.tile([1.0, 0.0], (400, 1))
    >>> found = assess(log, always_first, np.full((400, 2), 0.8), candidates=("a", "b"))
    >>> found.estimates["DR"].low < 0.8 < found.estimates["DR"].high
    True
    """
    support = overlap(log, action_probs, candidates=candidates, region=region, regions=regions)
    require_overlap(support, max_unsupported=max_unsupported)
    rows = {
        "DM": direct_method(log, action_probs, predicted),
        "IPW": ipw(log, action_probs),
        "SNIPS": snips(log, action_probs),
        "DR": shrunken_doubly_robust(log, action_probs, predicted),
        "DR-clip": doubly_robust(log, action_probs, predicted, clip=clip),
        "DR-SWITCH": doubly_robust(log, action_probs, predicted, switch=clip),
    }
    estimates = {
        name: value.wilson(low=outcome_range[0], high=outcome_range[1])
        if outcome_range is not None and name in ("SNIPS", "DR")
        else value.bootstrap(random_state=random_state)
        for name, value in rows.items()
    }
    if outcome_range is not None and largest_weight is not None:
        plain = doubly_robust(log, action_probs, np.clip(predicted, *outcome_range))
        reach = largest_weight * (outcome_range[1] - outcome_range[0])
        estimates["empirical_bernstein"] = empirical_bernstein(
            plain.numerator,
            low=outcome_range[0] - reach,
            high=outcome_range[1] + reach,
            group_id=log.group_id,
        )
    worst = None
    if outcome_range is not None:
        worst = worst_case_bounds(log, action_probs, low=outcome_range[0], high=outcome_range[1])
    return Assessment(
        estimates=estimates,
        rows=rows["DR"].interval_of or rows["DR"],
        overlap=support,
        worst_case=worst,
        sensitivity=sensitivity_bounds(log, action_probs, gamma=gamma),
        warnings=tuple(_warnings(log, support)),
    )


def _warnings(log: LoggedFeedback, support: Overlap) -> list[str]:
    """What a reader must know before quoting the numbers."""
    found = []
    if log.propensity_source != "logged":
        found.append(
            f"propensities are {log.propensity_source}, not logged: estimates are right only if "
            "the model of the behaviour policy is"
        )
    if support.effective_sample_size < FEW_ROWS:
        found.append(
            f"only {support.effective_sample_size:.0f} effective rows: intervals are rough"
        )
    if support.largest_weight > HEAVY_ROW:
        found.append(f"one row carries {support.largest_weight:.0%} of all weight")
    if support.unsupported.any():
        found.append(f"the log says too little about {support.text}")
    missing = 1.0 - log.labelled.mean()
    if missing > 0:
        found.append(
            f"{missing:.0%} of rows have no label; estimates take them as missing at random given "
            "what is logged, see the sensitivity bounds for what if not"
        )
    return found
