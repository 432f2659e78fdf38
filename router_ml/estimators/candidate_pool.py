"""Newcomers expressed through established candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from router_ml.data.groups import group_folds, splits
from router_ml.estimators.candidate_prior import (
    CandidatePrior,
    Likeness,
    Mixture,
    fit_likeness,
    likeness_shares,
)
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable


@dataclass(frozen=True, slots=True)
class Pool:
    """What every candidate is in terms of the established ones, which are themselves.

    Parameters
    ----------
    weights : shape (K established, K)
    levels : shape (K,), added to the mixtures
    std : standard error of every newcomer's mean quality, shape (K,), NaN where established
    labels : of every newcomer, shape (K,)
    oof : predictions of the training rows by weights and levels of other folds, shape (n, K)
    likeness : what price and provider say, as found on the established candidates
    """

    weights: FloatArray
    levels: FloatArray
    std: FloatArray = field(default_factory=lambda: np.zeros(0))
    labels: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    oof: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    likeness: Likeness = field(default_factory=Likeness)

    @classmethod
    def fit(
        cls,
        held_out: FloatArray,
        Y: FloatArray,
        weight: FloatArray,
        *,
        candidates: CandidateTable,
        known: Sequence[int],
        groups: IntArray,
        card: Mapping[str, tuple[float, float]] | None = None,
        n_folds: int = 4,
        random_state: int = 0,
    ) -> Self:
        """Find what price and provider say, then the weights of every newcomer.

        Parameters
        ----------
        held_out : predictions of the ``known`` candidates on n queries, each made without that
            query's labels, shape (n, K known)
        Y, weight : shape (n, K); weight zero where unknown
        card : what is believed of newcomers' mean quality, name to (quality, standard error)
        """
        k = len(candidates)
        new = [j for j in range(k) if j not in known]
        likeness = Likeness()
        if new:
            likeness = fit_likeness(candidates.take(known), held_out, Y[:, known], weight[:, known])
        weights, levels, std = np.zeros((len(known), k)), np.zeros(k), np.full(k, np.nan)
        weights[np.arange(len(known)), known] = 1.0
        oof = np.zeros(Y.shape)
        oof[:, known] = held_out
        folds = group_folds(groups, n_folds=n_folds, random_state=random_state)
        for j in new:
            prior = CandidatePrior.of(likeness_shares(candidates, j, known, likeness), likeness)
            if card is not None and candidates.names[j] in card:
                prior = prior.believing(held_out.mean(axis=0), *card[candidates.names[j]])
            told = weight[:, j] > 0
            fitted = Mixture.fit(prior, held_out[told], Y[told, j], weight[told, j])
            weights[:, j], levels[j] = fitted.mean[:-1], fitted.mean[-1]
            std[j] = fitted.std(held_out)
            for _, test in splits(folds):
                seen = told.copy()
                seen[test] = False
                part = Mixture.fit(prior, held_out[seen], Y[seen, j], weight[seen, j])
                oof[test, j] = part.predict(held_out[test])
        labels = (weight > 0).sum(axis=0)
        return cls(weights, levels, std, labels, np.clip(oof, 0.0, 1.0), likeness)

    def mix(self, quality: FloatArray) -> FloatArray:
        """Quality of all K candidates from that of the established ones, shape (n, K)."""
        mixed: FloatArray = np.clip(quality @ self.weights + self.levels, 0.0, 1.0)
        return mixed

    def report(self, names: Sequence[str], established: Sequence[str]) -> dict[str, Any]:
        """Labels, weights, level and standard error of every newcomer, for people."""
        return {
            names[j]: {
                "labels": int(self.labels[j]),
                "weights": dict(
                    zip(established, self.weights[:, j].round(4).tolist(), strict=True)
                ),
                "level": round(float(self.levels[j]), 4),
                "standard_error": round(float(self.std[j]), 4),
            }
            for j in np.flatnonzero(~np.isnan(self.std)).tolist()
        }
