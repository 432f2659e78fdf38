"""Estimators side by side: what each would earn at every budget, beside today and the hull."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipelines import figures
from pipelines.api import display
from router_ml.errors import ConfigError
from router_ml.evaluation.curves import zero_router
from router_ml.evaluation.hull import Hull, hull_gain
from router_ml.evaluation.intervals import Estimate, bootstrap
from router_ml.evaluation.off_policy.today import TODAY
from router_ml.learning.contest import Contest, Entry, groups_of
from router_ml.learning.decisions import SHARES, leads
from router_ml.types.arrays import FloatArray

BUDGETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Budgets of a table, as shares of what the best constant costs."""
MAX_UNSUPPORTED: Final = 0.05
HULL: Final = "hull"
ORACLE: Final = "oracle"
_RESAMPLES: Final = 1_000


class Comparison:
    """What :func:`compare` found; every row was judged by routers that had not seen its prompt.

    Parameters
    ----------
    contest : rows and their outcomes
    entries : by estimator

    Examples
    --------
    >>> import router_ml as rm
    >>> cv = rm.compare(rm.sample_log(matrix=True), ["constant", "linear"], folds=2)
    >>> cv.known, cv.best in ("constant", "linear")
    (True, True)
    >>> cv.plot(baseline="today").axes[0].get_ylabel()
    'mean quality'
    """

    def __init__(self, contest: Contest, entries: Mapping[str, Entry]) -> None:
        self.contest = contest
        self.entries = dict(entries)

    @property
    def known(self) -> bool:
        """Whether every outcome was seen; else they are doubly robust estimates from the log."""
        return self.contest.known

    def table(self, budgets: Sequence[float] = BUDGETS) -> pd.DataFrame:
        """A row for every constant, today, hull and oracle, and for each estimator and budget.

        Parameters
        ----------
        budgets : shares of what the best constant costs; the nearest that was played is taken

        Returns
        -------
        Columns: ``method``; ``kind`` (``constant``, ``today``, ``hull``, ``oracle``,
        ``estimator``); ``budget``, NaN where there is none; ``quality``; ``cost_usd``, dollars a
        request; ``hull_gain``, quality above what constants reach at the same cost;
        ``today_difference``, quality less today's; each with ``_low`` and ``_high``, its 95 %
        interval, all from the same rows; ``unsupported``, the share of requests that go where the
        log says too little: rows above 5 % are not to be leaned on, and ``judged`` is false
        """
        return self._frame(list(self._policies(budgets)))

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row an estimator, the best first.

        Columns: ``method``; ``hull_gain``, the mean over budgets of quality above the hull, and
        ``hull_gain_worst``, that of the worst budget; ``lead``, by how much the first is ahead of
        it in ``hull_gain``, paired and simultaneous over estimators; with intervals
        """
        groups = groups_of(self.contest)
        gains = {name: entry.played.gains for name, entry in self.entries.items()}
        order = sorted(gains, key=lambda name: -float(gains[name].mean()))
        apart = leads({name: g.mean(axis=1) for name, g in gains.items()}, order[0], groups)
        rows = []
        for name in order:
            row: dict[str, Any] = {"method": name}
            found = {**hull_gain(gains[name], groups)}
            if name in apart:
                found["lead"] = apart[name]
            for metric, estimate in found.items():
                row |= _spread(metric, estimate)
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def best(self) -> str:
        """The estimator with the highest gain over the hull."""
        return str(self.summary["method"].iloc[0])

    def rows(self, method: str, budget: float = 0.25) -> pd.DataFrame:
        """Row by row at one budget, for a look at where a method loses.

        Parameters
        ----------
        method : estimator, as :attr:`summary` names it
        budget : share of what the best constant costs; the nearest that was played is taken

        Returns
        -------
        A row a prompt. Columns: ``query`` (text), ``group_id``; ``quality`` and ``cost_usd`` of the
        method's choice, expected over its draws; ``hull`` (quality of the hull at the same mean
        cost); ``chosen`` (the likeliest candidate) and ``predicted`` (quality that it was given)

        Raises
        ------
        ConfigError
            If there is no such method.
        """
        if method not in self.entries:
            raise ConfigError(f"no method {method}; there are {', '.join(self.entries)}")
        entry, at = self.entries[method], _nearest(budget)
        probs = entry.probs[float(SHARES[at])]
        choice = probs.argmax(axis=1)
        names = np.array(self.contest.data.candidates.names)
        return pd.DataFrame({
            "query": [query.text for query in self.contest.truth.queries],
            "group_id": self.contest.truth.group_id,
            "quality": entry.played.quality[:, at],
            "cost_usd": entry.played.cost_usd[:, at],
            "hull": entry.played.hull[:, at],
            "chosen": names[choice],
            "predicted": entry.predictions.quality[np.arange(len(choice)), choice],
        })  # fmt: skip

    def plot(self, baseline: str = TODAY, *, budgets: Sequence[float] | None = None) -> Figure:
        """Quality against cost: a curve an estimator, the constants, their hull and the baseline.

        Parameters
        ----------
        baseline : ``today``, or a candidate, whose cost and quality are drawn through the figure
        budgets : shares of what the best constant costs; default: all that were played

        Raises
        ------
        ConfigError
            If there is no such baseline.
        """
        shown = SHARES if budgets is None else np.array(budgets)
        policies = list(self._policies(shown.tolist()))
        means = self._means([rows for p in policies for rows in (p[3], p[4])])
        found: dict[str, list[tuple[Estimate, Estimate]]] = {name: [] for name in self.entries}
        points: dict[str, tuple[Estimate, Estimate]] = {}
        for i, (name, kind, *_) in enumerate(policies):
            pair = (means[2 * i], means[2 * i + 1])
            if kind == "estimator":
                found[name].append(pair)
            elif kind in ("constant", TODAY, ORACLE):
                points[name] = pair
        if baseline not in points:
            named = ", ".join(name for name in points if name != ORACLE)
            raise ConfigError(f"no baseline {baseline}; there are {named}")
        oracle = points.pop(ORACLE, None)
        truth = self.contest.truth
        return figures.contest(
            points,
            found,
            zero_router=zero_router(truth.cost_usd, truth.quality),
            baseline=baseline,
            oracle=oracle,
        )

    def __repr__(self) -> str:
        first = self.summary.iloc[0]
        return (
            f"Comparison({', '.join(self.entries)}: {first['method']} leads, hull gain "
            f"{100 * first['hull_gain']:+.1f} points)"
        )

    def _repr_html_(self) -> str:
        return display.comparison_html(self)

    def _policies(self, budgets: Sequence[float]) -> Iterator[_Policy]:
        """Every contender: name, kind, budget, row values of quality and cost, probabilities."""
        truth = self.contest.truth
        k = truth.quality.shape[1]
        for j, name in enumerate(truth.candidates.names):
            probs = np.tile(np.eye(k)[j], (len(truth), 1))
            yield name, "constant", np.nan, truth.quality[:, j], truth.cost_usd[:, j], probs
        if self.contest.today is not None:
            yield TODAY, TODAY, np.nan, *self.contest.today, None
        means = truth.quality.mean(axis=0), truth.cost_usd.mean(axis=0)
        hull = Hull.of(*means)
        for budget in budgets:
            spent = budget * float(means[1][int(np.argmax(means[0]))])
            if spent >= means[1][hull.vertices[0]]:
                mix = np.tile(hull.shares(means[1], spent), (len(truth), 1))
                quality, cost = (np.sum(mix * x, axis=1) for x in (truth.quality, truth.cost_usd))
                yield HULL, HULL, budget, quality, cost, mix
        if self.known:
            order = np.lexsort((truth.cost_usd, -truth.quality), axis=1)[:, :1]
            quality, cost = (
                np.take_along_axis(x, order, axis=1)[:, 0] for x in (truth.quality, truth.cost_usd)
            )
            yield ORACLE, ORACLE, np.nan, quality, cost, None
        for name, entry in self.entries.items():
            for budget in budgets:
                at = _nearest(budget)
                yield (
                    name,
                    "estimator",
                    budget,
                    entry.played.quality[:, at],
                    entry.played.cost_usd[:, at],
                    entry.probs[float(SHARES[at])],
                )

    def _frame(self, policies: Sequence[_Policy]) -> pd.DataFrame:
        """The table of some policies; all intervals are from the same resampled rows."""
        today, columns = self.contest.today, []
        names: list[list[str]] = []
        for name, kind, budget, quality, cost_usd, _ in policies:
            found = {"quality": quality, "cost_usd": cost_usd}
            if kind != ORACLE:
                found["hull_gain"] = self._gain(name, budget, quality, cost_usd)
            if kind != ORACLE and today is not None:
                found["today_difference"] = quality - today[0]
            names.append(list(found))
            columns += list(found.values())
        estimates = iter(self._means(columns))
        rows = []
        for (name, kind, budget, _, _, probs), metrics in zip(policies, names, strict=True):
            row: dict[str, Any] = {"method": name, "kind": kind, "budget": budget}
            for metric in metrics:
                row |= _spread(metric, next(estimates))
            lost = 0.0 if probs is None else self.contest.unsupported(probs)
            rows.append({**row, "unsupported": lost, "judged": lost <= MAX_UNSUPPORTED})
        return pd.DataFrame(rows)

    def _gain(
        self, name: str, budget: float, quality: FloatArray, cost_usd: FloatArray
    ) -> FloatArray:
        """Against the training folds' hull, for what was learned; else against these rows' own."""
        if name in self.entries:
            played = self.entries[name].played
            return quality - played.hull[:, _nearest(budget)]
        truth = self.contest.truth
        hull = Hull.of(truth.quality.mean(axis=0), truth.cost_usd.mean(axis=0))
        return quality - hull.beside(quality, cost_usd, truth.quality, truth.cost_usd).hull

    def _means(self, columns: Sequence[FloatArray]) -> list[Estimate]:
        """Means of row values, each of shape (n,), with paired bootstrap intervals."""
        whole = np.column_stack([*columns, np.ones(len(self.contest.truth))])
        return bootstrap(
            whole,
            lambda total: total[..., :-1] / total[..., -1:],
            group_id=groups_of(self.contest),
            n_resamples=_RESAMPLES,
        )


_Policy = tuple[str, str, float, FloatArray, FloatArray, FloatArray | None]


def _nearest(budget: float) -> int:
    return int(np.argmin(np.abs(SHARES - budget)))


def _spread(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
