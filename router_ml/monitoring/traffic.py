"""Who asks what: requests against what training saw of them.

Every property of a request that training knows a share of (a language, a cluster of queries, a
lexical count above the nine tenths of training, a tool that training did not see) is a stream of
zeros and ones, with that share as the prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from router_ml.features.query import Query
from router_ml.types.arrays import FloatArray

OTHERS: Final = "others"
UNSEEN: Final = "unseen"
HIGH: Final = 0.9
"""Quantile above which a lexical column is watched."""
_LEAST: Final = 0.002
"""Least share that is taken of what training did not see."""


def cluster_reference(
    embedding: FloatArray, weight: FloatArray, *, n_clusters: int = 8, random_state: int = 0
) -> dict[str, Any]:
    """Centres of clusters of queries and their shares, JSON-able; centres to three digits.

    Parameters
    ----------
    embedding : shape (n, d)
    weight : requests of each query, shape (n,)
    """
    from sklearn.cluster import KMeans

    distinct = len(np.unique(embedding, axis=0))
    model = KMeans(min(n_clusters, distinct), n_init=1, random_state=random_state)
    code = model.fit(embedding.astype(np.float64), sample_weight=weight).labels_
    shares = np.bincount(code, weight, minlength=model.n_clusters) / weight.sum()
    return {
        "centres": np.round(model.cluster_centers_, 3).tolist(),
        "shares": np.round(shares, 4).tolist(),
    }


def shares_of(values: Sequence[str], weight: FloatArray, *, most: int = 12) -> dict[str, float]:
    """Shares of the most frequent values.

    Examples
    --------
    >>> shares_of(["de", "en", "en"], np.array([1.0, 1.0, 2.0]))
    {'en': 0.75, 'de': 0.25}
    """
    total: dict[str, float] = {}
    for value, w in zip(values, weight.tolist(), strict=True):
        total[value] = total.get(value, 0.0) + w
    order = sorted(total, key=lambda value: (-total[value], value))[:most]
    return {value: round(total[value] / float(weight.sum()), 4) for value in order}


def tool_names(query: Query) -> list[str]:
    """Names of the tools that a query offers."""
    return [str(tool.get("name", "")) for tool in query.tools]


class TrafficReference:
    """What training saw of requests, as the manifest has it.

    Parameters
    ----------
    reference : of the manifest; what an older release did not write is not watched

    Attributes
    ----------
    kinds : that are watched
    """

    def __init__(self, reference: Mapping[str, Any]) -> None:
        levels = reference.get("quantile_levels", [])
        at = levels.index(HIGH) if HIGH in levels else None
        lexical = reference.get("lexical", {}) if at is not None else {}
        # A column of which a tenth is at the top by ties has no meaningful upper tenth.
        self.high = {name: float(q[at]) for name, q in lexical.items() if at and q[at] < q[-1]}
        self.above: dict[str, float] = dict(reference.get("lexical_above", {}))
        self.languages: dict[str, float] = dict(reference.get("languages", {}))
        self.new_tools = reference.get("tools_unseen")
        self.tools = frozenset(() if self.new_tools is None else reference.get("tools", ()))
        clusters = reference.get("clusters", {})
        self.centres = np.array(clusters.get("centres", []), dtype=float)
        self.shares = np.array(clusters.get("shares", []), dtype=float)
        numbers = [str(k) for k in range(len(self.shares))]
        self.cluster_names: list[str] = clusters.get("names", numbers)
        sizes = {
            "lexical": len(self.high),
            "language": len(self.languages),
            "cluster": len(self.shares),
            "tools": len(self.tools),
        }
        self.kinds = tuple(kind for kind, size in sizes.items() if size)

    def clusters(self, embedding: FloatArray) -> list[str]:
        """Name of the nearest centre of each query; of an older bundle its number, from ``"0"``.

        Parameters
        ----------
        embedding : shape (n, d)
        """
        distance = (self.centres**2).sum(axis=1) - 2.0 * embedding @ self.centres.T
        return [self.cluster_names[k] for k in distance.argmin(axis=1)]

    def of_clusters(self, values: Sequence[str]) -> dict[str, tuple[float, FloatArray]]:
        """Share and zeros and ones of each cluster."""
        return self._shares(
            values, dict(zip(self.cluster_names, self.shares.tolist(), strict=True))
        )

    def of_languages(self, values: Sequence[str]) -> dict[str, tuple[float, FloatArray]]:
        """Share and zeros and ones of each language that training saw, and of all others."""
        return self._shares(values, self.languages)

    def of_lexical(
        self, names: Sequence[str], values: FloatArray
    ) -> dict[str, tuple[float, FloatArray]]:
        """Share of requests above the upper tenth of training's queries, and who is, by column.

        Parameters
        ----------
        names : of the columns of ``values``, shape (n, d)
        """
        return {
            name: (self.above.get(name, 1.0 - HIGH), (values[:, i] > self.high[name]).astype(float))
            for i, name in enumerate(names)
            if name in self.high
        }

    def of_tools(self, offered: Sequence[Sequence[str]]) -> dict[str, tuple[float, FloatArray]]:
        """Share of requests that offer a tool which training did not see, and which do."""
        unseen = [any(name not in self.tools for name in names) for names in offered]
        share = max(_LEAST, float(self.new_tools or 0.0))
        return {UNSEEN: (share, np.array(unseen, dtype=float))}

    def _shares(
        self, values: Sequence[str], shares: Mapping[str, float]
    ) -> dict[str, tuple[float, FloatArray]]:
        array = np.array(values)
        found = {value: (share, (array == value).astype(float)) for value, share in shares.items()}
        rest = np.array([value not in shares for value in values], dtype=float)
        found[OTHERS] = max(_LEAST, 1.0 - sum(shares.values())), rest
        return found
