"""Means of token counts and latencies, for every candidate, from the few that each served."""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Self

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State, check_fit, columns, spread
from router_ml.features.lexical import NAMES
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch

Link = Literal["identity", "log"]

LOG_COLUMNS: Final = [i for i, name in enumerate(NAMES) if name.startswith("log_")]
"""Lexical columns that are log counts."""
_FITTED: Final = ("low_", "high_", "mean_", "scale_", "intercept_", "coef_", "smear_")
_FLOOR: Final = 1e-3


class AmountEstimator(Estimator):
    r"""Ridge on lexical features: one shared part and a shrunken deviation per candidate.

    .. math:: g(\mu_{ik}) = a_k + x_i^\top (w + v_k)

    With ``link="identity"`` the features are raw counts (characters, words, tool parameters) and
    the mean is their sum, as input tokens are. With ``link="log"`` they are log counts and the mean
    is a product, as answer lengths and latencies are; features are clipped to the range seen, so
    that an odd request can't explode. Either way the prediction of each candidate is then scaled so
    that its mean over the training rows is the mean observed (smearing): a cost is a mean, and
    ``exp(mean log)`` is too low.

    Parameters
    ----------
    link : "identity" or "log", default="log"
    shared_penalty : float, default=10.0
        Ridge penalty of :math:`w`, in rows.
    deviation_penalty : float, default=100.0
        Ridge penalty of :math:`v_k`, in rows; large values make candidates alike.

    References
    ----------
    .. [1] Duan, "Smearing Estimate: A Nonparametric Retransformation Method", JASA 78, 1983.
    """

    name: ClassVar[str] = "amounts"

    def __init__(
        self,
        *,
        link: Link = "log",
        shared_penalty: float = 10.0,
        deviation_penalty: float = 100.0,
    ) -> None:
        self.link = link
        self.shared_penalty = shared_penalty
        self.deviation_penalty = deviation_penalty

    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """Learn from counts >= 0, NaN where unobserved; see :meth:`Estimator.fit`."""
        if self.link not in ("identity", "log"):
            raise ConfigError(f"link must be 'identity' or 'log', got {self.link!r}")
        Y, observed, weight, _ = check_fit(queries, Y, candidates, sample_weight, groups)
        raw = count_features(queries.lexical, self.link)
        used = observed.any(axis=1)
        self.candidates_ = candidates.names
        self.low_, self.high_ = raw[used].min(axis=0), raw[used].max(axis=0)
        self.mean_ = raw[used].mean(axis=0)
        self.scale_ = spread(raw[used])
        target = np.log(np.maximum(Y, _FLOOR)) if self.link == "log" else Y
        self._solve((raw - self.mean_) / self.scale_, target, observed, weight)
        self.smear_ = np.ones(len(candidates))
        fitted = self._means(queries.lexical)
        totals = np.where(observed, weight * fitted, 0.0).sum(axis=0)
        seen = np.where(observed, weight * np.nan_to_num(Y), 0.0).sum(axis=0)
        self.smear_ = np.divide(seen, totals, out=np.ones(len(candidates)), where=totals > 0)
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """Predicted means, shape (n, K), >= 0; see :meth:`Estimator.predict`."""
        return self._means(queries.lexical)[:, columns(self.candidates_, candidates)]

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        arrays = {key: getattr(self, key) for key in _FITTED}
        return State(
            name=self.name,
            params=self.get_params(),
            arrays=arrays,
            values={"candidates": list(self.candidates_)},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = cls(**state.params)
        self.candidates_ = tuple(state.values["candidates"])
        for key in _FITTED:
            setattr(self, key, state.arrays[key])
        return self

    def _solve(
        self, X: FloatArray, target: FloatArray, observed: BoolArray, weight: FloatArray
    ) -> None:
        """Levels, then the shared part on what they leave, then each candidate's deviation."""
        rows, column = np.nonzero(observed)
        w = weight[rows, column]
        k = target.shape[1]
        total = np.bincount(column, w, minlength=k)
        sums = np.bincount(column, w * target[rows, column], minlength=k)
        overall = sums.sum() / total.sum()
        level = np.divide(sums, total, out=np.full(k, overall), where=total > 0)
        left = target[rows, column] - level[column]
        shared = _ridge(X[rows], left, w, np.full(X.shape[1], self.shared_penalty))
        left = left - X[rows] @ shared
        self.intercept_, self.coef_ = level, np.tile(shared, (k, 1))
        penalty = np.append(1.0, np.full(X.shape[1], self.deviation_penalty))
        for j in np.flatnonzero(total):
            mine = column == j
            A = np.column_stack([np.ones(mine.sum()), X[rows[mine]]])
            deviation = _ridge(A, left[mine], w[mine], penalty)
            self.intercept_[j] += deviation[0]
            self.coef_[j] += deviation[1:]

    def _means(self, lexical: FloatArray) -> FloatArray:
        raw = count_features(lexical, self.link)
        if self.link == "log":
            raw = np.clip(raw, self.low_, self.high_)
        eta = (raw - self.mean_) / self.scale_ @ self.coef_.T + self.intercept_
        mean = np.exp(eta) if self.link == "log" else np.maximum(eta, 0.0)
        scaled: FloatArray = mean * self.smear_
        return scaled


def count_features(lexical: FloatArray, link: Link) -> FloatArray:
    """Columns that a link works on, shape (n, p): all of them, or raw counts of the log ones."""
    if link == "log":
        return lexical.astype(float)
    raw: FloatArray = np.expm1(lexical[:, LOG_COLUMNS].astype(float))
    return raw


def _ridge(A: FloatArray, y: FloatArray, weight: FloatArray, penalty: FloatArray) -> FloatArray:
    gram = (A * weight[:, None]).T @ A + np.diag(penalty)
    solution: FloatArray = np.linalg.solve(gram, A.T @ (weight * y))
    return solution
