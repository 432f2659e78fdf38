"""Whether an experiment's intervals hold when one looks again and again, on a known truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from router_ml.evaluation.experiment import ExperimentRows, report
from router_ml.evaluation.intervals import Estimate

_COST_WEIGHT: Final = 10.0
_MEDIAN_MS: Final = 400.0
_FASTER: Final = 0.85
_SPREAD: Final = 0.6
_PLAIN: Final = ("quality", "cost_usd")
_Z95: Final = 1.6448536269514722
TRUTH: Final[Mapping[str, float]] = {
    "quality": 0.03,
    "cost_usd": -0.001,
    "utility": 0.04,
    "latency_ms_p50": (_FASTER - 1.0) * _MEDIAN_MS,
    "latency_ms_p95": (_FASTER - 1.0) * _MEDIAN_MS * float(np.exp(_SPREAD * _Z95)),
}
"""What :func:`simulate` puts in."""


def simulate(rng: np.random.Generator, *, n_units: int, share: float = 0.3) -> ExperimentRows:
    """Sessions of one to six requests, alike within a session; two in five are labelled.

    The challenger's answers are better by 0.03, cheaper by a dollar a thousand, and 15 % faster.
    Latencies of a session are independent, so that their quantiles are known.
    """
    size = rng.integers(1, 7, n_units)
    unit = np.repeat(np.arange(n_units), size)
    arm = (rng.random(n_units) < share)[unit]
    n = len(unit)
    ease = np.clip(rng.normal(0.75, 0.12, n_units), 0.1, 0.96)[unit]
    quality = (rng.random(n) < ease).astype(float) + TRUTH["quality"] * arm
    return ExperimentRows(
        unit=unit.astype(float),
        challenger=arm,
        share=np.full(n, share),
        quality=np.where(rng.random(n) < 0.4, quality, np.nan),
        cost_usd=rng.gamma(1.5, 0.002, n) + TRUTH["cost_usd"] * arm,
        latency_ms=_MEDIAN_MS
        * np.where(arm, _FASTER, 1.0)
        * np.exp(_SPREAD * rng.standard_normal(n)),
    )


def coverage(
    *, n_trials: int, n_units: int, looks: int, random_state: int = 0
) -> dict[str, dict[str, float]]:
    """Share of experiments in which an interval missed the truth at any of the looks.

    Parameters
    ----------
    n_trials, n_units, looks : experiments, sessions in each, and evenly spaced looks at it

    Returns
    -------
    ``anytime`` by metric: the sequences; ``fixed``: plain 95 % intervals at the same looks
    """
    rng = np.random.default_rng(random_state)
    missed: dict[str, dict[str, int]] = {"anytime": {}, "fixed": {}}
    for _ in range(n_trials):
        rows = simulate(rng, n_units=n_units)
        wrong: dict[str, set[str]] = {"anytime": set(), "fixed": set()}
        for until in np.linspace(n_units / looks, n_units, looks):
            seen = _first(rows, until)
            found = report(seen, cost_weight=_COST_WEIGHT, planned=n_units)
            for name, truth in TRUTH.items():
                lift = found.metrics[name].lift
                if not lift.low <= truth <= lift.high:
                    wrong["anytime"].add(name)
            for name, lift in _plain(seen).items():
                if not lift.low <= TRUTH[name] <= lift.high:
                    wrong["fixed"].add(name)
        for kind, names in wrong.items():
            for name in names:
                missed[kind][name] = missed[kind].get(name, 0) + 1
    compared = {"anytime": tuple(TRUTH), "fixed": _PLAIN}
    return {
        kind: {name: counts.get(name, 0) / n_trials for name in compared[kind]}
        for kind, counts in missed.items()
    }


def run(*, n_trials: int = 500, n_units: int = 3_000, looks: int = 30) -> dict[str, Any]:
    """Figures in the benchmark schema; intervals are of the share over trials."""
    found = coverage(n_trials=n_trials, n_units=n_units, looks=looks)
    methods = {}
    for kind, shares in found.items():
        methods[kind] = {
            f"missed_{name}": Estimate(
                share,
                max(0.0, share - 1.96 * (share * (1 - share) / n_trials) ** 0.5),
                share + 1.96 * (share * (1 - share) / n_trials) ** 0.5,
                n_trials,
            ).as_dict()
            for name, share in shares.items()
        }
    return {"workloads": {"experiment": {"methods": methods}}}


def _first(rows: ExperimentRows, n_units: float) -> ExperimentRows:
    seen = rows.unit < n_units
    return ExperimentRows(
        **{name: getattr(rows, name)[seen] for name in ExperimentRows.__dataclass_fields__}
    )


def _plain(rows: ExperimentRows) -> dict[str, Estimate]:
    """Differences of means of requests with normal intervals, as a spreadsheet has them."""
    out = {}
    for name in _PLAIN:
        values = getattr(rows, name)
        arms = [values[(rows.challenger == arm) & np.isfinite(values)] for arm in (False, True)]
        value = float(arms[1].mean() - arms[0].mean())
        half = 1.96 * float(np.sqrt(sum(x.var() / len(x) for x in arms)))
        out[name] = Estimate(value, value - half, value + half, len(values))
    return out
