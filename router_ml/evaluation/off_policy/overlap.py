"""What the log cannot speak about: thin candidates, thin regions, dominating weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.errors import OverlapError, SchemaError
from router_ml.evaluation.off_policy.estimators import effective_sample_size
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

MIN_ROWS: Final = 10.0
"""Effective labelled rows below which a log cannot speak about a candidate."""


_LEAST_MASS: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Overlap:
    """How well a log supports an evaluation policy.

    Parameters
    ----------
    candidates, regions : names of the K candidates and the R query regions
    policy_mass : float array, shape (R, K), share of requests that the policy sends there
    labelled_rows : int array, shape (R, K), labelled rows that the log has there
    effective_rows : float array, shape (R, K), what the log has to say of a candidate: the lesser
        of two effective sample sizes, that of all its labelled rows in the region, and that of its
        rows anywhere that the policy would have it serve
    effective_sample_size : of all weights together
    largest_weight : largest single weight over the sum of weights, in [0, 1]
    unsupported : bool array, shape (R, K), cells with too few effective rows for their mass
    """

    candidates: tuple[str, ...]
    regions: tuple[str, ...]
    policy_mass: FloatArray
    labelled_rows: IntArray
    effective_rows: FloatArray
    effective_sample_size: float
    largest_weight: float
    unsupported: BoolArray

    @property
    def unsupported_mass(self) -> float:
        """Share of the policy's requests that fall into unsupported cells."""
        return float(self.policy_mass[self.unsupported].sum())

    @property
    def text(self) -> str:
        """One line per unsupported cell, the largest mass first."""
        cells = np.argwhere(self.unsupported)
        order = np.argsort([-self.policy_mass[r, k] for r, k in cells], kind="stable")
        return "; ".join(
            f"{self.candidates[k]} in {self.regions[r]}: {self.policy_mass[r, k]:.1%} of requests, "
            f"{self.labelled_rows[r, k]} labelled rows, worth {self.effective_rows[r, k]:.1f}"
            for r, k in cells[order]
        )


def overlap(
    log: LoggedFeedback,
    action_probs: FloatArray,
    *,
    candidates: Sequence[str],
    region: IntArray | None = None,
    regions: Sequence[str] = ("all queries",),
    min_rows: float = MIN_ROWS,
) -> Overlap:
    """Diagnose the overlap of a log and a policy, by candidate and query region.

    Parameters
    ----------
    action_probs : float array, shape (n, K), of the evaluation policy
    candidates : K names
    region : int array, shape (n,), index into ``regions``; default: one region
    min_rows : effective labelled rows that a cell with any mass needs; a cell that gets less than
        one in a thousand requests is not counted as unsupported
    """
    n, k = action_probs.shape
    if len(candidates) != k:
        raise SchemaError(f"candidates must have {k} names, got {len(candidates)}")
    area = np.zeros(n, dtype=np.int64) if region is None else np.asarray(region)
    if area.max(initial=0) >= len(regions):
        raise SchemaError(f"region {area.max()} has no name; there are {len(regions)}")
    weights = log.weights(action_probs)
    cell = area * k + log.action
    shape = (len(regions), k)
    mass = np.stack([action_probs[area == r].sum(axis=0) / n for r in range(len(regions))])
    known = log.labelled / (log.propensity * log.label_prob)
    effective = np.minimum(
        _effective(cell, known, shape[0] * k).reshape(shape), _effective(log.action, weights, k)
    )
    sum_of_weights = float(weights.sum())
    return Overlap(
        candidates=tuple(candidates),
        regions=tuple(regions),
        policy_mass=mass,
        labelled_rows=np.bincount(cell, log.labelled, minlength=shape[0] * k)
        .reshape(shape)
        .astype(np.int64),
        effective_rows=effective,
        effective_sample_size=effective_sample_size(weights),
        largest_weight=float(weights.max()) / sum_of_weights if sum_of_weights > 0 else 1.0,
        unsupported=(mass > _LEAST_MASS) & (effective < min_rows),
    )


class OverlapSums:
    """The same by candidate, over all queries together, of a log that comes in chunks."""

    def __init__(self) -> None:
        self._sums: FloatArray = np.zeros((6, 0))

    def add(self, log: LoggedFeedback, action_probs: FloatArray) -> None:
        """Take in a chunk; ``action_probs`` of the evaluation policy, shape (n, K)."""
        known = log.labelled / (log.propensity * log.label_prob)
        weights = log.weights(action_probs)
        columns = (log.labelled, known, known**2, weights, weights**2)
        k = action_probs.shape[1]
        sums = [np.bincount(log.action, column, minlength=k) for column in columns]
        self._add(np.stack([action_probs.sum(axis=0), *sums]))

    def merge(self, other: OverlapSums) -> None:
        """Take in what another process has read."""
        if other._sums.size:
            self._add(other._sums)

    def _add(self, sums: FloatArray) -> None:
        self._sums = self._sums + sums if self._sums.size else sums

    def overlap(
        self,
        candidates: Sequence[str],
        *,
        n: int,
        effective_sample_size: float,
        largest_weight: float,
        min_rows: float = MIN_ROWS,
    ) -> Overlap:
        """The diagnosis.

        Parameters
        ----------
        candidates : K names
        n : rows so far
        effective_sample_size, largest_weight : of all rows' weights
        """
        mass, labelled, known, known_squared, weight, weight_squared = self._sums
        effective = np.minimum(
            _effective_of(known, known_squared), _effective_of(weight, weight_squared)
        )[None]
        total = float(weight.sum())
        return Overlap(
            candidates=tuple(candidates),
            regions=("all queries",),
            policy_mass=mass[None] / n,
            labelled_rows=labelled[None].astype(np.int64),
            effective_rows=effective,
            effective_sample_size=effective_sample_size,
            largest_weight=largest_weight / total if total > 0.0 else 1.0,
            unsupported=(mass[None] / n > _LEAST_MASS) & (effective < min_rows),
        )


def _effective(cell: IntArray, weights: FloatArray, n_cells: int) -> FloatArray:
    """Effective sample size of the weights in every cell, shape (n_cells,)."""
    total = np.bincount(cell, weights, minlength=n_cells).astype(float)
    square = np.bincount(cell, weights**2, minlength=n_cells).astype(float)
    return _effective_of(total, square)


def _effective_of(total: FloatArray, square: FloatArray) -> FloatArray:
    """Effective sample size from sums of weights and of their squares; 0 where there are none."""
    return np.divide(total**2, square, out=np.zeros(total.shape), where=square > 0)


def require_overlap(diagnosis: Overlap, *, max_unsupported: float = 0.05) -> None:
    """Refuse a policy that the log cannot judge.

    Parameters
    ----------
    max_unsupported : share of requests that may fall into unsupported cells

    Raises
    ------
    OverlapError
        Naming the candidates and regions that the log cannot speak about.
    """
    if diagnosis.unsupported_mass > max_unsupported:
        raise OverlapError(
            f"the log cannot support this policy: {diagnosis.unsupported_mass:.1%} of its requests "
            f"(limit {max_unsupported:.1%}) go where too little was logged: {diagnosis.text}; log "
            "some traffic there (exploration floor) or take those candidates out of the policy"
        )
