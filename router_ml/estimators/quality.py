"""What all estimators of quality share: levels, clipping, candidates, state."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self

import numpy as np

from router_ml.errors import SchemaError
from router_ml.estimators.base import Estimator, State, check_fit, columns
from router_ml.estimators.effects import Effects, split_effects
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch


class QualityEstimator(Estimator):
    r"""Template: validates, takes levels out, and leaves common part and contrasts to a subclass.

    A subclass writes :meth:`fit_effects`, a weighted regression with ``K + 1`` targets, and
    :meth:`_effects`, its prediction. Predicted quality is
    :math:`\ell_k + \hat c_i + \hat d_{ik}`, clipped to [0, 1].
    """

    fitted: ClassVar[tuple[str, ...]] = ()
    """Names of the fitted arrays that make up the state."""

    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """Learn from qualities, NaN where unobserved; see :meth:`Estimator.fit`.

        Single cells may leave [0, 1], as pseudo-outcomes do; their mean may not.
        """
        Y, observed, weight, _ = check_fit(queries, Y, candidates, sample_weight, groups)
        mean = float(np.average(Y[observed], weights=weight[observed]))
        if not 0.0 <= mean <= 1.0:
            raise SchemaError(
                f"mean quality must be in [0, 1], got {mean}; scale labels by their declared range"
            )
        self.candidates_ = candidates.names
        effects = split_effects(Y, observed, weight)
        self.level_ = effects.level
        used: BoolArray = np.asarray(observed.any(axis=1))
        self.fit_effects(
            queries if used.all() else queries.take(used),
            Effects(effects.level, effects.target[used], effects.weight[used]),
        )
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """Predicted quality, shape (n, K), in [0, 1]; see :meth:`Estimator.predict`."""
        quality = np.clip(self.raw_quality(queries), 0.0, 1.0)
        chosen: FloatArray = quality[:, columns(self.candidates_, candidates)]
        return chosen

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        arrays = {key: getattr(self, key) for key in ("level_", *self.fitted)}
        return State(
            name=self.name,
            params=self.get_params(deep=False),
            arrays=arrays,
            values={"candidates": list(self.candidates_)},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = cls(**state.params)
        self.candidates_ = tuple(state.values["candidates"])
        for key in ("level_", *cls.fitted):
            setattr(self, key, state.arrays[key])
        return self

    @abstractmethod
    def fit_effects(self, queries: QueryBatch, effects: Effects) -> None:
        """Learn ``effects.target`` from the queries that have a label."""

    def raw_quality(self, queries: QueryBatch) -> FloatArray:
        """Predictions of all fitted candidates, shape (n, K), not clipped."""
        effects = self._effects(queries)
        quality: FloatArray = self.level_ + effects[:, :1] + effects[:, 1:]
        return quality

    @abstractmethod
    def _effects(self, queries: QueryBatch) -> FloatArray:
        """Predicted common part and contrasts, shape (n, K + 1)."""
