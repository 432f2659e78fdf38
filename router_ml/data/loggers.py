"""The versions of a router that served one log, and what each would have done."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from router_ml.types.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Loggers:
    r"""J versions that served n requests, so that their logs count as one.

    A request that version j served could have come to another. Balanced over those whose
    probabilities are known, the propensity of its choice is that of their mixture,

    .. math:: \bar p_i = \frac{\sum_{j \in B} s_{ij}\, \pi_j(a_i \mid x_i)}{\sum_{j \in B} s_{ij}}

    and the own version's where that is not among them.

    Parameters
    ----------
    names : J versions
    own : int array, shape (n,), version that served
    probs : float array, shape (n, J), probability of what was chosen under every version; NaN in
        columns of versions that are unknown, but for what they served themselves
    share : float array, shape (n, J), probability that a request like this one came to a version
    balanced : bool array, shape (J,), the versions in B
    sources : J, in words, how ``probs`` are known
    scale : float array, shape (n,), factor of the mixture's propensity that makes the weights of
        every candidate add up to the log, where versions were estimated; default: one
    """

    names: tuple[str, ...]
    own: IntArray
    probs: FloatArray
    share: FloatArray
    balanced: BoolArray
    sources: tuple[str, ...]
    scale: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if len(self.scale) == 0:
            object.__setattr__(self, "scale", np.ones(len(self.own)))

    def __len__(self) -> int:
        return len(self.own)

    @property
    def logged(self) -> FloatArray:
        """Propensity under the version that served, shape (n,)."""
        own: FloatArray = self.probs[np.arange(len(self)), self.own]
        return own

    @property
    def propensity(self) -> FloatArray:
        r"""Propensity under the mixture, :math:`\bar p_i`, shape (n,)."""
        propensity = self.logged
        rows = np.flatnonzero(self.balanced[self.own])
        share = self.share[rows][:, self.balanced]
        mixed = (share * self.probs[rows][:, self.balanced]).sum(axis=1) / share.sum(axis=1)
        propensity[rows] = np.minimum(mixed * self.scale[rows], 1.0)
        return propensity

    def take(self, index: IntArray | BoolArray) -> Loggers:
        """Requests by position or mask.

        Where one version has more of what is taken than of the log, it has more of its likes, too.
        """
        own = self.own[index]
        count, before = (np.bincount(of, minlength=len(self.names)) for of in (own, self.own))
        odds = count / np.maximum(before, 1) * max(len(self), 1) / max(len(own), 1)
        share = self.share[index] * odds
        return Loggers(
            names=self.names,
            own=own,
            probs=self.probs[index],
            share=share / np.maximum(share.sum(axis=1, keepdims=True), 1e-300),
            balanced=self.balanced,
            sources=self.sources,
            scale=self.scale[index],
        )

    @property
    def text(self) -> str:
        """One sentence: which versions, how many requests each, and what is known of them."""
        count = np.bincount(self.own, minlength=len(self.names))
        parts = [
            f"{name or 'unversioned'} ({n:,} requests, {source})"
            for name, n, source in zip(self.names, count, self.sources, strict=True)
            if n
        ]
        return f"{len(parts)} versions served this log: " + "; ".join(parts)
