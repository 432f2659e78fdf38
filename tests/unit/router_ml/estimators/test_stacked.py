"""Estimators made of estimators: specs, stacks, students."""

import numpy as np
import pytest

from router_ml.checks.examples import example_batch, example_candidates, example_labels
from router_ml.errors import ConfigError
from router_ml.estimators import stacked
from router_ml.estimators.auto import AutoEstimator
from router_ml.estimators.base import load_estimator
from router_ml.estimators.distillation import DistilledEstimator
from router_ml.estimators.effects import Effects
from router_ml.estimators.linear import LinearEstimator
from router_ml.estimators.specs import as_spec
from router_ml.estimators.stacked import StackedQuality
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch

TABLE = CandidateTable.from_prices({"a": (1.0, 1.0), "b": (2.0, 2.0), "c": (3.0, 3.0)})


def test_noise_leaves_the_constants() -> None:
    queries = example_batch(400, random_state=0)
    Y = (np.random.default_rng(3).random((400, 3)) < [0.4, 0.6, 0.8]).astype(float)
    stack = StackedQuality(members={"linear": {"name": "linear"}}).fit(queries, Y, candidates=TABLE)
    predicted = stack.predict(queries, TABLE)
    assert np.abs(predicted - Y.mean(axis=0)).max() < 0.2
    assert (predicted.argmax(axis=1) == 2).mean() > 0.95


def test_no_member_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one member"):
        StackedQuality(members={}).fit(example_batch(20), np.ones((20, 3)), candidates=TABLE)


def test_a_student_needs_no_teacher_in_its_state() -> None:
    queries = example_batch(120, random_state=2)
    Y = np.random.default_rng(4).random((120, 3))
    Y[::2, 1] = np.nan
    model = DistilledEstimator(teacher={"name": "linear"}, student={"name": "linear"})
    state = model.fit(queries, Y, candidates=TABLE).get_state()
    assert set(state.children) == {"student"}
    assert as_spec(model) == {"name": "distilled", **model.get_params(deep=False)}


def test_auto_says_when_nothing_fits() -> None:
    with pytest.raises(ConfigError, match="raise an allowance"):
        AutoEstimator(score_ms=0.0).choose(1_000, 3)


@pytest.mark.parametrize(
    ("to_judge", "fits"), [(40, [200]), (100, [200] * 3 + [240]), (500, [200] * 6 + [240])]
)
def test_a_costly_member_is_fitted_as_often_as_judging_takes(
    to_judge: int, fits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, candidates = example_batch(240), example_candidates(3)
    Y = example_labels(queries, 3)
    sizes: list[int] = []
    learn = LinearEstimator.fit_effects

    def counted(self: LinearEstimator, queries: QueryBatch, effects: Effects) -> None:
        sizes.append(len(queries))
        learn(self, queries, effects)

    monkeypatch.setattr(LinearEstimator, "fit_effects", counted)
    monkeypatch.setattr(LinearEstimator, "costly", True)
    monkeypatch.setattr(stacked, "MIN_JUDGED", to_judge)
    monkeypatch.setattr(stacked, "MIN_Z", -np.inf)  # it is worth its price
    members = {"dear": {"name": "linear"}, "knn": {"name": "knn"}}
    model = StackedQuality(members=members, n_folds=6).fit(queries, Y, candidates=candidates)
    assert sizes == fits
    assert (model.oof_ is not None) == (len(fits) > 6)
    twin = load_estimator(model.get_state())
    assert np.array_equal(twin.predict(queries, candidates), model.predict(queries, candidates))


@pytest.mark.parametrize("to_judge", [300, 600, 10_000])
@pytest.mark.parametrize("useful", [True, False])
def test_a_costly_member_must_be_worth_it(
    to_judge: int, useful: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, candidates = example_batch(1_200), example_candidates(3)
    Y = example_labels(queries, 3)
    if not useful:  # whatever it learns is noise
        Y = Y[np.random.default_rng(0).permutation(len(Y))]
    monkeypatch.setattr(LinearEstimator, "costly", True)
    monkeypatch.setattr(stacked, "MIN_JUDGED", to_judge)
    members = {"dear": {"name": "linear"}, "constant": {"name": "constant"}}
    model = StackedQuality(members=members).fit(queries, Y, candidates=candidates)
    assert ("dear" in model.members_) == useful
    assert (model.report_["costly_z"] >= stacked.MIN_Z) == useful
