r"""Why a decision is as it is: predictions, cost weights at which others win, what parts add.

At a cost weight :math:`\lambda` candidate :math:`k` is best where for every other :math:`j`

.. math:: q_k - \lambda c_k \ge q_j - \lambda c_j

which bounds :math:`\lambda` from below by those that are dearer and better, and from above by those
that are cheaper: an interval, or none. A part adds to a prediction what the prediction loses
without it (leave one out), so it is the shipped graph that is explained and not a copy of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from router_ml.features.query import Query
from router_ml.features.tools import ToolList
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray
from router_ml.types.decisions import Decision

_MOST_SEGMENTS: Final = 24
_MOST_TOOLS: Final = 24
_SLOW_PARTS: Final = 8
_SHOWN: Final = 10
_SHOWN_CHARS: Final = 80
_SENTENCE: Final = re.compile(r"[^.!?\n]+[.!?\n]*\s*")
_WORD: Final = re.compile(r"\S+\s*")


@dataclass(frozen=True, slots=True)
class ExplainedCandidate:
    """What is predicted of a candidate.

    Parameters
    ----------
    best_from, best_to : cost weights, quality per dollar, at which it has the highest utility of
        those that may answer; ``None`` for ``best_from`` = at none, for ``best_to`` = at all above
    removed : why it may not answer; ``None`` = it may
    """

    candidate: str
    quality: float
    quality_std: float | None
    input_tokens: float
    output_tokens: float
    cost_usd: float
    latency_ms: float
    utility: float
    probability: float
    best_from: float | None
    best_to: float | None
    removed: str | None

    @property
    def best_text(self) -> str:
        """The cost weights in words."""
        if self.best_from is None:
            return "never"
        return f"from {self.best_from:.4g}" + (
            "" if self.best_to is None else f" to {self.best_to:.4g}"
        )


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a part of the request adds to the predicted quality of the compared candidates."""

    part: str
    text: str
    quality: dict[str, float]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why.

    Parameters
    ----------
    candidates : all of the router, in its order
    counterfactual : one sentence a candidate that would win elsewhere
    compared : the chosen candidate and the best other one
    contributions : parts that move these two apart most, first
    """

    candidates: tuple[ExplainedCandidate, ...]
    counterfactual: tuple[str, ...]
    compared: tuple[str, ...]
    contributions: tuple[Contribution, ...]


def explained(
    runtime: Runtime, query: Query, constraints: Constraints, decision: Decision
) -> Explanation:
    """Explain a decision that the runtime made of the query.

    Parameters
    ----------
    constraints : as it was decided within, the query's own needs among them
    """
    predictions, cost = runtime.priced(runtime.predict_one(query), constraints)
    removed = {removal.candidate: removal.reason for removal in decision.removed}
    names = runtime.candidates.names
    eligible = np.array([name not in removed for name in names])
    weight, latency_weight = runtime.policy_for(constraints)[0].weights
    worth = predictions.quality[0] - latency_weight * predictions.latency_ms[0]
    spans = best_at(worth, cost[0], eligible)
    std = predictions.quality_std
    lines = tuple(
        ExplainedCandidate(
            candidate=name,
            quality=float(predictions.quality[0, k]),
            quality_std=None if std is None else float(std[0, k]),
            input_tokens=float(predictions.input_tokens[0, k]),
            output_tokens=float(predictions.output_tokens[0, k]),
            cost_usd=float(cost[0, k]),
            latency_ms=float(predictions.latency_ms[0, k]),
            utility=float(worth[k] - weight * cost[0, k]),
            probability=decision.action_probs[k],
            best_from=None if (span := spans[k]) is None else span[0],
            best_to=None if span is None or math.isinf(span[1]) else span[1],
            removed=removed.get(name),
        )
        for k, name in enumerate(names)
    )
    others = [line.candidate for line in decision.ranking if line.candidate != decision.candidate]
    compared = (decision.candidate, *others[:1])
    return Explanation(
        candidates=lines,
        counterfactual=tuple(
            _sentence(line) for line in lines if line.candidate != decision.candidate
        ),
        compared=compared,
        contributions=_contributions(runtime, query, compared),
    )


def best_at(
    quality: FloatArray, cost_usd: FloatArray, eligible: FloatArray
) -> list[tuple[float, float] | None]:
    """Cost weights at which each candidate has the highest utility; ``None`` = at none.

    Parameters
    ----------
    quality, cost_usd, eligible : shape (K,)

    Examples
    --------
    >>> best_at(np.array([0.5, 0.75, 0.5]), np.array([0.0, 0.125, 0.25]), np.ones(3, dtype=bool))
    [(2.0, inf), (0.0, 2.0), None]
    """
    spans: list[tuple[float, float] | None] = []
    for k in range(len(quality)):
        low, high = 0.0, math.inf
        for j in np.flatnonzero(eligible):
            if j == k:
                continue
            gain, dollars = float(quality[j] - quality[k]), float(cost_usd[j] - cost_usd[k])
            if dollars > 0.0:
                low = max(low, gain / dollars)
            elif dollars < 0.0:
                high = min(high, gain / dollars)
            elif gain > 0.0:
                high = -math.inf
        spans.append((low, high) if eligible[k] and low <= high else None)
    return spans


def _sentence(line: ExplainedCandidate) -> str:
    name = line.candidate
    if line.removed is not None:
        return f"{name} may not answer: {line.removed}"
    if line.best_from is None:
        return f"{name} would win at no cost_weight"
    if line.best_to is None:
        return f"{name} would win above cost_weight {line.best_from:.6g}"
    if line.best_from == 0.0:
        return f"{name} would win below cost_weight {line.best_to:.6g}"
    return f"{name} would win between cost_weight {line.best_from:.6g} and {line.best_to:.6g}"


def _contributions(
    runtime: Runtime, query: Query, compared: tuple[str, ...]
) -> tuple[Contribution, ...]:
    parts = [*_parts(query)][: _SLOW_PARTS if runtime.is_slow else None]
    if not parts:
        return ()
    quality = runtime.predict([query, *(without for _, _, without in parts)]).quality
    columns = [runtime.positions[name] for name in compared]
    added = quality[0, columns] - quality[1:, columns]
    apart = np.abs(added[:, 0] - added[:, -1]) if len(columns) > 1 else np.abs(added[:, 0])
    return tuple(
        Contribution(
            parts[i][0],
            parts[i][1][:_SHOWN_CHARS],
            dict(zip(compared, added[i].tolist(), strict=True)),
        )
        for i in np.argsort(-apart, kind="stable")[:_SHOWN]
    )


def _parts(query: Query) -> Iterator[tuple[str, str, Query]]:
    """Name, text, and the query without it."""
    for i, tool in enumerate(query.tools[:_MOST_TOOLS]):
        rest = ToolList((*query.tools[:i], *query.tools[i + 1 :]))
        yield f"tools[{i}]", str(tool.get("name", "")), replace(query, tools=rest)
    if query.prior:
        yield "prior", query.prior, replace(query, prior="")
    for begin, end in _segments(query.ask):
        rest_of_ask = (query.ask[:begin] + query.ask[end:]).strip()
        if rest_of_ask:
            yield f"ask[{begin}:{end}]", query.ask[begin:end], replace(query, ask=rest_of_ask)


def _segments(text: str) -> list[tuple[int, int]]:
    """Sentences, or words of a text of few; evenly joined where there are too many."""
    spans = [match.span() for match in _SENTENCE.finditer(text)]
    if len(spans) < 4:
        spans = [match.span() for match in _WORD.finditer(text)]
    step = -(-len(spans) // _MOST_SEGMENTS)
    return (
        [
            (part[0][0], part[-1][1])
            for part in (spans[i : i + step] for i in range(0, len(spans), step))
        ]
        if spans
        else []
    )
