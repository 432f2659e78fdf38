"""Several estimators and the constants, blended by what each is worth out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State, check_fit, columns, load_estimator
from router_ml.estimators.constant import ConstantEstimator
from router_ml.estimators.registry import make_estimator
from router_ml.types import BoolArray, CandidateTable, FloatArray, IntArray, QueryBatch

DEFAULT_MEMBERS: Final[tuple[Mapping[str, Any], ...]] = (
    {"name": "linear"},
    {"name": "lightgbm"},
)
_BASE: Final = "constant"


class StackedRouter(Estimator):
    r"""Constants plus shrunken deviations of its members.

    Each member's prediction is split into what it says of the query (the same for everyone) and of
    the candidate on that query, both relative to the constants :math:`c_k`:

    .. math::
        \hat q^m_{ik} - c_k = s^m_i + d^m_{ik}, \quad \textstyle\sum_k d^m_{ik} = 0
        \qquad
        \hat q_{ik} = c_k + \sum_m \left( a_m s^m_i + b_m d^m_{ik} \right), \quad a_m, b_m \ge 0

    The weights are fitted on out-of-fold predictions, grouped, by non-negative least squares with a
    ridge. Routing needs :math:`d`, which is small and noisy; difficulty :math:`s` is large and
    easy, and one weight for both would follow it. All weights zero is the constants: with too few
    labels nothing beats them, and then nothing is added to them.

    Parameters
    ----------
    members : specs for :func:`router_ml.estimators.registry.make_estimator`
    n_folds : int, default=5
    penalty : float, default=20.0
        Ridge on the weights, in labels at the members' own variance; pulls towards the constants.
    random_state : int, default=0
        Shuffles groups into folds.

    Attributes
    ----------
    oof_ : out-of-fold predictions of the training rows, shape (n, K)
    report_ : members, their out-of-fold Brier scores and weights, and what beat what

    References
    ----------
    .. [1] Wolpert, "Stacked Generalization", Neural Networks 5, 1992; Breiman, "Stacked
       Regressions", Machine Learning 24, 1996 (non-negative weights).
    """

    name: ClassVar[str] = "stacked"

    def __init__(
        self,
        *,
        members: Sequence[Mapping[str, Any]] = DEFAULT_MEMBERS,
        n_folds: int = 5,
        penalty: float = 20.0,
        random_state: int = 0,
    ) -> None:
        self.members = members
        self.n_folds = n_folds
        self.penalty = penalty
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
        if not self.members:
            raise ConfigError("a stacked router needs at least one member")
        Y, observed, weight, groups = check_fit(queries, Y, candidates, sample_weight, groups)
        prototypes = [ConstantEstimator(), *(make_estimator(spec) for spec in self.members)]
        fold = fold_of(groups, self.n_folds, self.random_state)
        oof = np.zeros((len(prototypes), *Y.shape))
        for f in range(int(fold.max()) + 1):
            inside, outside = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
            for m, prototype in enumerate(prototypes):
                member = prototype.clone().fit(
                    queries.take(inside),
                    Y[inside],
                    candidates=candidates,
                    sample_weight=weight[inside],
                    groups=groups[inside],
                )
                oof[m, outside] = member.predict(queries.take(outside), candidates)
        self.candidates_ = candidates.names
        self.weights_ = blend_weights(oof, Y, observed, weight, self.penalty)
        self.oof_ = blend(oof, self.weights_)
        self.report_ = self._report(oof, Y, observed, weight)
        self.members_ = [
            prototype.clone().fit(
                queries, Y, candidates=candidates, sample_weight=weight, groups=groups
            )
            for prototype in prototypes
        ]
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """See :meth:`Estimator.predict`."""
        order = columns(self.candidates_, candidates)
        # The split into query and candidate part is over the fitted candidates, whoever is asked
        # for; members know them by name, so prices do not matter.
        fitted = CandidateTable.from_prices(dict.fromkeys(self.candidates_, (0.0, 0.0)))
        predictions = np.stack([member.predict(queries, fitted) for member in self.members_])
        return blend(predictions, self.weights_)[:, order]

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        return State(
            name=self.name,
            params={**self.get_params(), "members": [dict(spec) for spec in self.members]},
            arrays={"weights": self.weights_},
            values={"candidates": list(self.candidates_), "report": self.report_},
            children={f"member_{m}": member.get_state() for m, member in enumerate(self.members_)},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = cls(**state.params)
        self.candidates_ = tuple(state.values["candidates"])
        self.report_ = state.values["report"]
        self.weights_ = state.arrays["weights"]
        self.members_ = [
            load_estimator(state.children[f"member_{m}"]) for m in range(len(state.children))
        ]
        return self

    def _report(
        self, oof: FloatArray, Y: FloatArray, observed: BoolArray, weight: FloatArray
    ) -> dict[str, Any]:
        names = [_BASE, *(str(spec["name"]) for spec in self.members)]
        losses = [weighted_brier(p, Y, observed, weight) for p in oof]
        stacked = weighted_brier(self.oof_, Y, observed, weight)
        return {
            "labels": int(observed.sum()),
            "brier_oof": {**dict(zip(names, losses, strict=True)), "stacked": stacked},
            "weights": {
                name: {"query": round(float(a), 4), "candidate": round(float(b), 4)}
                for name, (a, b) in zip(names[1:], self.weights_, strict=True)
            },
            "constants_win": bool(not self.weights_[:, 1].any()),
        }


def fold_of(groups: IntArray, n_folds: int, random_state: int) -> IntArray:
    """Fold of every row, shape (n,): whole groups, shuffled, about equally many groups a fold."""
    codes = np.unique(groups, return_inverse=True)[1]
    count = int(codes.max()) + 1
    if n_folds < 2 or count < 2:
        raise ConfigError(f"folds need at least 2 groups and n_folds >= 2, got {count}, {n_folds}")
    order = np.random.default_rng(random_state).permutation(count)
    fold: IntArray = (order % min(n_folds, count))[codes]
    return fold


def split_deviation(predictions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Members' deviations from the constants (member 0), as query part and candidate part.

    Parameters
    ----------
    predictions : shape (1 + M, n, K)

    Returns
    -------
    shared : shape (M, n, 1)
    specific : shape (M, n, K), zero mean over candidates
    """
    deviation = predictions[1:] - predictions[0]
    shared = deviation.mean(axis=2, keepdims=True)
    return shared, deviation - shared


def blend(predictions: FloatArray, weights: FloatArray) -> FloatArray:
    """Apply weights of shape (M, 2) to predictions of shape (1 + M, n, K); clipped to [0, 1]."""
    shared, specific = split_deviation(predictions)
    value = predictions[0] + np.tensordot(weights[:, 0], shared, 1)
    clipped: FloatArray = np.clip(value + np.tensordot(weights[:, 1], specific, 1), 0.0, 1.0)
    return clipped


def blend_weights(
    oof: FloatArray, Y: FloatArray, observed: BoolArray, weight: FloatArray, penalty: float
) -> FloatArray:
    """Non-negative weights, shape (M, 2), by least squares on observed cells; see the class."""
    from scipy.optimize import nnls

    shared, specific = split_deviation(oof)
    parts = [
        np.broadcast_to(part, Y.shape)
        for pair in zip(shared, specific, strict=True)
        for part in pair
    ]
    root = np.sqrt(weight[observed])
    design = np.column_stack([part[observed] for part in parts])
    ridge = np.sqrt(penalty * np.mean(design**2, axis=0))
    target = (Y - oof[0])[observed] * root
    solution = nnls(
        np.vstack([design * root[:, None], np.diag(ridge)]),
        np.concatenate([target, np.zeros(len(ridge))]),
    )[0]
    weights: FloatArray = solution.reshape(-1, 2)
    return weights


def weighted_brier(
    predicted: FloatArray, Y: FloatArray, observed: BoolArray, weight: FloatArray
) -> float:
    """Weighted mean squared error over observed cells."""
    error = (predicted - Y)[observed] ** 2
    return float(np.average(error, weights=weight[observed]))
