"""What every estimator is: scikit-learn parameters, ``fit``, ``predict``, state without pickle."""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np

from router_ml.errors import ConfigError, SchemaError
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch


@dataclass(frozen=True, slots=True)
class State:
    """A fitted estimator as plain data; :meth:`save` writes npz, JSON and text, never a pickle.

    Parameters
    ----------
    name : registered name of the estimator's class
    params : constructor arguments, JSON-able
    arrays : fitted arrays
    values : fitted scalars and lists, JSON-able
    texts : fitted texts, such as a LightGBM model
    children : states of the estimators inside it
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    children: Mapping[str, State] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write ``state.json``, ``arrays.npz``, one ``*.txt`` a text and one folder a child."""
        folder.mkdir(parents=True, exist_ok=True)
        head = {
            "name": self.name,
            "params": self.params,
            "values": self.values,
            "texts": sorted(self.texts),
            "children": sorted(self.children),
        }
        (folder / "state.json").write_text(json.dumps(head, indent=1), encoding="utf-8")
        np.savez(folder / "arrays.npz", allow_pickle=False, **dict(self.arrays))
        for key, text in self.texts.items():
            (folder / f"{key}.txt").write_text(text, encoding="utf-8")
        for key, child in self.children.items():
            child.save(folder / key)

    @classmethod
    def load(cls, folder: Path) -> State:
        """Read what :meth:`save` wrote; SchemaError if it is not there."""
        if not (folder / "state.json").is_file():
            raise SchemaError(f"expected an estimator's state.json in {folder}, found none")
        head = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            return cls(
                name=head["name"],
                params=head["params"],
                arrays={key: arrays[key] for key in arrays.files},
                values=head["values"],
                texts={
                    key: (folder / f"{key}.txt").read_text(encoding="utf-8")
                    for key in head["texts"]
                },
                children={key: cls.load(folder / key) for key in head["children"]},
            )


class Estimator(ABC):
    """Predicts one number per candidate: a quality, a token count, a latency.

    Subclasses are named (``name``), take keyword-only constructor arguments that they only store,
    validate in :meth:`fit`, and keep what they learned in attributes that end in ``_``.
    A constructor argument may itself be an estimator.

    Attributes
    ----------
    oof_ : float array, shape (n, K), or None
        Predictions of the training rows by models that had not seen their group; ``None`` where
        :meth:`fit` kept none, and after :meth:`from_state`.
    report_ : mapping
        What :meth:`fit` chose, and why, JSON-able; empty where nothing was chosen.
    std_ : float array, shape (K,), or None
        Standard error of every candidate's mean quality; NaN where only the log tells, ``None``
        where the estimator knows nothing beyond the log.
    """

    name: ClassVar[str]
    registry: ClassVar[dict[str, type[Estimator]]] = {}
    oof_: FloatArray | None = None
    report_: Mapping[str, Any] = MappingProxyType({})
    std_: FloatArray | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            Estimator.registry[cls.name] = cls

    @abstractmethod
    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """Learn from full or partial information.

        Parameters
        ----------
        queries : n queries
        Y : shape (n, K), NaN where unobserved
        candidates : the K candidates of ``Y``'s columns
        sample_weight : shape (n, K) or (n,), >= 0, optional
        groups : int codes, shape (n,), optional
            Rows of one group never stand on both sides of an inner split. Default: equal text,
            equal group.

        Raises
        ------
        SchemaError
            If shapes disagree, a weight is negative, or ``Y`` has no observed cell.
        """

    @abstractmethod
    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """Predicted mean of every candidate, shape (n, K), columns as in ``candidates``.

        Raises
        ------
        ConfigError
            If a candidate was not there in :meth:`fit` and the estimator cannot do without.
        """

    @abstractmethod
    def get_state(self) -> State:
        """What :meth:`from_state` needs to predict the same again."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild a fitted estimator."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments, as scikit-learn's ``get_params`` gives them."""
        params: dict[str, Any] = {}
        for key in _argument_names(type(self)):
            value = getattr(self, key)
            params[key] = value
            if deep and isinstance(value, Estimator):
                params.update({f"{key}__{k}": v for k, v in value.get_params().items()})
        return params

    def set_params(self, **params: Any) -> Self:
        """Set constructor arguments; ``inner__name`` reaches into an estimator inside."""
        names = _argument_names(type(self))
        for key, value in params.items():
            head, _, tail = key.partition("__")
            if head not in names:
                raise ConfigError(f"{self.name} has no parameter {head!r}; it has {names}")
            if tail:
                getattr(self, head).set_params(**{tail: value})
            else:
                setattr(self, head, value)
        return self

    @property
    def costly(self) -> bool:
        """Whether one fit takes so long that nothing should be fitted in folds for its own sake."""
        return False

    @property
    def needs_labels(self) -> bool:
        """Whether there is nothing to fit without a label."""
        return True

    def clone(self) -> Self:
        """An unfitted copy with the same parameters."""
        params = self.get_params(deep=False)
        return type(self)(
            **{k: v.clone() if isinstance(v, Estimator) else v for k, v in params.items()}
        )

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_params(deep=False).items())
        return f"{type(self).__name__}({arguments})"


def load_estimator(state: State) -> Estimator:
    """Rebuild any registered estimator from its state; its module must have been imported."""
    if state.name not in Estimator.registry:
        known = ", ".join(sorted(Estimator.registry))
        raise ConfigError(f"no estimator {state.name!r}; there are {known}")
    return Estimator.registry[state.name].from_state(state)


def check_fit(
    queries: QueryBatch,
    Y: FloatArray,
    candidates: CandidateTable,
    sample_weight: FloatArray | None,
    groups: IntArray | None = None,
) -> tuple[FloatArray, BoolArray, FloatArray, IntArray]:
    """Validate what ``fit`` was given.

    Returns
    -------
    Y : float64, shape (n, K)
    observed : where ``Y`` is known and its weight is above zero
    weight : float64, shape (n, K), zero where unobserved
    groups : int codes from 0, shape (n,)
    """
    Y = np.asarray(Y, dtype=float)
    shape = (len(queries), len(candidates))
    if Y.shape != shape:
        raise SchemaError(f"Y must have shape (n_samples, n_candidates) = {shape}, got {Y.shape}")
    weight = np.ones(shape)
    if sample_weight is not None:
        given = np.asarray(sample_weight, dtype=float)
        if given.shape not in (shape, shape[:1]):
            raise SchemaError(f"sample_weight must have shape {shape}, got {given.shape}")
        weight = np.broadcast_to(given if given.ndim == 2 else given[:, None], shape).copy()
        if not np.all(np.isfinite(weight)) or np.any(weight < 0):
            raise SchemaError("sample_weight must be finite and >= 0")
    observed: BoolArray = ~np.isnan(Y) & (weight > 0)
    if not observed.any():
        raise SchemaError("Y has no observed cell of positive weight; there is nothing to learn")
    if np.isinf(Y[observed]).any():
        raise SchemaError("Y must be finite or NaN, got an infinite value")
    weight[~observed] = 0.0
    keys = queries.text if groups is None else groups
    if len(keys) != len(queries):
        raise SchemaError(f"groups must have {len(queries)} entries, got {len(keys)}")
    codes = np.unique(np.asarray(keys), return_inverse=True)[1]
    return Y, observed, weight, codes.astype(np.int64)


def columns(fitted: Sequence[str], candidates: CandidateTable) -> list[int]:
    """Positions of ``candidates`` among the fitted ones; ConfigError if one was not fitted."""
    position = {name: k for k, name in enumerate(fitted)}
    unknown = [name for name in candidates.names if name not in position]
    if unknown:
        raise ConfigError(f"never fitted on candidates {unknown}; fitted on {list(fitted)}")
    return [position[name] for name in candidates.names]


def spread(X: FloatArray) -> FloatArray:
    """Standard deviation of columns, shape (p,); one where a column is constant up to rounding.

    Dividing by rounding noise would give a column that training never varied a huge weight.
    """
    deviation = X.std(axis=0)
    varies = deviation > 1e-6 * (1.0 + np.abs(X).max(axis=0, initial=0.0))
    scale: FloatArray = np.where(varies, deviation, 1.0)
    return scale


def _argument_names(cls: type) -> list[str]:
    parameters = inspect.signature(cls).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
