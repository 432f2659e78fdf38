from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from pipelines.config import JoinConfig
from pipelines.stages.join import run
from router_ml.data.changes import at_current_prices, changes_from, void_outdated
from router_ml.data.outcomes import TrainingTable, read_outcomes, to_matrices
from router_ml.evaluation.off_policy.log_feedback import feedback
from router_ml.learning.changes import find_changes
from tests.dirty_decisions import CANDIDATES, START, decision
from tests.dirty_decisions import feedback as report

N = 600
NEW_PRICE = "2026-03-01T12:05:00"


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of two candidates; ``small`` is right before the 400th request, wrong after it."""
    folder = tmp_path_factory.mktemp("changes")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(N):
        name = CANDIDATES[int(rng.integers(2))]
        right = rng.random() < (0.9 if name == "medium" or i < 400 else 0.3)
        rows.append(decision(i, candidate=name, propensity=0.5, action_probs=[0.5, 0.5, 0.0]))
        if i % 3:
            rows.append(report(i, quality=float(right)))
    (folder / "decisions-1.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)) + b"\n")
    (folder / "prices.csv").write_text(
        "candidate,valid_from,valid_to,input_usd_per_mtok,output_usd_per_mtok\n"
        f"small,,{NEW_PRICE},1,4\nsmall,{NEW_PRICE},,3,12\nmedium,,,2,8\n"
    )
    config = JoinConfig(
        decisions=(str(folder),), prices=(str(folder / "prices.csv"),), output=folder / "out"
    )
    return run(config)


@pytest.fixture
def table(joined: Path) -> TrainingTable:
    return to_matrices(read_outcomes(joined), CANDIDATES[:2])


def test_the_candidate_that_changed_is_found_with_its_time(table: TrainingTable) -> None:
    (change,) = find_changes(table, np.zeros((N, 1)))
    assert change.candidate == "small"
    seconds = (change.time - np.datetime64(START, "us")) / np.timedelta64(1, "s")
    assert 385 <= seconds <= 415
    assert changes_from([change.as_dict()]) == (change,)


def test_a_change_of_the_queries_is_no_change_of_the_candidate(table: TrainingTable) -> None:
    hard = np.arange(N) >= 400
    quality = np.where(hard, 0.3, 0.9)
    drawn = (np.random.default_rng(1).random(N) < quality).astype(float)
    labelled = np.isfinite(table.quality)
    Y = np.full((N, 2), np.nan)
    Y[np.arange(N), table.served] = np.where(labelled, drawn, np.nan)
    queries = ((hard - hard.mean()) / hard.std())[:, None]
    assert find_changes(replace(table, Y=Y), queries) == ()
    assert len(find_changes(replace(table, Y=Y), np.zeros((N, 1)))) == 2


def test_outdated_labels_count_as_not_offered_and_nothing_else_changes(
    table: TrainingTable,
) -> None:
    changes = find_changes(table, np.zeros((N, 1)))
    voided = void_outdated(table, changes)
    old = (table.served == 0) & (table.time < changes[0].time)
    assert np.isnan(voided.quality[old]).all()
    assert (voided.weight[old] == 0.0).all()
    assert np.array_equal(voided.quality[~old], table.quality[~old], equal_nan=True)
    assert len(voided) == len(table)
    assert np.array_equal(voided.outdated[:, 0], table.time < changes[0].time)
    assert not voided.outdated[:, 1].any()
    # of `small` a third of the requests can say something, and two thirds of those are labelled
    quality, cost = feedback(voided)
    small, medium = (quality.label_prob[table.served == k].mean() for k in (0, 1))
    assert small == pytest.approx(2 / 9, abs=0.07)
    assert medium == pytest.approx(2 / 3, abs=0.07)
    assert np.ptp(quality.label_prob[(table.served == 0) & ~old]) < 0.05
    # costs are known for two thirds as well: feedback brings the tokens
    assert cost.label_prob.mean() == pytest.approx(2 / 3, abs=0.02)


def test_a_repriced_candidate_is_judged_at_what_it_costs_now(
    table: TrainingTable, joined: Path
) -> None:
    now = at_current_prices(table, joined)
    known = np.isfinite(table.cost_usd)
    early = table.time < np.datetime64(NEW_PRICE)
    first, other = table.served == 0, table.served == 1
    assert table.cost_usd[known & first & early] == pytest.approx(140e-6)
    assert now.cost_usd[known & first] == pytest.approx(420e-6)
    assert np.array_equal(now.cost_usd[other], table.cost_usd[other], equal_nan=True)
    assert np.array_equal(np.isnan(now.cost_usd), np.isnan(table.cost_usd))
