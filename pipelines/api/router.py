"""A router: a bundle, and what it was trained to."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipelines.api import display
from pipelines.api.explanation import Explanation, explain
from pipelines.api.log import Log, as_log
from pipelines.api.policies import AnyPolicy, policy_spec
from pipelines.api.sources import price_pair
from pipelines.api.workspace import Workspace, bars
from pipelines.artifacts import ExportFolder, TrainedFolder
from pipelines.options import read_yaml
from pipelines.stages.export import rewrite
from router_ml.bundle.files import Bundle, candidates_from, prices_to_dict, read_bundle
from router_ml.data.held_out import HeldOut
from router_ml.data.outcomes import all_candidates, to_matrices
from router_ml.errors import ConfigError
from router_ml.evaluation.columns import in_columns
from router_ml.evaluation.gate.pairing import Contender
from router_ml.features.query import Query, parse_query
from router_ml.policies.registry import from_dict
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.decisions import Decision
from router_ml.types.predictions import Predictions

if TYPE_CHECKING:
    from pipelines.api.registry import Registered


class Router:
    """Chooses a candidate for every query; made by :func:`fit`, :func:`fit_scores`, :func:`load`.

    Changes give another router and leave this one as it is.

    Parameters
    ----------
    bundle : folder of the bundle
    trained : folder of its training, with what was held out; budgets are solved on that
    log : that it was learned from
    keep : temporary folders that go with this object
    unavailable : candidates that are not to be chosen
    asked : policy before it was solved; default: the training's

    Attributes
    ----------
    bundle, trained : pathlib.Path or None
    log : Log or None

    Examples
    --------
    >>> import router_ml as rm
    >>> router = rm.fit(rm.sample_log(), estimator="linear")
    >>> router.without("delta-max", "atlas-nano").route("Basic hints on dough will do.").candidate
    'atlas-medium'
    >>> router.predict(["Basic hints will do.", "Prove it rigorously."])["chosen"].sum()
    np.int64(2)
    """

    def __init__(
        self,
        bundle: Path,
        *,
        trained: Path | None = None,
        log: Log | None = None,
        keep: Sequence[Workspace] = (),
        unavailable: Iterable[str] = (),
        asked: Mapping[str, Any] | None = None,
    ) -> None:
        self.bundle = Path(bundle)
        self.trained = trained
        self.log = log
        self.unavailable = frozenset(unavailable)
        self.asked = asked if asked is not None or trained is None else _asked(trained)
        self.kept = tuple(keep)
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
        """Probability of every candidate by the policy, shape (n, K); none for the unavailable."""
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

    def with_prices(self, prices: Mapping[str, tuple[float, float]]) -> Router:
        """The same router at other prices; a budget is solved anew where the training is known.

        Parameters
        ----------
        prices : candidate to (input, output), US dollars per million tokens; others stay

        Raises
        ------
        ConfigError
            If there is no such candidate, or its price is no pair of numbers >= 0.

        Examples
        --------
        >>> import router_ml as rm
        >>> router = rm.fit(rm.sample_log(), estimator="linear")
        >>> router.with_prices({"delta-max": (0.1, 0.4)}).prices.tail(1).to_dict("records")
        [{'candidate': 'delta-max', 'input_usd_per_mtok': 0.1, 'output_usd_per_mtok': 0.4}]
        """
        rows = prices_to_dict(self.candidates)
        for name, pair in prices.items():
            self.candidates.index(name)
            first, second = price_pair(name, pair)
            rows[name] = {"input_usd_per_mtok": first, "output_usd_per_mtok": second}
        changed = candidates_from(self._contents.manifest.candidates, rows)
        if self.asked is None or self.held_out is None:
            return self._rewritten(self.policy, changed, self.asked)
        return self._rewritten(self._solved(self.asked, changed), changed, self.asked)

    def with_policy(self, policy: AnyPolicy) -> Router:
        """The same predictions under another policy.

        Parameters
        ----------
        policy : such as ``Budget(usd=0.0004)`` or ``CostAware(cost_weight=100.0)``

        Raises
        ------
        ConfigError
            If a budget is asked for and neither training nor log is there to solve it on.

        Examples
        --------
        >>> import router_ml as rm
        >>> router = rm.fit(rm.sample_log(), estimator="linear")
        >>> router.with_policy(rm.QualityFloor(min_quality=0.9)).policy
        {'min_quality': 0.9, 'name': 'quality_floor'}
        """
        spec = policy_spec(policy)
        return self._rewritten(self._solved(spec, self.candidates), self.candidates, spec)

    def without(self, *names: str) -> Router:
        """The same router when candidates are not to be had.

        Raises
        ------
        ConfigError
            If there is no such candidate, or none is left.
        """
        for name in names:
            self.candidates.index(name)
        out = self.unavailable | set(names)
        if len(out) == len(self.candidates):
            raise ConfigError("no candidate is left to route to; leave one")
        return Router(
            self.bundle,
            trained=self.trained,
            log=self.log,
            keep=self.kept,
            unavailable=out,
            asked=self.asked,
        )

    def traffic(self, log: Log | Path | str | None = None) -> pd.DataFrame:
        """Where the requests of a log would go, beside where they went.

        Prompts that the router was trained on are decided on predictions held out of training.

        Parameters
        ----------
        log : default: the one that it was learned from

        Returns
        -------
        A row a candidate: ``candidate``, ``today`` and ``router`` (shares of requests),
        ``change``, ``cost_usd`` (predicted dollars of a request sent there, by this router's
        prices)
        """
        source = self._log(log)
        outcomes = source.outcomes
        names = all_candidates(outcomes, self.candidates.names)
        table = to_matrices(outcomes, names)
        predictions, _ = Contender(self.runtime, self.held_out).predict(table)
        probs = self.action_probs(predictions)
        mine = in_columns(probs, self.runtime, names).mean(axis=0)
        today = np.bincount(table.served[table.served >= 0], minlength=len(names)) / len(table)
        cost = self.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
        sent = (probs * cost).sum(axis=0) / np.where(probs.sum(axis=0) > 0, probs.sum(axis=0), 1)
        spent = dict(zip(self.candidates.names, sent.tolist(), strict=True))
        return pd.DataFrame({
            "candidate": names,
            "today": today,
            "router": mine,
            "change": mine - today,
            "cost_usd": [spent.get(name, np.nan) or np.nan for name in names],
        })  # fmt: skip

    def add_candidate(
        self,
        name: str,
        *,
        price: tuple[float, float],
        labels: pd.DataFrame | None = None,
        card: tuple[float, float] | None = None,
        log: Log | Path | str | None = None,
        **options: Any,
    ) -> Router:
        """A router that knows one more candidate, learned again with what is known of it.

        It is taken for a mixture of the candidates that are there, those of a similar price first;
        its own outcomes outweigh that as they come
        (:class:`router_ml.estimators.pooled.PooledQuality`).

        Parameters
        ----------
        name : of the new candidate
        labels : its outcomes, a row an answer: ``prompt`` (text, or chat messages) and ``quality``
            in [0, 1]; ``input_tokens``, ``output_tokens`` and ``latency_ms`` where they are known.
            Default: none
        price : (input, output), US dollars per million tokens
        card : mean quality that is believed of it beforehand, and its standard error, optional
        log : that the router was learned from, for one that was loaded
        options : further keys of the training

        Raises
        ------
        ConfigError
            If the router's log is not known, or there is such a candidate already.
        SchemaError
            If ``labels`` lacks a column, or a quality is not in [0, 1].

        Examples
        --------
        >>> import router_ml as rm
        >>> router = rm.fit(rm.sample_log(), estimator="linear")
        >>> few = rm.sample_scores()[["prompt", "delta-max"]].head(100)
        >>> few = few.rename(columns={"delta-max": "quality"})
        >>> wider = router.add_candidate("new-model", labels=few, price=(1.0, 3.0))
        >>> wider.candidates.names
        ('atlas-medium', 'atlas-nano', 'delta-max', 'new-model')
        """
        from pipelines.api.newcomer import with_newcomer

        return with_newcomer(self, name, labels, price, card, self._log(log), options)

    @cached_property
    def held_out(self) -> HeldOut | None:
        """Predictions of the training's queries by estimators that had not seen them."""
        return None if self.trained is None else HeldOut.load(self.trained)

    def save(self, folder: Path | str) -> Path:
        """Copy the bundle to ``folder``, which :func:`load` and ``router-ml serve`` read.

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

    def log_to_mlflow(
        self,
        *,
        name: str = "router",
        register: bool = False,
        log: Log | Path | str | None = None,
        **options: Any,
    ) -> Registered:
        """Record a run with this router, its training and evaluation; as ``router-ml register``.

        Parameters
        ----------
        name : of the registered model
        register : whether the run becomes a version, with the alias ``challenger``
        log : that it was learned from; default: its own
        options : further keys of the registration, such as ``experiment``

        Raises
        ------
        RegistryError
            If the store that ``MLFLOW_TRACKING_URI`` names cannot be reached.
        """
        from pipelines.api.registry import log_router

        return log_router(self, name=name, register=register, log=log, options=options)

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

    def _log(self, log: Log | Path | str | None) -> Log:
        found = self.log if log is None else as_log(log)
        if found is None:
            raise ConfigError(
                "this router was loaded without the log that it was learned from; pass log="
            )
        return found

    def _solved(self, spec: Mapping[str, Any], candidates: CandidateTable) -> Mapping[str, Any]:
        if spec.get("name") not in ("budget", "thompson") or "mix" in spec or "std" in spec:
            return from_dict(spec).to_dict()
        from pipelines.api.resolving import resolve

        with bars():
            return resolve(self, spec, candidates)

    def _rewritten(
        self,
        policy: Mapping[str, Any],
        candidates: CandidateTable,
        asked: Mapping[str, Any] | None,
    ) -> Router:
        keep = Workspace()
        return Router(
            rewrite(self.bundle, ExportFolder(keep.path), policy, candidates),
            trained=self.trained,
            log=self.log,
            keep=(*self.kept, keep),
            unavailable=self.unavailable,
            asked=asked,
        )


def parsed(texts: Sequence[Any] | pd.Series, tools: Sequence[Any] | None = None
           ) -> tuple[Query, ...]:  # fmt: skip
    """Queries of texts or chat messages."""
    if isinstance(texts, str):
        raise ConfigError("predict takes a list of queries; for one query use route or [query]")
    offered = [None] * len(texts) if tools is None else list(tools)
    return tuple(parse_query(text, tool) for text, tool in zip(texts, offered, strict=True))


def _asked(trained: Path) -> Mapping[str, Any] | None:
    """The policy that a training was asked for, before it was solved."""
    written = TrainedFolder(trained).config
    asked = read_yaml(written).get("policy") if written.is_file() else None
    return dict(asked) if isinstance(asked, Mapping) else None
