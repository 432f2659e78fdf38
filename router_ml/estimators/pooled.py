"""A candidate with few labels or none, predicted from those that are known well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State, check_fit, columns, load_estimator
from router_ml.estimators.candidate_pool import Pool
from router_ml.estimators.cross_fitting import held_out_by
from router_ml.estimators.specs import Spec, as_estimator, as_spec
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch

BASE: Final[Mapping[str, Any]] = {"name": "stacked"}


class PooledQuality(Estimator):
    r"""Newcomers as mixtures of established candidates, learned from the few labels there are.

    .. math:: \hat q_{i\nu} = b_\nu + \sum_k w_{\nu k} \hat q_{ik}, \qquad
              w_\nu \sim \bigl(\pi_\nu, \mathrm{diag}(\pi_\nu) - \pi_\nu \pi_\nu^\top\bigr)

    What a base estimator predicts of the established candidates on a query is the query's
    embedding by past outcomes. A newcomer is believed to be like one of them, drawn with the
    probabilities :math:`\pi_\nu`, which favour candidates of a similar price and of the same
    provider; the weights' prior has that draw's mean and covariance. Labels move the weights and
    :math:`b_\nu`: with none the newcomer is what its likes are on average, with fifty its level is
    its own, with a thousand its strengths are. How much price and provider say, and how far a
    candidate strays from every mixture, is found on the established candidates, each taken for a
    newcomer (type-II maximum likelihood). In a bundle all this is one product.

    Parameters
    ----------
    base : estimator or spec, default: stacked
        Of the established candidates.
    newcomers : names, default: none
        Candidates to be pooled; one without any label is pooled in any case.
    card : mapping of name to (quality, standard error), optional
        What is believed of a newcomer before any label, such as from public benchmarks.
    n_folds : int, default=4
    random_state : int, default=0
        Seeds the folds, which are used where the base keeps no predictions of its training rows.

    Attributes
    ----------
    std_ : float array, shape (K,)
        Standard error of every newcomer's mean quality, NaN for established candidates.
    oof_ : predictions of the training rows by base, weights and levels of other folds

    References
    ----------
    .. [1] Lawrence and Platt, "Learning to Learn with the Informative Vector Machine", ICML 2004.
    .. [2] Efron and Morris, "Stein's Estimation Rule and Its Competitors: An Empirical Bayes
       Approach", JASA 68, 1973.

    Examples
    --------
    >>> from router_ml.checks.examples import example_batch, example_candidates, example_labels
    >>> queries, table = example_batch(1000), example_candidates(4)
    >>> truth = example_labels(queries, 4)
    >>> Y = truth.copy()
    >>> Y[50:, 2] = np.nan  # c2 has fifty labels
    >>> pooled = PooledQuality(base={"name": "linear"}, newcomers=("c2",))
    >>> predicted = pooled.fit(queries, Y, candidates=table).predict(queries, table)
    >>> error = (predicted[50:, 2] - truth[50:, 2]) ** 2
    >>> bool(error.mean() < truth[50:, 2].var())
    True
    """

    name: ClassVar[str] = "pooled"

    def __init__(
        self,
        *,
        base: Spec = BASE,
        newcomers: Sequence[str] = (),
        card: Mapping[str, tuple[float, float]] | None = None,
        n_folds: int = 4,
        random_state: int = 0,
    ) -> None:
        self.base = base
        self.newcomers = newcomers
        self.card = card
        self.n_folds = n_folds
        self.random_state = random_state

    @property
    def costly(self) -> bool:
        """Whether the base is."""
        return as_estimator(self.base).costly

    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """Fit the base on established candidates, then weights; see :meth:`Estimator.fit`.

        Raises
        ------
        ConfigError
            If no candidate is established, or a newcomer is no candidate.
        """
        Y, observed, weight, code = check_fit(queries, Y, candidates, sample_weight, groups)
        new = {candidates.index(name) for name in self.newcomers}
        new |= set(np.flatnonzero(~observed.any(axis=0)).tolist())
        known = [k for k in range(len(candidates)) if k not in new]
        if not known:
            raise ConfigError("no established candidate is left; name fewer newcomers")
        fitted, held_out = held_out_by(
            as_estimator(self.base),
            queries,
            Y[:, known],
            candidates=candidates.take(known),
            weight=weight[:, known],
            groups=code,
            n_folds=self.n_folds,
            random_state=self.random_state,
        )
        return self.around(
            fitted, held_out, Y, candidates=candidates, weight=weight, groups=code, known=known
        )

    def around(
        self,
        base: Estimator,
        held_out: FloatArray,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        weight: FloatArray,
        groups: IntArray,
        known: Sequence[int],
    ) -> Self:
        """Pool the newcomers around a base that is fitted already, such as the one in service.

        Parameters
        ----------
        base : fitted on ``known`` candidates
        held_out : its predictions of n queries, each without its own labels, shape (n, K known)
        Y, weight : of all K candidates, shape (n, K); weight zero where unknown
        groups : int codes, shape (n,)
        known : positions of the established candidates, in the order of ``held_out``
        """
        pool = Pool.fit(
            held_out,
            Y,
            weight,
            candidates=candidates,
            known=known,
            groups=groups,
            card=self.card,
            n_folds=self.n_folds,
            random_state=self.random_state,
        )
        self.candidates_ = candidates.names
        self.established_ = candidates.take(known).names
        self.base_, self.pool_ = base, pool
        self.oof_, self.std_ = pool.oof, pool.std
        self.report_ = {**base.report_, "pooled": pool.report(self.candidates_, self.established_)}
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """Predicted quality, shape (n, K), in [0, 1]; see :meth:`Estimator.predict`."""
        chosen = columns(self.candidates_, candidates)
        known = CandidateTable.from_prices(dict.fromkeys(self.established_, (0.0, 0.0)))
        return self.pool_.mix(self.base_.predict(queries, known))[:, chosen]

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        return State(
            name=self.name,
            params={
                **self.get_params(deep=False),
                "base": as_spec(self.base),
                "newcomers": list(self.newcomers),
            },
            arrays={"weights_": self.pool_.weights, "levels_": self.pool_.levels},
            values={
                "candidates": list(self.candidates_),
                "established": list(self.established_),
                "report": self.report_,
            },
            children={"base": self.base_.get_state()},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = cls(**state.params)
        self.candidates_ = tuple(state.values["candidates"])
        self.established_ = tuple(state.values["established"])
        self.pool_ = Pool(state.arrays["weights_"], state.arrays["levels_"])
        self.report_ = state.values["report"]
        self.base_ = load_estimator(state.children["base"])
        return self
