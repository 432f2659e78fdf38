"""Why a router chooses whom it chooses, as frames; the service's ``explain`` says the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pandas as pd

from pipelines.api import display
from router_ml.features.query import Query
from router_ml.runtime import explanation
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import Runtime
from router_ml.types.decisions import Decision


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with what it rests on.

    Parameters
    ----------
    decision : as the service makes it
    ranking : a row a candidate, the chosen one first: ``candidate``, ``quality``, ``cost_usd``,
        ``latency_ms``, ``utility``, ``probability``; ``best_from`` and ``best_to``, the cost
        weights (quality per dollar) between which it would be the best; ``removed``, why it may
        not answer
    contributions : a row a part of the query, those first that move the chosen candidate and the
        best other one apart most: ``part``, ``text``, and by candidate what the part adds to
        predicted quality, by leaving it out
    counterfactual : sentences, one a candidate that would win elsewhere

    References
    ----------
    .. [1] Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014:
       what a part adds, by leaving it out.

    Examples
    --------
    >>> import router_ml as rm
    >>> router = rm.fit(rm.sample_log(), estimator="linear")
    >>> found = router.explain("Prove it rigorously, with every edge case.")
    >>> len(found.ranking), found.decision.candidate in router.candidates.names
    (3, True)
    """

    decision: Decision
    ranking: pd.DataFrame
    contributions: pd.DataFrame
    counterfactual: tuple[str, ...]

    @property
    def text(self) -> str:
        """Why, in a sentence or two."""
        first = self.ranking.iloc[0]
        chosen = (
            f"{self.decision.candidate}: {self.decision.reason}; predicted quality "
            f"{first['quality']:.3f} at ${first['cost_usd'] * 1e3:.3f} per 1,000."
        )
        return " ".join([chosen, *(f"{said}." for said in self.counterfactual)])

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return display.explanation_html(self)


def explain(
    runtime: Runtime, query: Query, constraints: Constraints, decision: Decision
) -> Explanation:
    """A decision's explanation by the shipped graph.

    Parameters
    ----------
    constraints : as it was decided within
    """
    found = explanation.explained(runtime, query, constraints.of(query), decision)
    ranking = pd.DataFrame([asdict(line) for line in found.candidates])
    first = [row.candidate for row in decision.ranking]
    order = [decision.candidate, *(name for name in first if name != decision.candidate)]
    rank = {name: place for place, name in enumerate(order)}
    ranking = ranking.sort_values(
        "candidate", key=lambda names: names.map(lambda name: rank.get(name, len(rank)))
    )
    columns = ["candidate", "quality", "cost_usd", "latency_ms", "utility", "probability",
               "best_from", "best_to", "removed"]  # fmt: skip
    parts = pd.DataFrame(
        [{"part": c.part, "text": c.text, **c.quality} for c in found.contributions],
        columns=["part", "text", *found.compared],
    )
    return Explanation(
        decision, ranking[columns].reset_index(drop=True), parts, found.counterfactual
    )
