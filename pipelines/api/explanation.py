"""Why a router chooses whom it chooses."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from pipelines.api import display
from router_ml.features.query import Query
from router_ml.types.decisions import Decision

if TYPE_CHECKING:
    from pipelines.api.router import Router

MAX_WORDS: Final = 60
_WORD: Final = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with what it rests on.

    Parameters
    ----------
    decision : as the service would make it
    ranking : a row an eligible candidate, best first: ``candidate``, ``quality``, ``cost_usd``,
        ``latency_ms``, ``utility``, ``probability``
    rival : the candidate that comes second; ``""`` where there is none
    words : a row a word of the query (the first 60), in order: ``word``, and ``effect``: by how
        much the chosen one's lead in predicted quality over the rival is higher with the word than
        without it. Words are left out one at a time, so what two of them say together is not told
    """

    decision: Decision
    ranking: pd.DataFrame
    rival: str
    words: pd.DataFrame

    @property
    def text(self) -> str:
        """One sentence."""
        first = self.ranking.iloc[0]
        found = f"{self.decision.candidate}: {self.decision.reason}; predicted quality "
        found += f"{first['quality']:.3f} at ${first['cost_usd'] * 1e3:.3f} per 1,000"
        if not self.rival:
            return found + "."
        second = self.ranking[self.ranking["candidate"] == self.rival].iloc[0]
        return f"{found}, {self.rival} {second['quality']:.3f} at ${second['cost_usd'] * 1e3:.3f}."

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return display.explanation_html(self)


def explain(router: Router, query: Query) -> Explanation:
    """Decide a query, and leave out its words one at a time."""
    decision = router.decide(query)
    probability = dict(zip(router.candidates.names, decision.action_probs, strict=True))
    ranking = pd.DataFrame(
        [
            (row.candidate, row.quality, row.cost_usd, row.latency_ms, row.utility,
             probability[row.candidate])
            for row in decision.ranking
        ],
        columns=["candidate", "quality", "cost_usd", "latency_ms", "utility", "probability"],
    )  # fmt: skip
    others = [row.candidate for row in decision.ranking if row.candidate != decision.candidate]
    rival = others[0] if others else ""
    return Explanation(decision, ranking, rival, _words(router, query, decision.candidate, rival))


def _words(router: Router, query: Query, chosen: str, rival: str) -> pd.DataFrame:
    spans = [match.span() for match in _WORD.finditer(query.ask)][:MAX_WORDS]
    words = [query.ask[a:b] for a, b in spans]
    if not rival or not spans:
        return pd.DataFrame({"word": words, "effect": np.zeros(len(words))})
    cut = [replace(query, ask=query.ask[:a] + query.ask[b:].lstrip()) for a, b in spans]
    quality = router.runtime.predict([query, *cut]).quality
    names = router.candidates.names
    lead = quality[:, names.index(chosen)] - quality[:, names.index(rival)]
    return pd.DataFrame({"word": words, "effect": (lead[0] - lead[1:]).astype(float)})
