"""A budget that holds the quality there is today, for less money, and where more buys little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.evaluation.gate.gate import DEFAULT_MARGIN
from router_ml.learning.budgets import solve_up_to
from router_ml.learning.targets import Evidence
from router_ml.policies.base import one_hot
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import BoolArray, FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

OPPONENTS: Final = ("today", "best_constant")
MOST: Final = 0.9
"""Share of the opponent's cost that a matching budget may have: the gate wants it cheaper."""
SHOWN_Z: Final = 2.5
"""Standard errors that show it: more than the gate's, since the smallest of several budgets is
taken, and a gate that sees the same rows must err no more often for that."""
_BUDGETS: Final = 15


def match_budget(
    opponent: str,
    predictions: Predictions,
    candidates: CandidateTable,
    evidence: Evidence | None,
    *,
    margin: float = DEFAULT_MARGIN,
) -> tuple[float, Mapping[str, Any]]:
    """Dollars a request at which quality is held, and what is to be said of it.

    Of some budgets up to nine tenths of what the opponent costs, those count at which held-out rows
    show that quality is lower by no more than ``margin``; where they show it at none, it is the
    nine tenths. Of those that count it is the smallest whose utility is within a standard error of
    the highest, a dollar weighing what it buys among constants: where a little more money buys much
    more quality than today's it is spent, and where it buys what constants sell it is saved.

    Parameters
    ----------
    opponent : ``today``, whoever the log says served each request, or ``best_constant``; where
        nobody chose, or most requests were served by others than ``candidates``, today is taken for
        the best constant
    predictions : of n training queries, out of fold, arrays of shape (n, K)
    evidence : of the same queries; without it the best constant's cost alone is matched
    margin : mean quality that may be lost

    Raises
    ------
    ConfigError
        If the opponent has another name.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = CandidateTable.from_prices({"small": (1.0, 1.0), "large": (10.0, 10.0)})
    >>> tokens = np.full((2000, 2), 500.0)
    >>> hard = rng.random(2000) < 0.2
    >>> quality = np.column_stack([np.where(hard, 0.2, 0.9), np.full(2000, 0.9)])
    >>> everything_to_large = np.tile([0.0, 1.0], (2000, 1))
    >>> evidence = Evidence(quality, np.ones(2000), np.arange(2000), np.array([True, True]),
    ...     served=everything_to_large)
    >>> predictions = Predictions(quality, tokens, tokens, tokens)
    >>> usd, told = match_budget("today", predictions, table, evidence)
    >>> 0.0024 < usd < 0.004, told["of_opponent"] < 0.4
    (True, True)
    """
    if opponent not in OPPONENTS:
        raise ConfigError(f"match must be one of {', '.join(OPPONENTS)}, got {opponent!r}")
    cost_usd = candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    requests = np.ones(len(cost_usd)) if evidence is None else evidence.requests
    served = _today(evidence) if opponent == "today" else None
    if served is not None:
        probs, whom = served, "the log's traffic"
        rows: BoolArray = np.asarray(served.any(axis=1))
    else:
        quality = predictions.quality if evidence is None else evidence.judged
        best = best_constant(np.average(quality, axis=0, weights=requests)[None], cost_usd)
        probs = one_hot(np.full(len(cost_usd), best), cost_usd.shape)
        whom = f"{candidates.names[best]} alone"
        rows = np.ones(len(cost_usd), dtype=bool)
    price = float(np.average(np.sum(probs * cost_usd, axis=1)[rows], weights=requests[rows]))
    least = float(np.average(cost_usd.min(axis=1), weights=requests))
    most = max(MOST * price, least)
    told = {"opponent": whom, "opponent_usd": price, "margin": margin}
    if evidence is None:
        return most, {**told, "of_opponent": most / price if price else 1.0, "note": (
            f"no held-out label says what a budget buys: it is {MOST:.0%} of what {whom} costs"
        )}  # fmt: skip
    # Queries that others served count for neither side, so they dilute the difference.
    allowed = margin * float(requests[rows].sum() / requests.sum())
    shown: list[tuple[float, FloatArray]] = []
    for policy in solve_up_to(predictions, candidates, most, evidence, smaller=_BUDGETS):
        played = policy.action_probs(predictions, candidates)
        lead, error = evidence.lead(np.where(rows[:, None], played, 0.0), probs)
        if lead - SHOWN_Z * error >= -allowed:
            shown.append((float(policy.budget_usd), played))
    if shown:
        found = _knee(shown, evidence, cost_usd)
        said = (
            f"budget: ${found:.3g} a request, {_share(found, price)} of what {whom} costs: "
            f"held-out rows show quality to be lower by no more than {margin:g}, and that more "
            "money buys less than it does among constants, or nothing that they show"
        )
    else:
        found = most
        said = (
            f"budget: ${most:.3g} a request, {_share(most, price)} of what {whom} costs: at no "
            f"smaller one do held-out rows show quality to be lower by no more than {margin:g}"
        )
    return found, {**told, "of_opponent": found / price if price else 1.0, "note": said}


def _knee(shown: list[tuple[float, FloatArray]], evidence: Evidence, cost_usd: FloatArray) -> float:
    """The smallest budget whose utility is within a standard error of the highest one's.

    A dollar weighs as much quality as it buys among constants, from the cheapest to the best.
    """
    means, requests = evidence.means(), evidence.requests
    means = np.where(evidence.rated, means, -np.inf)
    price = np.average(cost_usd, axis=0, weights=requests)
    best, cheapest = int(means.argmax()), int(np.where(evidence.rated, price, np.inf).argmin())
    apart = price[best] - price[cheapest]
    lost = cost_usd * ((means[best] - means[cheapest]) / apart if apart > 0.0 else 0.0)
    first = shown[0][1]
    most = max(shown, key=lambda each: evidence.lead(each[1], first, lost)[0])[1]
    behind = ((budget, *evidence.lead(most, played, lost)) for budget, played in shown)
    return next(budget for budget, less, error in behind if less <= error)


def _today(evidence: Evidence | None) -> FloatArray | None:
    """Shares of the candidates in who served each query, rows of zeros where others did."""
    if evidence is None or evidence.served is None:
        return None
    served = evidence.served
    if served.sum() < 0.5 * evidence.requests.sum():
        return None
    totals = served.sum(axis=1, keepdims=True)
    shares: FloatArray = np.divide(served, totals, out=np.zeros(served.shape), where=totals > 0)
    return shares


def _share(usd: float, of: float) -> str:
    return f"{usd / of:.0%}" if of else "all"
