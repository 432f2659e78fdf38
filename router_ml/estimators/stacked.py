"""Out-of-fold blend of several estimators, shrinking to the constants where none helps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np

from router_ml.data.groups import group_folds
from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State, check_fit, columns, load_estimator
from router_ml.estimators.blend import Blend, cross_fitted_blend
from router_ml.estimators.cross_fitting import advantage, out_of_fold, squared_errors
from router_ml.estimators.specs import Spec, as_estimator, as_spec
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch

DEFAULT_MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "extra_trees": {"name": "extra_trees"},
    "token_weights": {"name": "token_weights"},
    "deep_averaging": {"name": "deep_averaging"},
}
"""Kinds of queries, single words, and what words mean together."""
MIN_JUDGED: Final = 500
"""Rows to find weights on: with GSM8K's 140 the blend with an encoder was no better than chance."""
MIN_Z: Final = 1.0
"""Contrasts, and costly members, are kept when they lower held-out squared error by this many
standard errors."""


class StackedQuality(Estimator):
    r"""Non-negative blend of members' held-out common parts and contrasts.

    .. math:: q_{ik} = g\Bigl(\ell_k + \sum_m a_m \hat c^{(m)}_i + b_m \hat d^{(m)}_{ik}\Bigr)

    Weights :math:`a, b \ge 0` are least squares on out-of-fold predictions, apart for the common
    part and for contrasts, so a member may be believed on how hard a query is and not on who
    answers it best. They need not sum to one: zero weights are the constant router. If held-out
    contrasts do not lower the squared error at all reliably, they are set to zero, and
    ``report_`` says that no router beats the best constant. The map :math:`g` is a calibration
    fitted on the same held-out blend. :class:`router_ml.estimators.blend.Blend` does all of that.

    With a costly member (a fine-tuned encoder) only as many inner folds are held out as it takes to
    find weights and calibration on some 500 rows. Where the first is enough, a costly member is
    fitted once, without that fold, and serves as it is. Costly members that do not lower the
    held-out squared error of the blend reliably are left out: they would cost milliseconds for
    nothing.

    Parameters
    ----------
    members : mapping of name to unfitted estimator, or its spec ``{"name": ...}``; default:
        extra trees, token weights and deep averaging
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
        costly_z = self._worth(costly, held_out, truth, mass, code[judged])
        if costly_z is not None and costly_z < MIN_Z:
            held_out = {name: q for name, q in held_out.items() if name not in costly}
        self.blend_ = Blend.fit(
            held_out, truth, mass, code[judged], min_z=MIN_Z, calibrate=self.calibrate
        )
        judgement = (
            self.blend_.predict(held_out)
            if n_judged == 1
            else self._judge_apart(held_out, truth, mass, code[judged], folds[judged])
        )
        self.report_ = self._report(held_out, judgement, truth, mass, costly_z)
        self.oof_ = judgement if judged.all() else None
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
            if name in self.blend_.members
        }
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """Predicted quality, shape (n, K), in [0, 1]; see :meth:`Estimator.predict`."""
        fitted = CandidateTable.from_prices(dict.fromkeys(self.candidates_, (0.0, 0.0)))
        chosen = columns(self.candidates_, candidates)
        predictions = {name: m.predict(queries, fitted) for name, m in self.members_.items()}
        return self.blend_.predict(predictions, len(queries))[:, chosen]

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        specs = {name: as_spec(member) for name, member in self.members.items()}
        return State(
            name=self.name,
            params={**self.get_params(deep=False), "members": specs},
            arrays=self.blend_.arrays,
            values={
                "candidates": list(self.candidates_),
                "weights": {name: list(pair) for name, pair in self.blend_.weights.items()},
                "contrast_z": self.blend_.contrast_z,
                "report": self.report_,
            },
            children={name: member.get_state() for name, member in self.members_.items()},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = cls(**state.params)
        self.candidates_ = tuple(state.values["candidates"])
        self.blend_ = Blend.from_arrays(
            state.arrays, state.values["weights"], state.values["contrast_z"]
        )
        self.report_ = state.values["report"]
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
    ) -> float | None:
        """Standard errors by which costly members lower the squared error; ``None`` without any."""
        cheap = {name: quality for name, quality in held_out.items() if name not in costly}
        if not costly or not cheap:
            return None
        folds = group_folds(groups, n_folds=self.n_folds, random_state=self.random_state)
        with_them, without = (
            squared_errors(self._judge_apart(them, Y, weight, groups, folds), Y, weight)
            for them in (held_out, cheap)
        )
        return advantage(with_them, without, groups)[1]

    def _judge_apart(
        self,
        held_out: Mapping[str, FloatArray],
        Y: FloatArray,
        weight: FloatArray,
        groups: IntArray,
        folds: IntArray,
    ) -> FloatArray:
        return cross_fitted_blend(
            held_out, Y, weight, groups, folds, min_z=MIN_Z, calibrate=self.calibrate
        )

    def _report(
        self,
        held_out: Mapping[str, FloatArray],
        judgement: FloatArray,
        Y: FloatArray,
        weight: FloatArray,
        costly_z: float | None,
    ) -> dict[str, Any]:
        """Held-out squared errors of members, constants and blend, weights, and the verdict."""
        mass, blend, z = weight.sum(), self.blend_, self.blend_.contrast_z

        def error(quality: FloatArray) -> float:
            return round(float(squared_errors(quality, Y, weight).sum() / mass), 6)

        best = self.candidates_[int(np.argmax(blend.level))]
        beaten = any(b > 0 for _, b in blend.weights.values())
        return {
            "squared_error": {
                "constant": error(np.tile(blend.level, (len(Y), 1))),
                **{name: error(quality) for name, quality in held_out.items()},
                "stacked": error(judgement),
            },
            "weights": {name: [round(x, 4) for x in pair] for name, pair in blend.weights.items()},
            "contrast_z": round(z, 2),
            **({} if costly_z is None else {"costly_z": round(costly_z, 2)}),
            "verdict": (
                f"contrasts between candidates lower the held-out squared error (z = {z:.1f})"
                if beaten
                else f"no router beats constant {best}: held-out contrasts do not lower the "
                f"squared error (z = {z:.1f}, needed {MIN_Z})"
            ),
        }
