from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import orjson
import pytest

from pipelines.config import JoinConfig
from pipelines.stages.join import run
from router_ml.data.outcomes import TrainingTable, read_outcomes, to_matrices
from router_ml.evaluation.off_policy.estimators import doubly_robust, ipw
from router_ml.evaluation.off_policy.log_feedback import feedback, largest_weight
from tests.dirty_decisions import CANDIDATES, decision
from tests.dirty_decisions import feedback as report

N = 4_000
ALWAYS = np.tile([0.0, 1.0], (N, 1))


def _log(folder: pytest.TempPathFactory, offered: Callable[[int], bool]) -> TrainingTable:
    """``small`` is always wrong, ``medium`` always right where it is offered."""
    path = folder.mktemp("offered")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(N):
        both = offered(i)
        name = CANDIDATES[int(rng.integers(2))] if both else CANDIDATES[0]
        probs = [0.5, 0.5] if both else [1.0]
        row = decision(i, candidate=name, propensity=probs[0], action_probs=probs)
        row["candidates"] = list(CANDIDATES[: len(probs)])
        rows += [row, report(i, quality=float(name == CANDIDATES[1]))]
    (path / "decisions-1.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)) + b"\n")
    (path / "prices.csv").write_text(
        "candidate,valid_from,valid_to,input_usd_per_mtok,output_usd_per_mtok\n"
        "small,,,1,4\nmedium,,,2,8\n"
    )
    joined = run(
        JoinConfig(decisions=(str(path),), prices=(str(path / "prices.csv"),), output=path / "out")
    )
    return to_matrices(read_outcomes(joined), CANDIDATES[:2])


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> TrainingTable:
    """``medium`` is added after three quarters of the log."""
    return _log(tmp_path_factory, lambda i: i >= 3 * N // 4)


def test_a_newcomer_is_not_judged_by_the_guess_for_requests_before_it(
    newcomer: TrainingTable,
) -> None:
    quality, cost_usd = feedback(newcomer)
    mine = newcomer.served == 1
    for log, value in ((quality, 1.0), (cost_usd, float(np.nanmean(newcomer.cost_usd[mine])))):
        for guess in (0.0, 2.0):  # however wrong the prediction is; DR shrinks its weights
            estimate = doubly_robust(log, ALWAYS, np.full((N, 2), guess * value))
            assert estimate.value == pytest.approx(value, rel=0.2)
        assert ipw(log, ALWAYS).value == pytest.approx(value, rel=0.1)


def test_estimated_propensities_know_of_the_absence_already(newcomer: TrainingTable) -> None:
    propensity = newcomer.propensity.copy()
    propensity[0] = np.nan
    quality, cost_usd = feedback(replace(newcomer, propensity=propensity), estimate=True)
    assert quality.propensity_source == "estimated"
    cost = float(np.nanmean(newcomer.cost_usd[newcomer.served == 1]))
    for log, value in ((quality, 1.0), (cost_usd, cost)):  # not four times that
        assert ipw(log, ALWAYS).value == pytest.approx(value, rel=0.3)


def test_what_single_requests_rule_out_is_no_absence(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A policy that plays ``medium`` where it is allowed is right as often as it is allowed."""
    table = _log(tmp_path_factory, lambda i: i % 4 == 0)
    where = table.eligible[:, 1].astype(float)
    quality, _ = feedback(table)
    probs = np.column_stack([1.0 - where, where])
    assert ipw(quality, probs).value == pytest.approx(0.25, rel=0.1)
    assert doubly_robust(quality, probs, np.full((N, 2), 0.5)).value == pytest.approx(0.25, rel=0.1)


def test_only_what_may_be_played_has_a_weight(newcomer: TrainingTable) -> None:
    quality, _ = feedback(newcomer)
    assert largest_weight(quality) == pytest.approx(8.0, rel=0.05)
    assert largest_weight(quality, np.array([0])) == pytest.approx(2.0, rel=0.05)
