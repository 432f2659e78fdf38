"""A bundle that decides: what it predicts, whom it chooses and why, as the service does it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.api import display
from pipelines.api.explanation import Explanation, explain
from router_ml.bundle.files import Bundle, read_bundle
from router_ml.errors import ConfigError
from router_ml.features.query import Query, parse_query
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.decisions import Decision
from router_ml.types.predictions import Predictions


class Decider:
    """What a router is without its training: a bundle, and who is to be had.

    Parameters
    ----------
    bundle : folder of the bundle
    unavailable : candidates that are not to be chosen

    Attributes
    ----------
    bundle : pathlib.Path
    """

    def __init__(self, bundle: Path, *, unavailable: Iterable[str] = ()) -> None:
        self.bundle = Path(bundle)
        self.unavailable = frozenset(unavailable)
        self._contents: Bundle = read_bundle(self.bundle)
        self.runtime = Runtime(bundle=self._contents, random_state=0)

    @property
    def candidates(self) -> CandidateTable:
        """The K candidates and their prices, in the order of every column."""
        return self.runtime.candidates

    @property
    def available(self) -> tuple[str, ...]:
        """Names of the candidates that may be chosen."""
        return tuple(name for name in self.candidates.names if name not in self.unavailable)

    @property
    def policy(self) -> Mapping[str, Any]:
        """As the bundle's ``policy.json`` holds it."""
        return self._contents.policy

    @property
    def prices(self) -> pd.DataFrame:
        """US dollars per million tokens: ``candidate``, ``input_usd_per_mtok``, ``output_…``."""
        table = self.candidates
        return pd.DataFrame({
            "candidate": table.names,
            "input_usd_per_mtok": table.input_usd_per_mtok,
            "output_usd_per_mtok": table.output_usd_per_mtok,
        })  # fmt: skip

    def predict(self, texts: Sequence[Any] | pd.Series, *, tools: Sequence[Any] | None = None
                ) -> pd.DataFrame:  # fmt: skip
        """What is expected of every candidate for every query.

        Parameters
        ----------
        texts : n texts, or chat messages each
        tools : tools offered with each query, optional

        Returns
        -------
        n · K rows, by query and candidate: ``query`` (position, or the index of a Series),
        ``candidate``, ``quality`` in [0, 1], ``cost_usd``, ``latency_ms``, ``input_tokens``,
        ``output_tokens``, ``probability`` with which the policy chooses it, and ``chosen``

        Raises
        ------
        InvalidRequestError
            If a query is neither text nor messages.
        """
        index = texts.index if isinstance(texts, pd.Series) else range(len(texts))
        queries = parsed(texts, tools)
        predictions = self.runtime.predict(queries)
        probs = self.action_probs(predictions)
        n, k = probs.shape
        cost = self.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
        return pd.DataFrame({
            "query": np.repeat(np.asarray(index), k),
            "candidate": list(self.candidates.names) * n,
            "quality": predictions.quality.ravel().astype(float),
            "cost_usd": cost.ravel().astype(float),
            "latency_ms": predictions.latency_ms.ravel().astype(float),
            "input_tokens": predictions.input_tokens.ravel().astype(float),
            "output_tokens": predictions.output_tokens.ravel().astype(float),
            "probability": probs.ravel(),
            "chosen": (np.arange(k) == probs.argmax(axis=1)[:, None]).ravel(),
        })  # fmt: skip

    def action_probs(self, predictions: Predictions) -> FloatArray:
        """Probability of every candidate by the policy; none for the unavailable.

        Parameters
        ----------
        predictions : of n queries, such as ``runtime.predict`` gives

        Returns
        -------
        Shape (n, K), rows sum to 1.
        """
        there = np.isin(self.candidates.names, self.available)
        return self.runtime.policy.action_probs(predictions, self.candidates, eligible=there)

    def route(self, query: Any, *, tools: Any = None, **constraints: Any) -> Decision:
        """One decision, as the scoring service makes it.

        Parameters
        ----------
        query : text, or chat messages
        tools : on offer, optional
        constraints : such as ``max_cost_usd``, ``max_latency_ms``, ``min_quality``, ``cost_weight``

        Raises
        ------
        InvalidRequestError
            If the query is of no known shape, or the constraints leave nobody.
        """
        return self.runtime.decide(parse_query(query, tools), self._limits(constraints))

    def explain(self, query: Any, *, tools: Any = None, **constraints: Any) -> Explanation:
        """Why :meth:`route` chooses whom it chooses: predictions, what else would win, and when.

        Parameters
        ----------
        query, tools, constraints : as :meth:`route` takes them

        Examples
        --------
        >>> import router_ml as rm
        >>> why = rm.fit(rm.sample_log(), estimator="linear").explain("Prove it rigorously.")
        >>> why.ranking.columns.tolist()[:5]
        ['candidate', 'quality', 'cost_usd', 'latency_ms', 'utility']
        """
        asked, limits = parse_query(query, tools), self._limits(constraints)
        return explain(self.runtime, asked, limits, self.runtime.decide(asked, limits))

    def save(self, folder: Path | str) -> Path:
        """Copy the bundle to ``folder``, which :func:`load` and ``router-ml serve`` read.

        Parameters
        ----------
        folder : empty, not there yet, or with a bundle, which is replaced

        Raises
        ------
        ConfigError
            If the folder is in use, or candidates are unavailable here.
        """
        if self.unavailable:
            raise ConfigError(
                "a bundle holds no outage; save the router without .without(), and let the service "
                "rule candidates out"
            )
        target = Path(folder)
        if target.exists() and any(target.iterdir()):
            if not (target / "manifest.json").is_file():
                raise ConfigError(f"{target} is in use and holds no bundle; name another folder")
            shutil.rmtree(target)
        shutil.copytree(self.bundle, target, dirs_exist_ok=True)
        return target

    def __repr__(self) -> str:
        left = f", without {', '.join(sorted(self.unavailable))}" if self.unavailable else ""
        return (
            f"Router({self.runtime.manifest.bundle_id}, {len(self.candidates)} candidates, "
            f"{self.runtime.policy.reason}{left})"
        )

    def _repr_html_(self) -> str:
        return display.router_html(self)

    def _limits(self, constraints: dict[str, Any]) -> Constraints:
        """Limits of a request, the unavailable ruled out."""
        if self.unavailable:
            wanted = constraints.get("candidates") or self.candidates.names
            constraints["candidates"] = [n for n in wanted if n not in self.unavailable]
        return Constraints.from_dict(constraints)


def parsed(texts: Sequence[Any] | pd.Series, tools: Sequence[Any] | None = None
           ) -> tuple[Query, ...]:  # fmt: skip
    """Queries of texts or chat messages."""
    if isinstance(texts, str):
        raise ConfigError("predict takes a list of queries; for one query use route or [query]")
    offered = [None] * len(texts) if tools is None else list(tools)
    return tuple(parse_query(text, tool) for text, tool in zip(texts, offered, strict=True))
