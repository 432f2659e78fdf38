"""Does the certified floor hold, and what does certainty cost? Trials against known truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from pipelines.benchmarks.population import Population, draw_feedback
from pipelines.benchmarks.trials import mean_of_trials, p_value, share_of_trials
from router_ml.evaluation.guarantee import Certificate, certify, floor_loss
from router_ml.evaluation.intervals import Estimate
from router_ml.types.arrays import FloatArray

Progress = Callable[[Iterable[int], str], Iterable[int]]
FLOOR = 0.98
DELTA = 0.05
COST_WEIGHTS = (0.0, *np.geomspace(1.0, 5_000.0, 40).tolist())
"""Operating points of the router, from the dearest to the cheapest."""
SIZES = (300, 1_000, 3_000, 10_000)
"""Calibration rows with full information."""
LOG_REQUESTS = 50_000
"""Calibration requests of a partial log; the router was trained on an earlier one."""


def guarantee_trials(
    population: Population, *, n_trials: int, random_state: int, progress: Progress
) -> dict[str, Estimate]:
    """Measure violations and the price of the guarantee.

    The reference is the constant that looked best in training. Calibration rows are drawn anew in
    every trial: paired full-information rows of several sizes, and, where the behaviour policy
    explores enough, a partial log judged by doubly robust row values.

    Returns
    -------
    ``violations_*`` (any certified point that is truly below the floor) with ``p_value_*``,
    ``certified_cost_*`` (mean dollars a request at the certified point; the reference's where none
    is), ``certified_share_*``, ``oracle_cost`` (the cheapest point that truly keeps the floor),
    ``reference_cost``, and for logs ``excess_over_oracle``
    """
    game = _Game(population)
    rng = np.random.default_rng(random_state + 29)
    out = {
        "oracle_cost": _exact(game.oracle_cost, len(population)),
        "reference_cost": _exact(game.cost[0], len(population)),
    }
    for size in SIZES:
        steps = progress(range(n_trials), f"{population.name}: guarantee, {size:,} rows")
        found = []
        for i in steps:
            rows = rng.integers(len(population), size=size)
            found.append(certify(game.loss[rows], high=FLOOR, delta=DELTA, random_state=i))
        out |= game.measure(found, f"n{size}")
    if population.name == "synthetic":
        steps = progress(range(n_trials), f"{population.name}: guarantee, partial log")
        found = [game.certify_log(rng, random_state=i) for i in steps]
        out |= game.measure(found, "log")
        excess = np.array([game.certified_cost(c) / game.oracle_cost - 1.0 for c in found])
        out["excess_over_oracle"] = mean_of_trials(excess)
    return out


class _Game:
    """Operating points of one population's router, their truth, and how to certify them."""

    def __init__(self, population: Population) -> None:
        self.population = population
        self.reference = population.constant(int(population.learned.mean(axis=0).argmax()))
        probs = [population.router(weight) for weight in COST_WEIGHTS]
        # Neighbouring weights may decide alike; one of them is enough.
        probs = [p for i, p in enumerate(probs) if i == 0 or np.any(p != probs[i - 1])]
        self.choices = [p.argmax(axis=1) for p in probs]
        quality = np.stack([np.sum(p * population.quality, axis=1) for p in probs], axis=1)
        reference = np.sum(self.reference * population.quality, axis=1)
        self.loss = floor_loss(quality, reference, floor=FLOOR)
        every = [self.reference, *probs]
        self.cost = [float(np.mean(np.sum(p * population.cost_usd, axis=1))) for p in every]
        self.keeps = self.loss.mean(axis=0) <= 0.0
        # The same router may only use points before its first violation, as the test must.
        first = int(np.argmin(self.keeps)) if not self.keeps.all() else len(probs)
        self.oracle_cost = min(self.cost[1 : first + 1], default=self.cost[0])
        self.high = np.array([self._highest(p) for p in probs])

    def certified_cost(self, certificate: Certificate) -> float:
        """Dollars a request at the certified point, or at the reference."""
        return self.cost[0 if certificate.index is None else certificate.index + 1]

    def measure(self, found: list[Certificate], name: str) -> dict[str, Estimate]:
        """Violations, their binomial test, and costs over trials."""
        wrong = np.array([bool((c.certified & ~self.keeps).any()) for c in found])
        cost = np.array([self.certified_cost(c) for c in found])
        certified = np.array([c.index is not None for c in found])
        return {
            f"violations_{name}": share_of_trials(wrong),
            f"p_value_{name}": p_value(int(wrong.sum()), len(wrong), DELTA, alternative="greater"),
            f"certified_cost_{name}": mean_of_trials(cost),
            f"certified_share_{name}": share_of_trials(certified),
        }

    def certify_log(self, rng: np.random.Generator, *, random_state: int) -> Certificate:
        """Certify from a partial log: row values of DR stand in for outcomes."""
        query, feedback = draw_feedback(self.population, LOG_REQUESTS, rng, known_audit=True)
        # DR row values of every constant; a deterministic policy's are those of its choice.
        rows = np.clip(self.population.learned[query], 0.0, 1.0)
        every = np.arange(len(query))
        served = (every, feedback.action)
        weight = feedback.labelled / (feedback.propensity * feedback.label_prob)
        rows[served] += weight * (feedback.filled - rows[served])
        reference = FLOOR * rows[:, int(self.reference[0].argmax())]
        loss = np.stack([reference - rows[every, c[query]] for c in self.choices], axis=1)
        return certify(loss, low=-np.inf, high=self.high, delta=DELTA, random_state=random_state)

    def _highest(self, probs: FloatArray) -> float:
        """Largest loss that a row of a log can show, from what is known before outcomes."""
        population = self.population
        predicted = np.clip(population.learned, 0.0, 1.0)
        weight = 1.0 / (population.behavior_probs * population.label_prob[:, None])
        difference = FLOOR * self.reference - probs
        direct = np.sum(difference * predicted, axis=1)
        ends = [difference * weight * (y - predicted) for y in (0.0, 1.0)]
        return float((direct + np.max(ends, axis=(0, 2))).max())


def _exact(value: float, n: int) -> Estimate:
    return Estimate(value, value, value, n)
