"""A router: a bundle, and what it was trained to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipelines.api.decider import Decider
from pipelines.api.log import Log, as_log
from pipelines.api.policies import AnyPolicy, policy_spec
from pipelines.api.sources import price_pair
from pipelines.api.workspace import Workspace, bars
from pipelines.artifacts import ExportFolder, TrainedFolder
from pipelines.options import read_yaml
from pipelines.stages.export import rewrite
from router_ml.bundle.files import candidates_from, prices_to_dict
from router_ml.data.held_out import HeldOut
from router_ml.errors import ConfigError
from router_ml.policies.registry import from_dict
from router_ml.types.candidates import CandidateTable

if TYPE_CHECKING:
    from pipelines.api.evaluation import Evaluation
    from pipelines.api.registry import Registered


class Router(Decider):
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
        super().__init__(bundle, unavailable=unavailable)
        self.trained = trained
        self.log = log
        self.asked = asked if asked is not None or trained is None else _asked(trained)
        self.kept = tuple(keep)

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

        Parameters
        ----------
        names : of those that are out

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
        from pipelines.api.traffic import traffic

        return traffic(self, self._log(log))

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

    def log_to_mlflow(
        self,
        *,
        name: str = "router",
        register: bool = False,
        evaluation: Evaluation | None = None,
        log: Log | Path | str | None = None,
        **options: Any,
    ) -> Registered:
        """Record a run with this router, its training and evaluation; as ``router-ml register``.

        Parameters
        ----------
        name : of the registered model
        register : whether the run becomes a version, with the alias ``challenger``
        evaluation : of this router, by :func:`evaluate`; default: it is evaluated here
        log : that it was learned from; default: the evaluation's, or its own
        options : further keys of the registration, such as ``experiment``

        Raises
        ------
        ConfigError
            If the evaluation is of another router, or candidates are unavailable here.
        RegistryError
            If the store that ``MLFLOW_TRACKING_URI`` names cannot be reached.
        """
        from pipelines.api.registry import log_router

        return log_router(
            self, name=name, register=register, evaluation=evaluation, log=log, options=options
        )

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


def _asked(trained: Path) -> Mapping[str, Any] | None:
    """The policy that a training was asked for, before it was solved."""
    written = TrainedFolder(trained).config
    asked = read_yaml(written).get("policy") if written.is_file() else None
    return dict(asked) if isinstance(asked, Mapping) else None
