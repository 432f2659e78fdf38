"""Candidates' abilities times queries' demands: item response theory with a predicted item."""

from __future__ import annotations

from typing import ClassVar, Final, Self

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State, check_fit, columns
from router_ml.estimators.constant import shrunk_means
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch

_FITTED: Final = ("mean_", "scale_", "intercept_", "demand_", "ability_")
_PRIOR_WEIGHT: Final = 10.0
_EPSILON: Final = 1e-3


class LowRankEstimator(Estimator):
    r"""A few latent demands of the query, learned from all candidates' labels together.

    .. math:: \mathrm{logit}\, \hat q_{ik} = a_k + v_k^\top U^\top x_i

    The columns of :math:`U` are directions in feature space that make queries hard; :math:`v_k`
    says how much candidate k suffers from each. With one column it is the two-parameter logistic
    model of item response theory, with the item's difficulty predicted from its text. Candidates
    differ by ``rank`` numbers instead of one a feature, so few labels a candidate suffice.

    Parameters
    ----------
    rank : int, default=3
    demand_penalty : float, default=30.0
        Ridge penalty of :math:`U`, in labels.
    ability_penalty : float, default=3.0
        Ridge penalty of what makes abilities differ, in labels.
    lexical_scale : float, default=0.1
        Standard deviation that lexical columns are given, next to embeddings of unit length.
    n_iterations : int, default=100
        Of L-BFGS.
    random_state : int, default=0
        Draws the start.

    References
    ----------
    .. [1] Song et al., "IRT-Router: Effective and Interpretable Multi-LLM Routing via Item Response
       Theory", ACL 2025.
    """

    name: ClassVar[str] = "low_rank"

    def __init__(
        self,
        *,
        rank: int = 3,
        demand_penalty: float = 30.0,
        ability_penalty: float = 3.0,
        lexical_scale: float = 0.1,
        n_iterations: int = 100,
        random_state: int = 0,
    ) -> None:
        self.rank = rank
        self.demand_penalty = demand_penalty
        self.ability_penalty = ability_penalty
        self.lexical_scale = lexical_scale
        self.n_iterations = n_iterations
        self.random_state = random_state

    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """See :meth:`Estimator.fit`."""
        if self.rank < 1:
            raise ConfigError(f"rank must be >= 1, got {self.rank}")
        Y, observed, weight, _ = check_fit(queries, Y, candidates, sample_weight, groups)
        self.candidates_ = candidates.names
        used = observed.any(axis=1)
        Y, observed, weight = Y[used], observed[used], weight[used]
        raw = np.column_stack([queries.embedding, queries.lexical])[used].astype(float)
        self.mean_, self.scale_ = raw.mean(axis=0), np.ones(raw.shape[1])
        lexical = slice(queries.embedding.shape[1], None)
        spread = raw[:, lexical].std(axis=0)
        self.scale_[lexical] = np.where(spread > 1e-6, spread, 1.0) / self.lexical_scale
        level = np.clip(shrunk_means(Y, observed, weight, _PRIOR_WEIGHT), _EPSILON, 1.0 - _EPSILON)
        self.intercept_ = np.log(level / (1.0 - level))
        self._descend((raw - self.mean_) / self.scale_, Y, observed, weight)
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """See :meth:`Estimator.predict`."""
        raw = np.column_stack([queries.embedding, queries.lexical]).astype(float)
        latent = (raw - self.mean_) / self.scale_ @ self.demand_
        quality = _sigmoid(latent @ self.ability_.T + self.intercept_)
        return quality[:, columns(self.candidates_, candidates)]

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        return State(
            name=self.name,
            params=self.get_params(),
            arrays={key: getattr(self, key) for key in _FITTED},
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

    def _descend(
        self, X: FloatArray, Y: FloatArray, observed: BoolArray, weight: FloatArray
    ) -> None:
        """Minimise weighted cross-entropy with ridge penalties by L-BFGS.

        Pseudo-outcomes outside [0, 1] make cross-entropy unbounded: then it is squared error.
        """
        from scipy.optimize import minimize

        (_, k), p, r = Y.shape, X.shape[1], self.rank
        target = np.where(observed, Y, 0.0)
        outside = bool(target.min() < 0.0 or target.max() > 1.0)
        level, pull = self.intercept_.copy(), weight.sum() / k
        # One demand that everyone shares alike is where abilities are pulled to.
        centre = np.zeros((k, r))
        centre[:, 0] = 1.0
        start = 0.01 * np.random.default_rng(self.random_state).standard_normal((p, r))
        sizes = np.cumsum([k, k * r])

        def loss(flat: FloatArray) -> tuple[float, FloatArray]:
            shift, ability, demand = np.split(flat, sizes)
            V, U = ability.reshape(k, r), demand.reshape(p, r)
            latent = X @ U
            eta = latent @ (centre + V).T + level + shift
            mean = _sigmoid(eta)
            error = weight * (mean - target)
            if outside:  # halved and scaled so that its curvature at 1/2 is that of cross-entropy
                misfit = 2.0 * np.sum(error * (mean - target))
                error *= 4.0 * mean * (1.0 - mean)
            else:
                misfit = np.sum(weight * (np.logaddexp(0.0, eta) - target * eta))
            ridge = self.demand_penalty * np.sum(U * U) + self.ability_penalty * np.sum(V * V)
            gradient = [
                error.sum(axis=0) + _PRIOR_WEIGHT * shift,
                (error.T @ latent + self.ability_penalty * V).ravel(),
                (X.T @ (error @ (centre + V)) + self.demand_penalty * U).ravel(),
            ]
            value = misfit + 0.5 * (ridge + _PRIOR_WEIGHT * np.sum(shift**2))
            return float(value / pull), np.concatenate(gradient) / pull

        flat = np.concatenate([np.zeros(k + k * r), start.ravel()])
        found = minimize(
            loss, flat, jac=True, method="L-BFGS-B", options={"maxiter": self.n_iterations}
        )
        shift, ability, demand = np.split(found.x, sizes)
        self.intercept_ = level + shift
        self.ability_ = centre + ability.reshape(k, r)
        self.demand_ = demand.reshape(p, r)


def _sigmoid(eta: FloatArray) -> FloatArray:
    value: FloatArray = 0.5 * (1.0 + np.tanh(0.5 * eta))
    return value
