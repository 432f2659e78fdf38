"""A newcomer is what its likes are, until its labels say otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router_ml.checks.examples import example_batch, example_candidates, example_labels
from router_ml.errors import ConfigError
from router_ml.estimators.candidate_prior import CandidatePrior, Likeness, Mixture, likeness_shares
from router_ml.estimators.linear import LinearEstimator
from router_ml.estimators.pooled import PooledQuality
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable

BASE = {"name": "linear"}
QUERIES, TABLE = example_batch(600), example_candidates(5)
TRUTH = example_labels(QUERIES, 5)


def fitted(n_labels: int, new: int = 4, like: int | None = None) -> PooledQuality:
    """Pooled after so many labels of a newcomer; ``like``: it answers as that candidate does."""
    Y = TRUTH.copy()
    if like is not None:
        Y[:, new] = Y[:, like]
    Y[n_labels:, new] = np.nan
    pooled = PooledQuality(base=BASE, newcomers=(TABLE.names[new],))
    return pooled.fit(QUERIES, Y, candidates=TABLE)


def test_established_candidates_are_what_the_base_says() -> None:
    pooled, known = fitted(30), TABLE.take([0, 1, 2, 3])
    alone = LinearEstimator().fit(QUERIES, TRUTH[:, :4], candidates=known)
    np.testing.assert_allclose(
        pooled.predict(QUERIES, known), alone.predict(QUERIES, known), atol=1e-12
    )


def test_labels_narrow_what_is_not_known() -> None:
    errors = [float(np.asarray(fitted(n).std_)[4]) for n in (0, 10, 100, 600)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 4 * errors[-1]
    assert np.isnan(np.asarray(fitted(10).std_)[:4]).all()


def test_labels_move_level_and_then_strengths() -> None:
    start, end = (fitted(n, like=0).predict(QUERIES, TABLE) for n in (0, 600))
    assert abs(end[:, 4].mean() - TRUTH[:, 0].mean()) < 0.03
    assert abs(start[:, 4].mean() - TRUTH[:, 0].mean()) > 0.05
    same = [np.corrcoef(quality[:, 4], quality[:, 0])[0, 1] for quality in (start, end)]
    assert same[1] > 0.95


def test_price_and_provider_say_who_is_alike() -> None:
    table = replace(TABLE, provider=("a", "a", "b", "b", "a"))
    likeness = Likeness(price_scale=1.0, provider_ratio=3.0)
    shares = likeness_shares(table, 4, [0, 1, 2, 3], likeness)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[1] > shares[0]  # nearer in price
    plain = likeness_shares(table, 4, [0, 1, 2, 3], Likeness(1.0, 1.0))
    assert shares[1] / shares[2] == pytest.approx(3.0 * plain[1] / plain[2])
    blind = likeness_shares(table, 4, [0, 1, 2, 3], Likeness(np.inf, 1.0))
    np.testing.assert_allclose(blind, 0.25)


def test_free_candidates_have_likes_too() -> None:
    table = CandidateTable.from_prices({"a": (0.0, 0.0), "b": (1.0, 1.0), "c": (0.0, 0.0)})
    shares = likeness_shares(table, 2, [0, 1], Likeness())
    assert np.isfinite(shares).all()
    assert shares[0] > 0.9


def test_a_label_of_weight_two_is_two_labels() -> None:
    prior = CandidatePrior.of(np.full(3, 1 / 3), Likeness())
    known = np.random.default_rng(0).random((40, 3))
    y = (np.arange(40) % 3 > 0).astype(float)
    heavy = Mixture.fit(prior, known, y, np.full(40, 2.0))
    twice = Mixture.fit(prior, np.tile(known, (2, 1)), np.tile(y, 2), np.ones(80))
    np.testing.assert_allclose(heavy.mean, twice.mean)
    np.testing.assert_allclose(heavy.cov, twice.cov)


def test_a_card_counts_as_a_label_of_its_precision_does() -> None:
    def mean(card: dict[str, tuple[float, float]] | None) -> float:
        Y = TRUTH.copy()
        Y[:, 4] = np.nan
        pooled = PooledQuality(base=BASE, newcomers=("c4",), card=card)
        quality: FloatArray = pooled.fit(QUERIES, Y, candidates=TABLE).predict(QUERIES, TABLE)
        return float(quality[:, 4].mean())

    sure, unsure = mean({"c4": (0.9, 0.01)}), mean({"c4": (0.9, 1.0)})
    assert sure == pytest.approx(0.9, abs=0.03)
    assert unsure == pytest.approx(mean(None), abs=0.03)


def test_somebody_must_be_established() -> None:
    pooled = PooledQuality(base=BASE, newcomers=TABLE.names)
    with pytest.raises(ConfigError, match="name fewer newcomers"):
        pooled.fit(QUERIES, TRUTH, candidates=TABLE)
    with pytest.raises(ConfigError, match="no candidate 'x'"):
        PooledQuality(base=BASE, newcomers=("x",)).fit(QUERIES, TRUTH, candidates=TABLE)
