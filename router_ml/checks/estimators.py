"""What every estimator promises, as functions that raise where one does not.

``for check in yield_estimator_checks(): check(estimator)`` is what the tests run over everything
that is registered. The ONNX form of an estimator is compared with Python by
``tests/checks/test_heads.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from router_ml.checks.examples import example_batch, example_candidates, example_labels
from router_ml.checks.require import close, raises, require
from router_ml.errors import ConfigError, SchemaError
from router_ml.estimators.amounts import AmountEstimator
from router_ml.estimators.base import Estimator, State, load_estimator
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch

EstimatorCheck = Callable[[Estimator], None]


def yield_estimator_checks() -> Iterator[EstimatorCheck]:
    """Every check of an estimator, in an order in which the first failure tells most."""
    yield check_parameters
    yield check_validates
    yield check_shapes_and_range
    yield check_deterministic
    yield check_rows_are_independent
    yield check_state_round_trip
    yield check_candidates_are_named
    yield check_permutation_of_candidates
    yield check_weight_zero_is_absent
    yield check_weights_count
    yield check_candidate_without_labels
    yield check_single_class
    yield check_few_labels
    yield check_no_worse_than_constants
    yield check_pseudo_outcomes


def check_estimator(estimator: Estimator) -> None:
    """Run every check; AssertionError says which promise is broken.

    Parameters
    ----------
    estimator : unfitted; it is cloned, never changed

    Examples
    --------
    >>> from router_ml.estimators.constant import ConstantEstimator
    >>> check_estimator(ConstantEstimator())
    """
    for check in yield_estimator_checks():
        check(estimator)


def check_parameters(estimator: Estimator) -> None:
    """scikit-learn's parameter protocol: stored as given, cloned, set, unknown ones refused."""
    params = estimator.get_params(deep=False)
    twin = estimator.clone()
    require(twin is not estimator and type(twin) is type(estimator), "clone() must be a copy")
    require(repr(twin) == repr(estimator), f"clone() changed parameters: {twin!r}, {estimator!r}")
    require(not any(key.endswith("_") for key in vars(twin)), "a clone must not be fitted")
    twin.set_params(**params)
    require(repr(twin) == repr(estimator), "set_params(get_params()) must change nothing")
    raises(ConfigError, lambda: twin.set_params(no_such_parameter=1), "an unknown parameter")


def check_validates(estimator: Estimator) -> None:
    """Wrong shapes, weights and labels are refused with SchemaError."""
    queries, Y, candidates = _data(24, 2)
    ones = np.ones_like(Y)
    wrong: dict[str, dict[str, Any]] = {
        "Y of the wrong shape": {"Y": Y[:, :1]},
        "Y without a label": {"Y": np.full_like(Y, np.nan)},
        "an infinite label": {"Y": np.where(ones > 0, np.inf, Y)},
        "a negative weight": {"sample_weight": -ones},
        "weights of the wrong shape": {"sample_weight": ones[:5]},
        "a NaN weight": {"sample_weight": ones * np.nan},
        "groups of the wrong length": {"groups": np.arange(5)},
    }
    for what, change in wrong.items():
        arguments = {"Y": Y, **change}
        labels = arguments.pop("Y")
        fit = partial(estimator.clone().fit, queries, labels, candidates=candidates, **arguments)
        raises(SchemaError, fit, what)


def check_shapes_and_range(estimator: Estimator) -> None:
    """Shape (n, K), finite, in [0, 1] for labels of 0 and 1; inputs stay as they were."""
    queries, Y, candidates = _data(200, 3)
    Y[::3, 1] = np.nan
    before = [
        Y.copy(),
        queries.lexical.copy(),
        queries.embedding.copy(),
        queries.tokens.flat.copy(),
    ]
    fitted = estimator.clone()
    require(fitted.fit(queries, Y, candidates=candidates) is fitted, "fit() must return self")
    fresh = example_batch(50, random_state=7)
    predicted = fitted.predict(fresh, candidates)
    require(predicted.shape == (50, 3), f"predict() must give (50, 3), gave {predicted.shape}")
    require(bool(np.isfinite(predicted).all()), "predictions must be finite")
    require(bool((predicted >= 0).all()), "predictions must be >= 0")
    if not isinstance(estimator, AmountEstimator):  # amounts have no upper bound
        require(bool((predicted <= 1).all()), "predicted quality must be <= 1")
    after = [Y, queries.lexical, queries.embedding, queries.tokens.flat]
    same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True))
    require(same, "fit() must not write into its arguments")
    empty = fitted.predict(fresh.take(np.arange(0)), candidates)
    require(empty.shape == (0, 3), f"no queries must give shape (0, 3), gave {empty.shape}")


def check_deterministic(estimator: Estimator) -> None:
    """Two fits on the same data predict the same."""
    queries, Y, candidates = _data(200, 3)
    first, second = (_fit(estimator, queries, Y).predict(queries, candidates) for _ in range(2))
    require(np.array_equal(first, second), "two fits on the same data must predict the same")


def check_rows_are_independent(estimator: Estimator) -> None:
    """A query's prediction does not depend on its batch."""
    queries, Y, candidates = _data(200, 3)
    fitted = _fit(estimator, queries, Y)
    many = fitted.predict(queries, candidates)
    for i in (0, 7, 199):
        one = fitted.predict(queries.take(np.array([i])), candidates)
        close(one[0], many[i], "a batch of one and a batch of many must agree")


def check_state_round_trip(estimator: Estimator) -> None:
    """State goes to disk and back without a pickle and predicts the same."""
    queries, Y, candidates = _data(200, 3)
    fitted = _fit(estimator, queries, Y)
    expected = fitted.predict(queries, candidates)
    with TemporaryDirectory() as folder:
        fitted.get_state().save(Path(folder))
        back = load_estimator(State.load(Path(folder)))
    require(type(back) is type(estimator), f"state must come back as its class, got {type(back)}")
    close(back.predict(queries, candidates), expected, "state must predict the same")
    require(back.get_state().params == fitted.get_state().params, "state changed parameters")


def check_candidates_are_named(estimator: Estimator) -> None:
    """Columns follow the candidates asked for; a stranger is refused or scored within range."""
    queries, Y, candidates = _data(200, 3)
    fitted = _fit(estimator, queries, Y)
    every = fitted.predict(queries, candidates)
    some = fitted.predict(queries, candidates.take([2, 0]))
    close(some, every[:, [2, 0]], "columns must follow the candidates asked for")
    try:
        new = fitted.predict(queries, CandidateTable.from_prices({"new": (1.0, 1.0)}))
    except ConfigError:
        return
    inside = new.shape == (len(queries), 1) and bool(np.isfinite(new).all())
    require(inside, "a new candidate must be refused with ConfigError or get a prediction")


def check_permutation_of_candidates(estimator: Estimator) -> None:
    """No candidate is special for standing first."""
    queries, Y, candidates = _data(300, 3)
    order = [2, 0, 1]
    straight = _fit(estimator, queries, Y).predict(queries, candidates)
    twisted = estimator.clone().fit(queries, Y[:, order], candidates=candidates.take(order))
    apart = np.abs(twisted.predict(queries, candidates) - straight).max()
    require(apart < 0.01, f"permuting candidates changed predictions by {apart:.3g}")


def check_weight_zero_is_absent(estimator: Estimator) -> None:
    """A cell of weight zero counts as little as a missing one."""
    queries, Y, candidates = _data(200, 3)
    absent = np.random.default_rng(3).random(Y.shape) < 0.3
    weight = np.where(absent, 0.0, 1.0)
    fitted = estimator.clone().fit(
        queries, np.where(absent, 1.0 - Y, Y), candidates=candidates, sample_weight=weight
    )
    missing = _fit(estimator, queries, np.where(absent, np.nan, Y))
    got, expected = (e.predict(queries, candidates) for e in (fitted, missing))
    close(got, expected, "a cell of weight zero must count as a missing one")


def check_weights_count(estimator: Estimator) -> None:
    """Heavy rows pull the mean towards their labels; a weight a row is a weight a cell."""
    queries, Y, candidates = _data(400, 2)
    Y[:] = (np.arange(400) % 2)[:, None]
    rows = np.where(np.arange(400) % 2 == 1, 9.0, 1.0)
    heavy = estimator.clone().fit(queries, Y, candidates=candidates, sample_weight=rows)
    cells = np.tile(rows[:, None], (1, 2))
    wide = estimator.clone().fit(queries, Y, candidates=candidates, sample_weight=cells)
    mean = heavy.predict(example_batch(100, random_state=4), candidates).mean()
    require(mean > 0.75, f"rows of weight 9 against 1 should give a mean near 0.9, gave {mean:.3f}")
    close(
        heavy.predict(queries, candidates),
        wide.predict(queries, candidates),
        "a weight a row must be a weight a cell",
    )


def check_candidate_without_labels(estimator: Estimator) -> None:
    """A candidate that nobody has rated gets a finite prediction, and spoils no other's."""
    queries, Y, candidates = _data(300, 3)
    Y[:, 1] = np.nan
    predicted = _fit(estimator, queries, Y).predict(queries, candidates)
    require(bool(np.isfinite(predicted).all()), "no labels must not mean no number")
    rated = [0, 2]
    apart = np.abs(predicted.mean(axis=0) - Y.mean(axis=0))[rated].max()
    require(apart < 0.1, f"other candidates' means are {apart:.3f} off")


def check_single_class(estimator: Estimator) -> None:
    """Labels that are all one are learned."""
    queries, Y, candidates = _data(200, 2)
    predicted = _fit(estimator, queries, np.ones_like(Y)).predict(queries, candidates)
    require(bool((predicted > 0.9).all()), f"all labels are 1, predicted {predicted.min():.3f}")


def check_few_labels(estimator: Estimator) -> None:
    """A handful of labels is little, not an error."""
    queries, Y, candidates = _data(40, 3)
    Y[np.random.default_rng(5).random(Y.shape) < 0.8] = np.nan
    predicted = _fit(estimator, queries, Y).predict(queries, candidates)
    require(bool(np.isfinite(predicted).all()), "few labels must still give finite predictions")


def check_no_worse_than_constants(estimator: Estimator) -> None:
    """On fresh queries of an easy world, squared error is at most that of the means."""
    queries, Y, candidates = _data(800, 3)
    fresh = example_batch(800, random_state=11)
    truth = example_labels(fresh, 3, random_state=12)
    if isinstance(estimator, AmountEstimator):  # of numbers well above zero, such as tokens
        Y, truth = 50.0 + 100.0 * Y, 50.0 + 100.0 * truth
    predicted = _fit(estimator, queries, Y).predict(fresh, candidates)
    error, constant = ((p - truth) ** 2 for p in (predicted, np.tile(Y.mean(axis=0), (800, 1))))
    ratio = error.mean() / constant.mean()
    require(ratio < 1.02, f"squared error is {ratio:.3f} times that of the candidates' means")


def check_pseudo_outcomes(estimator: Estimator) -> None:
    """Targets far outside [0, 1] whose mean is right, as DR pseudo-outcomes are, are learned."""
    queries, Y, candidates = _data(2_000, 3)
    # Every cell was served with probability 0.4, and what served weighs 2.5 times its residual.
    served = np.random.default_rng(13).random(Y.shape) < 0.4
    pseudo = np.where(served, 0.5 + 2.5 * (Y - 0.5), 0.5)
    raised = 1.0 if isinstance(estimator, AmountEstimator) else 0.0  # which are not negative
    fresh = example_batch(2_000, random_state=14)
    predicted = _fit(estimator, queries, pseudo + raised).predict(fresh, candidates) - raised
    require(bool(np.isfinite(predicted).all()), "pseudo-outcomes must give finite predictions")
    apart = np.abs(predicted.mean(axis=0) - Y.mean(axis=0)).max()
    require(apart < 0.06, f"pseudo-outcomes moved a candidate's mean quality by {apart:.3f}")


def _data(n: int, k: int) -> tuple[QueryBatch, FloatArray, CandidateTable]:
    queries = example_batch(n)
    return queries, example_labels(queries, k), example_candidates(k)


def _fit(estimator: Estimator, queries: QueryBatch, Y: FloatArray) -> Estimator:
    return estimator.clone().fit(queries, Y, candidates=example_candidates(Y.shape[1]))
