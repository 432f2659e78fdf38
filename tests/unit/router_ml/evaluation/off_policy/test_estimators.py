from __future__ import annotations

import numpy as np
import pytest

from router_ml.data.groups import group_folds
from router_ml.data.synthetic import SyntheticLog, SyntheticQueries, SyntheticWorld
from router_ml.errors import ConfigError, DataError, OverlapError, SchemaError
from router_ml.evaluation.off_policy.estimators import direct_method, doubly_robust, ipw, snips
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.nuisance import (
    cross_fit,
    estimate_label_prob,
    estimate_propensities,
    outcome_model,
)
from router_ml.evaluation.off_policy.overlap import overlap, require_overlap
from router_ml.evaluation.off_policy.shrinkage import shrunken_doubly_robust
from router_ml.types.arrays import FloatArray, IntArray


@pytest.fixture(scope="module")
def world() -> SyntheticWorld:
    return SyntheticWorld(n_candidates=4, random_state=1)


def feedback(log: SyntheticLog) -> LoggedFeedback:
    return LoggedFeedback(log.action, log.propensity, log.quality, log.label_prob)


def nuisance(queries: SyntheticQueries, log: SyntheticLog) -> FloatArray:
    features = queries.covariates[log.query] - queries.covariates.mean(axis=0)
    seen = np.isfinite(log.quality)

    def fit_predict(train: IntArray, test: IntArray) -> FloatArray:
        rows = train[seen[train]]
        weights = np.minimum(1.0 / (log.propensity * log.label_prob)[rows], 50.0)
        predict = outcome_model(
            features[rows],
            log.action[rows],
            log.quality[rows],
            4,
            weights=weights,
            shared_penalty=3.0,
            own_penalty=5.0,
        )
        return predict(features[test])

    return cross_fit(log.query, fit_predict)


def test_estimators_find_the_truth_where_the_naive_mean_does_not(world: SyntheticWorld) -> None:
    """Strong, covariate-driven selection and labels missing at random given what is logged."""
    errors: dict[str, list[float]] = {}
    for seed in range(20):
        queries = world.sample(4_000, random_state=seed)
        log = world.log(queries, label_share=0.5, missing="mar", random_state=100 + seed)
        data, predicted = feedback(log), nuisance(queries, log)
        probs = np.tile(np.eye(4)[3], (4_000, 1))
        truth = queries.quality[:, 3].mean()
        naive = float(np.nanmean(log.quality[log.action == 3]))
        for name, value in {
            "naive": naive,
            "ipw": ipw(data, probs).value,
            "snips": snips(data, probs).value,
            "dr": doubly_robust(data, probs, predicted).value,
            "dr_sn": doubly_robust(data, probs, predicted, self_normalised=True).value,
        }.items():
            errors.setdefault(name, []).append(value - truth)
    bias = {name: float(np.mean(error)) for name, error in errors.items()}
    standard_error = {name: float(np.std(e) / np.sqrt(len(e))) for name, e in errors.items()}
    rmse = {name: float(np.sqrt(np.mean(np.square(e)))) for name, e in errors.items()}
    assert abs(bias["naive"]) > 10 * standard_error["naive"]
    for name in ("ipw", "snips", "dr", "dr_sn"):
        assert abs(bias[name]) < 4 * standard_error[name] + 1e-3, name
    assert rmse["dr"] < rmse["ipw"]
    assert rmse["dr_sn"] <= 1.05 * rmse["snips"]


def test_standard_error_and_bootstrap_agree(world: SyntheticWorld) -> None:
    queries = world.sample(3_000, random_state=3)
    log = world.log(queries, behavior="skewed")
    probs = world.behavior_probs(queries, "uniform")
    data, predicted = feedback(log), nuisance(queries, log)
    for rows in (
        snips(data, probs),
        ipw(data, probs),
        doubly_robust(data, probs, predicted),
        doubly_robust(data, probs, predicted, self_normalised=True),
        direct_method(data, probs, predicted),
    ):
        estimate = rows.bootstrap(n_resamples=1_000)
        wilson = rows.wilson()
        assert wilson.low < rows.value < wilson.high
        assert wilson.half_width > 1.9 * rows.standard_error()
        assert estimate.low < rows.value < estimate.high
        assert estimate.half_width == pytest.approx(1.96 * rows.standard_error(), rel=0.12)
        assert rows.influence.mean() == pytest.approx(rows.value)


def test_estimated_propensities_and_label_probs_recover_the_truth(world: SyntheticWorld) -> None:
    queries = world.sample(8_000, random_state=4)
    log = world.log(queries, behavior="covariate", label_share=0.5, missing="mar")
    probs = estimate_propensities(queries.covariates, log.action, 4, log.query)
    assert np.allclose(probs.sum(axis=1), 1.0, atol=2e-3)
    assert np.abs(probs - log.action_probs).mean() < 0.03
    assert np.allclose(probs.mean(axis=0), np.bincount(log.action) / 8_000, atol=0.01)
    features = np.column_stack([queries.covariates, np.eye(4)[log.action]])
    label_prob = estimate_label_prob(features, np.isfinite(log.quality), log.query)
    assert np.abs(label_prob - log.label_prob).mean() < 0.06


def test_folds_keep_groups_together_and_cross_fitting_never_sees_them() -> None:
    group = np.repeat(np.arange(30), 3)
    fold = group_folds(group, n_folds=5)
    assert all(len(set(fold[group == g])) == 1 for g in range(30))
    assert np.bincount(fold).tolist() == [18] * 5

    def fit_predict(train: IntArray, test: IntArray) -> FloatArray:
        assert not set(group[train]) & set(group[test])
        return np.full((len(test), 2), float(len(train)))

    assert np.all(cross_fit(group, fit_predict) == 72.0)
    with pytest.raises(DataError, match="5 folds need as many groups, got 3"):
        cross_fit(np.arange(3), lambda train, test: test.astype(float), n_folds=5)


def test_overlap_names_candidates_and_regions(world: SyntheticWorld) -> None:
    queries = world.sample(2_000, random_state=5)
    probs = world.behavior_probs(queries, "uniform")
    hard = queries.covariates[:, -1] > 0.5
    probs[hard, 2] = 0.0
    probs /= probs.sum(axis=1, keepdims=True)
    log = feedback(world.log(queries, behavior=probs))
    policy = np.tile(np.eye(4)[2], (2_000, 1))
    diagnosis = overlap(
        log,
        policy,
        candidates=("a", "b", "c", "d"),
        region=hard.astype(int),
        regions=("easy", "hard"),
    )
    assert diagnosis.unsupported.tolist() == [[False] * 4, [False, False, True, False]]
    assert diagnosis.unsupported_mass == pytest.approx(hard.mean())
    with pytest.raises(OverlapError, match=r"c in hard: .* 0 labelled rows"):
        require_overlap(diagnosis)
    require_overlap(diagnosis, max_unsupported=0.9)
    fine = overlap(log, probs, candidates=("a", "b", "c", "d"))
    assert not fine.unsupported.any()
    assert fine.effective_sample_size == pytest.approx(2_000)


def test_bad_logs_are_refused() -> None:
    with pytest.raises(OverlapError, match=r"propensity must be in \(0, 1\], got 0.0 in row 1"):
        LoggedFeedback(np.array([0, 1]), np.array([1.0, 0.0]), np.zeros(2))
    with pytest.raises(SchemaError, match="every column of a log"):
        LoggedFeedback(np.array([0, 1]), np.ones(2), np.zeros(3))
    log = LoggedFeedback(np.array([0, 0]), np.ones(2), np.zeros(2))
    with pytest.raises(OverlapError, match="no labelled row"):
        snips(log, np.eye(2)[[1, 1]])
    with pytest.raises(ConfigError, match="clip or switch"):
        doubly_robust(log, np.eye(2), np.eye(2), clip=1.0, switch=1.0)
    with pytest.raises(SchemaError, match="must both be"):
        direct_method(log, np.eye(2), np.ones((2, 3)))


def test_what_is_known_of_every_row_is_not_shrunken_towards_predictions() -> None:
    rng = np.random.default_rng(0)
    paid = rng.exponential(2.0, 400)
    log = LoggedFeedback(np.zeros(400, dtype=int), np.ones(400), paid)
    today, predicted = np.tile([1.0, 0.0], (400, 1)), np.full((400, 2), 2.0)
    found = shrunken_doubly_robust(log, today, predicted)
    assert found.value == pytest.approx(paid.mean(), rel=1e-12)
