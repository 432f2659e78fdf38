"""A card speaks first, labels speak louder."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.checks.examples import example_batch, example_candidates, example_labels
from router_ml.errors import ConfigError
from router_ml.estimators.card import UNLISTED_STD, CardQuality

QUERIES, TABLE = example_batch(400), example_candidates(3)
TRUTH = example_labels(QUERIES, 3)
CARD = {"c0": (0.9, 0.1), "c1": (0.5, 0.1)}


def fitted(n_labels: int, **arguments: int) -> CardQuality:
    Y = TRUTH.copy()
    Y[n_labels:] = np.nan
    estimator = CardQuality(card=CARD, base={"name": "linear"}, **arguments)
    return estimator.fit(QUERIES, Y, candidates=TABLE)


def test_without_labels_the_card_is_all() -> None:
    first = fitted(0)
    assert not first.needs_labels
    np.testing.assert_allclose(first.predict(QUERIES, TABLE)[7], [0.9, 0.5, 0.7])
    np.testing.assert_allclose(np.asarray(first.std_), [0.1, 0.1, UNLISTED_STD])
    np.testing.assert_allclose(np.asarray(first.oof_), first.predict(QUERIES, TABLE))


def test_labels_outweigh_the_card() -> None:
    off = [
        abs(fitted(n).predict(QUERIES, TABLE).mean(axis=0) - TRUTH.mean(axis=0)) for n in (0, 400)
    ]
    assert off[0][0] > 0.2
    assert (off[1] < 0.03).all()
    errors = [np.asarray(fitted(n).std_) for n in (0, 20, 400)]
    assert (errors[0] > errors[1]).all()
    assert (errors[1] > errors[2]).all()


def test_precisions_add_up() -> None:
    """By hand: five labels, four right, variance 0.16, against 0.9 +- 0.1."""
    queries, table = example_batch(5), example_candidates(1)
    Y = np.array([[1.0], [1.0], [1.0], [1.0], [0.0]])
    one = CardQuality(card={"c0": (0.9, 0.1)}).fit(queries, Y, candidates=table)
    expected = (0.9 / 0.01 + 0.8 * 5 / 0.16) / (1 / 0.01 + 5 / 0.16)
    assert one.predict(queries, table)[0, 0] == pytest.approx(expected)
    assert np.asarray(one.std_)[0] == pytest.approx((1 / 0.01 + 5 / 0.16) ** -0.5)


def test_one_failure_does_not_bury_a_candidate() -> None:
    queries, table = example_batch(40), example_candidates(2)
    Y = np.full((40, 2), np.nan)
    Y[:39, 0] = np.arange(39) % 2
    card = CardQuality(card={"c0": (0.8, 0.1), "c1": (0.8, 0.1)})
    before = card.fit(queries, Y, candidates=table).predict(queries, table)[0, 1]
    Y[39, 1] = 0.0
    after = card.fit(queries, Y, candidates=table).predict(queries, table)[0, 1]
    # Variance of a label 0.25: one label is worth 4, the card some 150 once its level is known.
    assert 0.0 < before - after < 0.03
    assert 0.6 < before < 0.75  # half of what the other candidate lacks is common


def test_queries_are_told_apart_from_some_prompts_on() -> None:
    assert np.ptp(fitted(150).predict(QUERIES, TABLE)[:, 0]) == 0.0
    assert np.ptp(fitted(400).predict(QUERIES, TABLE)[:, 0]) > 0.1


@pytest.mark.parametrize("pair", [(1.2, 0.1), (0.5, 0.0)])
def test_a_wrong_card_is_refused(pair: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="standard error above 0"):
        CardQuality(card={"c0": pair}).fit(QUERIES, TRUTH, candidates=TABLE)
