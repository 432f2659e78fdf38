"""A logged decision made again, from its bundle, its row and its text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from router_ml.errors import DataError
from router_ml.features.query import Query
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import Runtime, drawn
from router_ml.types.decisions import Decision

_TOGETHER: Final = (*range(1, 33), 64, 128, 256)
"""Queries that may have been scored in one run of the graph: what matrix products make of a query
may depend on their number and its place in the last digit, not on the others."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came out.

    Parameters
    ----------
    decision : made again; the nearest one where none is equal
    constraints : that it was made within
    together : queries in one run of the graph with which it is equal bit for bit; 0 = with none
    differences : largest difference of each part from the row, of the nearest one
    """

    decision: Decision
    constraints: Constraints
    together: int
    differences: Mapping[str, float]

    @property
    def text(self) -> str:
        """One sentence."""
        if self.together:
            return f"the same bit for bit, scored as one of {self.together}"
        worst = ", ".join(f"{name} {value:.3g}" for name, value in self.differences.items())
        return f"not the same bit for bit: {worst}"


def replay(runtime: Runtime, row: Mapping[str, Any], query: Query) -> Replay:
    """Decide again.

    Parameters
    ----------
    runtime : of the bundle that decided, with the overrides that it had
    row : of the decision log
    query : the request's

    Raises
    ------
    DataError
        If the bundle or its overrides are not those that decided.
    """
    for what, mine in (
        ("bundle_id", runtime.manifest.bundle_id),
        ("override_digest", runtime.override_digest),
    ):
        if row.get(what) != mine:
            raise DataError(
                f"expected the {what} {row.get(what)!r} of the row, got {mine!r}: name the bundle "
                "and the overrides that decided"
            )
    constraints = Constraints.from_dict(row["limits"])
    nearest: tuple[float, Decision, dict[str, float]] | None = None
    for together in _TOGETHER:
        for decision in _decisions(runtime, query, constraints, together, row.get("draw")):
            differences = _differences(decision, row)
            worst = max(differences.values())
            if worst == 0.0:
                return Replay(decision, constraints, together, differences)
            if nearest is None or worst < nearest[0]:
                nearest = worst, decision, differences
    if nearest is None:
        raise DataError("nothing could be scored")
    return Replay(nearest[1], constraints, 0, nearest[2])


def _decisions(
    runtime: Runtime, query: Query, constraints: Constraints, together: int, draw: float | None
) -> Iterator[Decision]:
    """What the query comes to at every place among so many; equal scores once."""
    seen: set[bytes] = set()
    for predictions in runtime.predict([query] * together).rows():
        key = predictions.quality.tobytes() + predictions.output_tokens.tobytes()
        if key in seen:
            continue
        seen.add(key)
        decision = runtime.choose(predictions, constraints)
        if draw is not None:
            k = drawn(decision.action_probs, draw)
            capped, _ = runtime.priced(predictions, constraints)
            decision = replace(
                decision,
                candidate=runtime.candidates.names[k],
                propensity=decision.action_probs[k],
                draw=draw,
                expected_tokens=(
                    float(capped.input_tokens[0, k]),
                    float(capped.output_tokens[0, k]),
                ),
            )
        yield decision


def _differences(decision: Decision, row: Mapping[str, Any]) -> dict[str, float]:
    """Largest difference of each part of the decision; infinite where names differ."""
    lines = row["ranking"]
    same = [line["candidate"] for line in lines] == [line.candidate for line in decision.ranking]
    found = {"candidate": 0.0 if decision.candidate == row["candidate"] else np.inf}
    found["ranking"] = 0.0 if same else np.inf
    for part in ("quality", "cost_usd", "latency_ms", "utility"):
        pairs = zip(lines, decision.ranking, strict=False)
        found[part] = max(
            (_gap(line[part], getattr(mine, part)) for line, mine in pairs), default=0
        )
    # Of two arms the row's own distribution is a mixture.
    probs = row.get("arm_probs") or row["action_probs"]
    found["action_probs"] = max(map(_gap, probs, decision.action_probs), default=0.0)
    return found


def _gap(logged: float | None, mine: float) -> float:
    return abs((np.inf if logged is None else logged) - mine)
