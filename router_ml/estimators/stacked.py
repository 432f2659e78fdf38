"""Out-of-fold blend of several estimators, shrinking to the constants where none helps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np

from router_ml.data.groups import group_folds
from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State, check_fit, columns, load_estimator
from router_ml.estimators.calibration import (
    Calibrator,
    IsotonicCalibrator,
    calibrator_from_array,
    fit_calibrator,
)
from router_ml.estimators.cross_fitting import advantage, out_of_fold, squared_errors
from router_ml.estimators.effects import split_effects, split_predictions
from router_ml.estimators.specs import Spec, as_estimator, as_spec
from router_ml.estimators.trust import believed, lead_trust
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch

DEFAULT_MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "knn": {"name": "knn", "max_prototypes": 4000},
    "token_weights": {"name": "token_weights"},
    "deep_averaging": {"name": "deep_averaging"},
    "lightgbm": {"name": "lightgbm", "base": {"name": "token_weights"}},
}
"""Trees see what token weights predict; in a graph that is computed once for both. Prototypes cost
time by their number and are worth most where there are few."""
MIN_JUDGED: Final = 500
"""Rows to find weights on: with GSM8K's 140 the blend with an encoder was no better than chance."""
MIN_Z: Final = 1.0
"""Contrasts, and costly members, are kept when they lower held-out squared error by this many
standard errors."""
IDENTITY: Final = IsotonicCalibrator(np.array([[0.0, 1.0], [0.0, 1.0]]))


class StackedRouter(Estimator):
    r"""Non-negative blend of members' held-out common parts and contrasts.

    .. math:: q_{ik} = g\Bigl(\ell_k + \sum_m a_m \hat c^{(m)}_i + b_m \hat d^{(m)}_{ik}\Bigr)

    Weights :math:`a, b \ge 0` are least squares on out-of-fold predictions, apart for the common
    part and for contrasts, so a member may be believed on how hard a query is and not on who
    answers it best. They need not sum to one: zero weights are the constant router. If held-out
    contrasts do not lower the squared error at all reliably, they are set to zero, and
    ``report_`` says that no router beats the best constant. Leads over the best constant are then
    believed as far as held-out rows bear them out (:func:`lead_trust`). The map :math:`g` is a
    calibration fitted on the same held-out blend.

    With a costly member (a fine-tuned encoder) only as many inner folds are held out as it takes to
    find weights and calibration on some 500 rows. Where the first is enough, a costly member is
    fitted once, without that fold, and serves as it is. Costly members that do not lower the
    held-out squared error of the blend reliably are left out: they would cost milliseconds for
    nothing.

    Parameters
    ----------
    members : mapping of name to unfitted estimator, or its spec ``{"name": ...}``; default:
        kNN, token weights, deep averaging, and lightgbm on token weights
    n_folds : int, default=4
        Inner folds, grouped.
    calibrate : bool, default=True
    random_state : int, default=0
        Seeds the folds.

    Attributes
    ----------
    oof_ : predictions of the training rows by members, levels, weights and calibration of the other
        folds, shape (n, K); absent where not all folds were held out
    report_ : what was chosen, and why
    """

    name: ClassVar[str] = "stacked"

    def __init__(
        self,
        *,
        members: Mapping[str, Spec] = DEFAULT_MEMBERS,
        n_folds: int = 4,
        calibrate: bool = True,
        random_state: int = 0,
    ) -> None:
        self.members = members
        self.n_folds = n_folds
        self.calibrate = calibrate
        self.random_state = random_state

    @property
    def costly(self) -> bool:
        """Whether a member is."""
        return any(member.costly for member in self._built().values())

    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """Cross-fit members, blend, calibrate, refit members on all; see :meth:`Estimator.fit`."""
        Y, observed, weight, code = check_fit(queries, Y, candidates, sample_weight, groups)
        built = self._built()
        self.candidates_ = candidates.names
        self.level_ = split_effects(Y, observed, weight).level
        folds = group_folds(code, n_folds=self.n_folds, random_state=self.random_state)
        costly = {name for name, member in built.items() if member.costly}
        n_judged = self._folds_to_judge(observed) if costly else self.n_folds
        judged = folds < n_judged
        held_out, fitted = out_of_fold(
            built,
            queries,
            Y,
            candidates=candidates,
            weight=weight,
            groups=code,
            folds=np.where(judged, folds, -1),
        )
        held_out = {name: quality[judged] for name, quality in held_out.items()}
        truth, mass = np.where(observed, Y, np.nan)[judged], weight[judged]
        if not self._worth(costly, held_out, truth, mass, code[judged]):
            held_out = {name: q for name, q in held_out.items() if name not in costly}
        self._blend(held_out, truth, mass, code[judged])
        judgement = (
            self._judge(held_out)
            if n_judged == 1
            else self._judge_apart(held_out, truth, mass, code[judged], folds[judged])
        )
        self.report_ = self._report(held_out, judgement, truth, mass)
        if judged.all():
            self.oof_ = judgement
        used: BoolArray = np.asarray(observed.any(axis=1))
        learn = queries if used.all() else queries.take(used)
        self.members_ = {
            name: fitted[name]
            if name in costly and n_judged == 1
            else member.clone().fit(
                learn,
                Y[used],
                candidates=candidates,
                sample_weight=weight[used],
                groups=code[used],
            )
            for name, member in built.items()
            if self.weights_.get(name, (0.0, 0.0)) != (0.0, 0.0)
        }
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """Predicted quality, shape (n, K), in [0, 1]; see :meth:`Estimator.predict`."""
        fitted = CandidateTable.from_prices(dict.fromkeys(self.candidates_, (0.0, 0.0)))
        chosen = columns(self.candidates_, candidates)
        predictions = {name: m.predict(queries, fitted) for name, m in self.members_.items()}
        return self._judge(predictions, len(queries))[:, chosen]

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        specs = {name: as_spec(member) for name, member in self.members.items()}
        return State(
            name=self.name,
            params={**self.get_params(deep=False), "members": specs},
            arrays={
                "level_": self.level_,
                "trust_": self.trust_,
                "calibrator_": self.calibrator_.array,
            },
            values={
                "candidates": list(self.candidates_),
                "weights": {name: list(pair) for name, pair in self.weights_.items()},
                "report": self.report_,
            },
            children={name: member.get_state() for name, member in self.members_.items()},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = cls(**state.params)
        self.candidates_ = tuple(state.values["candidates"])
        self.weights_ = {name: (a, b) for name, (a, b) in state.values["weights"].items()}
        self.report_ = state.values["report"]
        self.level_ = state.arrays["level_"]
        self.trust_ = state.arrays["trust_"]
        self.calibrator_ = calibrator_from_array(state.arrays["calibrator_"])
        self.members_ = {name: load_estimator(child) for name, child in state.children.items()}
        return self

    def _built(self) -> dict[str, Estimator]:
        """Members as unfitted estimators; ConfigError when there is none."""
        if not self.members:
            raise ConfigError("a stacked estimator needs at least one member, got none")
        return {name: as_estimator(member) for name, member in self.members.items()}

    def _folds_to_judge(self, observed: BoolArray) -> int:
        n = np.count_nonzero(observed.any(axis=1))
        return min(self.n_folds, max(1, math.ceil(MIN_JUDGED * self.n_folds / n)))

    def _worth(
        self,
        costly: set[str],
        held_out: Mapping[str, FloatArray],
        Y: FloatArray,
        weight: FloatArray,
        groups: IntArray,
    ) -> bool:
        """Whether costly members lower the squared error of the blend reliably."""
        self.costly_z_: float | None = None
        cheap = {name: quality for name, quality in held_out.items() if name not in costly}
        if not costly or not cheap:
            return True
        parts = group_folds(groups, n_folds=self.n_folds, random_state=self.random_state)
        with_them, without = (
            squared_errors(self._judge_apart(them, Y, weight, groups, parts), Y, weight)
            for them in (held_out, cheap)
        )
        _, self.costly_z_ = advantage(with_them, without, groups)
        return self.costly_z_ >= MIN_Z

    def _blend(
        self,
        held_out: Mapping[str, FloatArray],
        Y: FloatArray,
        weight: FloatArray,
        groups: IntArray,
    ) -> None:
        """Solve for weights, drop contrasts that do not earn their place; trust, and calibrate."""
        from scipy.optimize import nnls

        self.trust_: FloatArray = np.ones(len(self.level_))
        names = list(held_out)
        seen = weight > 0
        parts = [split_predictions(held_out[name], self.level_) for name in names]
        design = [np.broadcast_to(common, Y.shape)[seen] for common, _ in parts]
        design += [contrast[seen] for _, contrast in parts]
        root = np.sqrt(weight[seen])
        A = np.column_stack(design) * root[:, None]
        b = (Y - self.level_)[seen] * root
        # nnls wants few rows: the triangle of A's QR has the same least squares.
        Q, R = np.linalg.qr(np.column_stack([A, b]))[0:2]
        del Q
        solved = nnls(R[:, :-1], R[:, -1])[0]
        self.weights_ = {
            name: (float(solved[j]), float(solved[j + len(names)])) for j, name in enumerate(names)
        }
        full = squared_errors(self._combine(held_out), Y, weight)
        kept = self.weights_
        self.weights_ = {name: (a, 0.0) for name, (a, _) in kept.items()}
        flat = squared_errors(self._combine(held_out), Y, weight)
        self.gain_, self.z_ = advantage(full, flat, groups)
        if self.z_ >= MIN_Z:
            self.weights_ = kept
        self.trust_ = lead_trust(self._combine(held_out), Y, weight, self.level_)
        self.calibrator_: Calibrator = IDENTITY
        if self.calibrate:
            self.calibrator_ = fit_calibrator(self._combine(held_out), Y, weight)

    def _judge_apart(
        self,
        held_out: Mapping[str, FloatArray],
        Y: FloatArray,
        weight: FloatArray,
        groups: IntArray,
        folds: IntArray,
    ) -> FloatArray:
        """Judge each fold with levels, weights and calibration of the others, shape (n, K)."""
        judgement = np.empty(Y.shape)
        for fold in np.unique(folds):
            others, mine = folds != fold, folds == fold
            part = self.clone()
            part.level_ = split_effects(Y[others], weight[others] > 0, weight[others]).level
            part._blend(
                {name: quality[others] for name, quality in held_out.items()},
                Y[others],
                weight[others],
                groups[others],
            )
            judgement[mine] = part._judge(
                {name: quality[mine] for name, quality in held_out.items()}
            )
        return judgement

    def _judge(self, predictions: Mapping[str, FloatArray], n: int | None = None) -> FloatArray:
        """Calibrated blend, shape (n, K), in [0, 1]."""
        quality: FloatArray = np.clip(self.calibrator_(self._combine(predictions, n)), 0.0, 1.0)
        return quality

    def _combine(self, predictions: Mapping[str, FloatArray], n: int | None = None) -> FloatArray:
        """Blend of members' predictions about the levels, shape (n, K)."""
        rows = len(next(iter(predictions.values()))) if n is None else n
        left = np.zeros((rows, len(self.level_)))
        for name, quality in predictions.items():
            common, contrast = split_predictions(quality, self.level_)
            a, b = self.weights_[name]
            left += a * common + b * contrast
        return np.clip(self.level_ + believed(left, self.trust_, self.level_), 0.0, 1.0)

    def _report(
        self,
        held_out: Mapping[str, FloatArray],
        judgement: FloatArray,
        Y: FloatArray,
        weight: FloatArray,
    ) -> dict[str, Any]:
        """Held-out squared errors of members, constants and blend, weights, and the verdict."""
        mass = weight.sum()

        def error(quality: FloatArray) -> float:
            return round(float(squared_errors(quality, Y, weight).sum() / mass), 6)

        best = self.candidates_[int(np.argmax(self.level_))]
        beaten = any(b > 0 for _, b in self.weights_.values())
        return {
            "squared_error": {
                "constant": error(np.tile(self.level_, (len(Y), 1))),
                **{name: error(quality) for name, quality in held_out.items()},
                "stacked": error(judgement),
            },
            "weights": {name: [round(x, 4) for x in pair] for name, pair in self.weights_.items()},
            "contrast_z": round(self.z_, 2),
            **({} if self.costly_z_ is None else {"costly_z": round(self.costly_z_, 2)}),
            "trust": {
                name: round(float(x), 4)
                for name, x in zip(self.candidates_, self.trust_, strict=True)
            },
            "verdict": (
                f"contrasts between candidates lower the held-out squared error (z = {self.z_:.1f})"
                if beaten
                else f"no router beats constant {best}: held-out contrasts do not lower the "
                f"squared error (z = {self.z_:.1f}, needed {MIN_Z})"
            ),
        }
