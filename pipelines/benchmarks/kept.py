"""Estimators whose predictions are kept on disk, so that no fit of a benchmark is done twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State
from router_ml.estimators.distillation import DistilledEstimator
from router_ml.estimators.specs import Spec, as_estimator
from router_ml.estimators.stacked import StackedQuality
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch


def described(value: object) -> str:
    """A spec or estimator with all its arguments, defaults and members' arguments among them.

    Examples
    --------
    >>> described({"name": "constant"})
    'ConstantEstimator({})'
    """
    if isinstance(value, KeptEstimator):
        return described(value.inner)
    if isinstance(value, Estimator):
        return f"{type(value).__name__}({described(value.get_params(deep=False))})"
    if isinstance(value, Mapping):
        if "name" in value:
            return described(as_estimator(value))
        return "{" + ", ".join(f"{key}: {described(value[key])}" for key in sorted(value)) + "}"
    return repr(value)


class KeptEstimator(Estimator):
    """Fits when it must: what was predicted before, for the same rows from the same, is read.

    A device of the benchmark: it has no name, so that no spec can ask for it, and no state.

    Parameters
    ----------
    inner : unfitted estimator
    folder : where predictions are kept
    key : of the code and the features that they are made with
    """

    def __init__(self, *, inner: Estimator, folder: Path, key: str) -> None:
        self.inner = inner
        self.folder = folder
        self.key = key

    @property
    def costly(self) -> bool:
        """Whether the estimator is."""
        return self.inner.costly

    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """Note what to fit to; see :meth:`Estimator.fit`."""
        unfitted = self.inner.clone()  # and not self: what refers to itself is kept for long
        self._fitted_: Estimator | None = None
        self._fit_: Callable[[], Estimator] = lambda: unfitted.fit(
            queries, Y, candidates=candidates, sample_weight=sample_weight, groups=groups
        )
        parts = [Y, sample_weight, groups]
        self._digest_ = _digest(
            f"{self.key}|{described(self.inner)}|{candidates.names}",
            queries,
            *(np.zeros(0) if part is None else part for part in parts),
        )
        return self

    @property
    def fitted_(self) -> Estimator:
        """The estimator itself, fitted by now."""
        if self._fitted_ is None:
            self._fitted_ = self._fit_()
        return self._fitted_

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """See :meth:`Estimator.predict`."""
        name = _digest(f"{self._digest_}|{candidates.names}", queries)
        path = self.folder / f"{type(self.inner).__name__}-{name}.npy"
        if not path.is_file():
            quality = self.fitted_.predict(queries, candidates)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial.npy")
            np.save(partial, quality, allow_pickle=False)
            partial.rename(path)
        kept: FloatArray = np.load(path, allow_pickle=False)
        return kept

    def get_state(self) -> NoReturn:
        """There is none."""
        raise ConfigError("kept predictions are no part of a bundle; export the estimator inside")

    @classmethod
    def from_state(cls, state: State) -> NoReturn:
        """See :meth:`get_state`."""
        raise ConfigError(f"no state is a {cls.__name__}'s, and one named {state.name!r} was given")


def kept(spec: Spec, folder: Path, key: str) -> Estimator:
    """The estimator of a spec, with the predictions of every member kept.

    A stack's own fit takes moments once its members' predictions are there, and is done each time;
    a student's teacher is such a stack.
    """
    estimator = as_estimator(spec)
    if isinstance(estimator, StackedQuality):
        members: Mapping[str, Any] = {
            name: kept(member, folder, key) for name, member in estimator.members.items()
        }
        return estimator.set_params(members=members)
    if isinstance(estimator, DistilledEstimator):
        estimator.set_params(teacher=kept(estimator.teacher, folder, key))
    return KeptEstimator(inner=estimator, folder=folder, key=key)


@add_head.register
def _(estimator: KeptEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    return add_head(estimator.fitted_, graph, features)


def _digest(head: str, queries: QueryBatch, *arrays: object) -> str:
    digest = hashlib.blake2b(head.encode(), digest_size=12)
    for array in (queries.tokens.flat, queries.tokens.offsets, queries.lexical, *arrays):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
