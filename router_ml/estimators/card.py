"""What a catalogue believes of candidates before there are labels, and how labels replace it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State, check_fit, columns, load_estimator
from router_ml.estimators.candidate_prior import MIN_NOISE
from router_ml.estimators.card_levels import believed_levels
from router_ml.estimators.cross_fitting import held_out_by
from router_ml.estimators.specs import Spec, as_estimator, as_spec
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch

BASE: Final[Mapping[str, Any]] = {"name": "stacked"}
UNLISTED_STD: Final = 0.25
"""Standard error of a candidate's quality where the card does not list it: next to nothing."""


class CardQuality(Estimator):
    r"""A prior quality of every candidate, which the log's labels outweigh as they come in.

    .. math:: \hat q_{ik} = \hat f_{ik} + \bigl(m_k - \bar f_k\bigr)

    with :math:`f` a base estimator, fitted once there are ``min_prompts`` labelled prompts, and
    :math:`m` what card and labels say together of a candidate on the average query
    (:func:`router_ml.estimators.card_levels.believed_levels`). Without a label every prompt gets
    the card, so a router can serve on its first day; with ``{"name": "thompson"}`` it explores as
    far as the card is uncertain.

    Parameters
    ----------
    card : mapping of name to (quality, standard error)
        Standard errors must be wide: what a public benchmark says of a company's own traffic is
        seldom nearer than 0.1. A candidate that is not listed is taken for the mean of those that
        are, with 0.25. Without a card every candidate is 0.5 with 0.25.
    base : estimator or spec, default: stacked
    min_prompts : int, default=200
        Labelled prompts from which on the base is fitted.

    Attributes
    ----------
    std_ : float array, shape (K,), standard error of every candidate's mean quality

    Examples
    --------
    >>> from router_ml.checks.examples import example_batch, example_candidates
    >>> queries, table = example_batch(5), example_candidates(2)
    >>> card = CardQuality(card={"c0": (0.6, 0.1), "c1": (0.8, 0.1)})
    >>> unlabelled = np.full((5, 2), np.nan)
    >>> card.fit(queries, unlabelled, candidates=table).predict(queries, table)[0].tolist()
    [0.6, 0.8]
    """

    name: ClassVar[str] = "card"

    def __init__(
        self,
        *,
        card: Mapping[str, tuple[float, float]] | None = None,
        base: Spec = BASE,
        min_prompts: int = 200,
    ) -> None:
        self.card = card
        self.base = base
        self.min_prompts = min_prompts

    @property
    def costly(self) -> bool:
        """Whether the base is."""
        return as_estimator(self.base).costly

    @property
    def needs_labels(self) -> bool:
        """Whether there is no card."""
        return not self.card

    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """Weigh labels, if there are any, against the card; see :meth:`Estimator.fit`.

        Raises
        ------
        ConfigError
            If a quality of the card is not in [0, 1] or its standard error not above 0.
        """
        believed, std = self._believed(candidates)
        self.candidates_ = candidates.names
        self.base_: Estimator | None = None
        self.shift_: FloatArray
        if self.card and np.isnan(np.asarray(Y, dtype=float)).all():
            self.shift_, self.std_ = believed, std
            self.oof_ = np.tile(believed, (len(queries), 1))
            return self
        Y, observed, weight, code = check_fit(queries, Y, candidates, sample_weight, groups)
        told = np.asarray(observed.any(axis=1))
        predicted: FloatArray = np.zeros(Y.shape)
        if len(np.unique(code[told])) >= self.min_prompts:
            base = as_estimator(self.base)
            self.base_, predicted = held_out_by(
                base, queries, Y, candidates=candidates, weight=weight, groups=code
            )
            self.report_ = self.base_.report_
        levels = predicted.mean(axis=0)
        left = np.where(observed, Y - predicted, 0.0)
        mass, square = weight.sum(axis=0), (weight**2).sum(axis=0)
        shown = np.divide(
            (weight * left).sum(axis=0), mass, out=np.zeros(len(mass)), where=mass > 0
        )
        # One variance for all: of two labels that agree, the candidate's own would be zero.
        spread = weight * np.where(observed, left - shown, 0.0) ** 2
        variance = max(float(spread.sum() / mass.sum()), MIN_NOISE)
        count = np.divide(mass**2, square, out=np.zeros(len(mass)), where=square > 0)
        precision = count / variance
        mean, self.std_ = believed_levels(believed, std, levels + shown, precision)
        self.shift_ = mean - levels
        self.oof_ = np.clip(predicted + self.shift_, 0.0, 1.0)
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """Predicted quality, shape (n, K), in [0, 1]; see :meth:`Estimator.predict`."""
        chosen = columns(self.candidates_, candidates)
        quality: FloatArray = np.zeros((len(queries), len(self.candidates_)))
        if self.base_ is not None:
            fitted = CandidateTable.from_prices(dict.fromkeys(self.candidates_, (0.0, 0.0)))
            quality = self.base_.predict(queries, fitted)
        shifted: FloatArray = np.clip(quality + self.shift_, 0.0, 1.0)[:, chosen]
        return shifted

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        return State(
            name=self.name,
            params={**self.get_params(deep=False), "base": as_spec(self.base)},
            arrays={"shift_": self.shift_},
            values={"candidates": list(self.candidates_), "report": dict(self.report_)},
            children={} if self.base_ is None else {"base": self.base_.get_state()},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = cls(**state.params)
        self.candidates_ = tuple(state.values["candidates"])
        self.shift_, self.report_ = state.arrays["shift_"], state.values["report"]
        base = state.children.get("base")
        self.base_ = None if base is None else load_estimator(base)
        return self

    def _believed(self, candidates: CandidateTable) -> tuple[FloatArray, FloatArray]:
        """The card's quality and standard error of every candidate, shape (K,)."""
        card = self.card or {}
        wrong = {n: (q, s) for n, (q, s) in card.items() if not 0.0 <= q <= 1.0 or not s > 0.0}
        if wrong:
            raise ConfigError(
                f"a card holds (quality in [0, 1], standard error above 0), got {wrong}"
            )
        mean = float(np.mean([q for q, _ in card.values()])) if card else 0.5
        pairs = [card.get(name, (mean, UNLISTED_STD)) for name in candidates.names]
        return np.array([q for q, _ in pairs]), np.array([s for _, s in pairs])
