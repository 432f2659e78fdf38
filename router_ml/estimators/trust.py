"""How far to believe a predicted lead over the best constant, measured on held-out rows."""

from __future__ import annotations

import numpy as np

from router_ml.types.arrays import FloatArray


def lead_trust(
    predicted: FloatArray, Y: FloatArray, weight: FloatArray, level: FloatArray
) -> FloatArray:
    r"""Factor of every candidate's lead over the best constant r, in [0, 1].

    .. math:: \tau_k = \min\Bigl(1, \max\Bigl(0,
              \frac{\sum_i p_{ik} t_{ik}}{\sum_i p_{ik}^2}\Bigr)\Bigr)

    with p the predicted lead :math:`\hat q_{ik} - \hat q_{ir}` less its mean
    :math:`\ell_k - \ell_r`, and t the true one. Whoever picks the largest of many noisy
    predictions is disappointed by it: the blend's weights hold for all pairs of candidates on
    average, and most of what candidates differ by is that some are bad. The leads that decide are
    those over the best; where held-out rows bear them out in part, they are believed in part.

    One on a log, where labels are missing: the few queries that were asked twice and got both
    labels are a selection, and slopes of so few ruin the router (on a synthetic log of 12,000
    requests the quality at a quarter of the best candidate's cost fell from 0.918 to 0.901).

    Parameters
    ----------
    predicted : held out, shape (n, K)
    Y, weight : shape (n, K); weight is zero where Y is unknown
    level : of the constants, shape (K,)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(0.0, 0.1, (4000, 3))
    >>> truth = 0.5 + signal
    >>> noisy = 0.5 + signal + rng.normal(0.0, 0.1, (4000, 3))  # half of what it says is noise
    >>> lead_trust(noisy, truth, np.ones((4000, 3)), np.array([0.5, 0.5, 0.5])).round(1).tolist()
    [1.0, 0.5, 0.5]
    """
    if not (weight > 0).all():
        return np.ones(len(level))
    best = int(np.argmax(level))
    lead = level - level[best]
    p = predicted - predicted[:, [best]] - lead
    mass = np.minimum(weight, weight[:, [best]])
    t = Y - Y[:, [best]] - lead
    square = (mass * p * p).sum(axis=0)
    slope = (mass * p * t).sum(axis=0) / np.where(square > 0, square, 1.0)
    trust: FloatArray = np.where(square > 0, np.clip(slope, 0.0, 1.0), 1.0)
    return trust


def believed(left: FloatArray, trust: FloatArray, level: FloatArray) -> FloatArray:
    """Predictions about the levels, shape (n, K), with leads over the best constant shrunken."""
    own = left[:, [int(np.argmax(level))]]
    shrunken: FloatArray = own + trust * (left - own)
    return shrunken
