"""Does the promotion gate keep its promises? Null challengers, peeking, and power, on logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from pipelines.benchmarks.population import DrawnLog, Population, draw_log
from pipelines.benchmarks.trials import mean_of_trials, p_value, share_of_trials
from router_ml.evaluation.gate.gate import Gate, Peeking
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.off_policy.estimators import doubly_robust
from router_ml.types.arrays import FloatArray

Progress = Callable[[Iterable[int], str], Iterable[int]]
MARGIN = 0.01
GAIN = 0.02
LOOKS = (600, 1_200, 1_800, 2_400, 3_000)
"""Log sizes at which a peeking team runs the gate."""
PILOT = 12_000
"""Requests of the logs that say how many rows the stated power needs."""
N_PILOTS = 20
"""One pilot's answer varies widely where weights are large, so the mean of several is used."""


def gate_trials(
    population: Population, *, n_trials: int, random_state: int, progress: Progress
) -> dict[str, Estimate]:
    """Measure error rates and power of the gate on doubly robust row values of logs.

    The champion is the best constant. Challengers are mixtures of a router and a worse policy that
    decide differently but are worth exactly as much as the test needs: equal in utility, one
    margin lower in quality, or 2 points better.

    Returns
    -------
    ``false_promotion_*`` with ``p_value_*`` (binomial test against the nominal 2.5 %, one-sided),
    ``power`` at ``required_rows`` labelled rows, ``stated_power``
    """
    champion = population.constant(population.best_constant)
    equal = challenger(population, champion, 0.0)
    lower = challenger(population, champion, -MARGIN)
    better = challenger(population, champion, GAIN)
    nominal = Gate().alpha
    rng = np.random.default_rng(random_state + 17)
    out: dict[str, Estimate] = {}

    def record(name: str, hits: list[bool]) -> None:
        out[f"false_promotion_{name}"] = share_of_trials(np.array(hits))
        out[f"p_value_{name}"] = p_value(sum(hits), len(hits), nominal, alternative="greater")

    peeks: dict[Peeking, list[bool]] = {"once": [], "sequence": [], "spending": []}
    superior, save = [], []
    for _ in progress(range(n_trials), f"{population.name}: gate, equal routers"):
        log = draw_log(population, LOOKS[-1], rng)
        superior.append(_judge(Gate(mode="superior"), log, champion, equal))
        save.append(_judge(Gate(margin=MARGIN), log, champion, lower, free=True))
        for peeking, hits in peeks.items():
            hits.append(_peek(population, log, champion, equal, peeking))
    record("superior", superior)
    record("save", save)
    for peeking, hits in peeks.items():
        record(f"peeking_{peeking}", hits)
    out |= _power(population, champion, better, n_trials, rng, progress)
    return out


def challenger(population: Population, champion: FloatArray, gain: float) -> FloatArray:
    """Mixture of the oracle and the worst candidate, worth ``gain`` more than the champion."""
    quality = population.quality
    target = float(np.mean(np.sum(champion * quality, axis=1))) + gain
    oracle = np.eye(population.n_candidates)[quality.argmax(axis=1)]
    router = population.router(10.0)
    worst = population.constant(int(quality.mean(axis=0).argmin()))

    def value(probs: FloatArray) -> float:
        return float(np.mean(np.sum(probs * quality, axis=1)))

    good, bad = (router, worst) if value(router) > target else (oracle, router)
    share = (target - value(bad)) / (value(good) - value(bad))
    mixed: FloatArray = share * good + (1.0 - share) * bad
    return mixed


def _difference(log: DrawnLog, champion: FloatArray, other: FloatArray) -> FloatArray:
    """Row values of the quality difference, challenger minus champion."""
    rows = [
        doubly_robust(log.feedback, probs[log.query], log.predicted, self_normalised=True).influence
        for probs in (other, champion)
    ]
    difference: FloatArray = rows[0] - rows[1]
    return difference


def _judge(
    gate: Gate, log: DrawnLog, champion: FloatArray, other: FloatArray, *, free: bool = False
) -> bool:
    """Run the gate; ``free`` makes the challenger's cost surely lower, so that quality decides."""
    quality = _difference(log, champion, other)
    cost = np.full(len(quality), -1.0 if free else 0.0)
    return gate.judge(quality, cost).passed


def _peek(
    population: Population,
    log: DrawnLog,
    champion: FloatArray,
    other: FloatArray,
    peeking: Peeking,
) -> bool:
    """Whether any look at a growing log would promote."""
    gate = Gate(mode="superior", peeking=peeking, plan_groups=LOOKS[-1])
    quality = _difference(log, champion, other)
    return any(
        gate.judge(quality[:n], np.zeros(n), look=look).passed
        for look, n in enumerate(LOOKS, start=1)
    )


def _power(
    population: Population,
    champion: FloatArray,
    better: FloatArray,
    n_trials: int,
    rng: np.random.Generator,
    progress: Progress,
) -> dict[str, Estimate]:
    """Share of passes of a truly better challenger at the size that a pilot log asked for."""
    gate = Gate(mode="superior", gain=GAIN)
    required, share = np.empty(N_PILOTS), np.empty(N_PILOTS)
    for i in range(N_PILOTS):
        pilot = draw_log(population, PILOT, rng)
        labelled = int(pilot.feedback.labelled.sum())
        difference = _difference(pilot, champion, better)
        report = gate.judge(difference, np.zeros(PILOT), labelled_rows=labelled)
        required[i], share[i] = report.required_rows, labelled / PILOT
    requests = round(float(required.mean() / share.mean()))
    hits = []
    for _ in progress(range(n_trials), f"{population.name}: gate, {requests:,} requests"):
        hits.append(_judge(gate, draw_log(population, requests, rng), champion, better))
    return {
        "power": share_of_trials(np.array(hits)),
        "stated_power": Estimate(gate.target_power, gate.target_power, gate.target_power, PILOT),
        "required_rows": mean_of_trials(required),
        "required_requests": Estimate(requests, requests, requests, N_PILOTS),
    }
