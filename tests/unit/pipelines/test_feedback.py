from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson
import pytest

from pipelines.config import JoinConfig
from pipelines.feedback import feedback
from pipelines.join import run
from pipelines.tables import TrainingTable, read_outcomes, to_matrices
from router_ml.evaluation.off_policy.estimators import doubly_robust, ipw
from tests.dirty_decisions import CANDIDATES, decision
from tests.dirty_decisions import feedback as report

N = 4_000


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> TrainingTable:
    """``medium``, always right, is added after three quarters of the log."""
    folder = tmp_path_factory.mktemp("newcomer")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(N):
        late = i >= 3 * N // 4
        name = CANDIDATES[int(rng.integers(2))] if late else CANDIDATES[0]
        probs = [0.5, 0.5] if late else [1.0]
        row = decision(i, candidate=name, propensity=probs[0], action_probs=probs)
        row["candidates"] = list(CANDIDATES[: len(probs)])
        rows += [row, report(i, quality=float(name == CANDIDATES[1]))]
    (folder / "decisions-1.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)) + b"\n")
    (folder / "prices.csv").write_text(
        "candidate,valid_from,valid_to,input_usd_per_mtok,output_usd_per_mtok\n"
        "small,,,1,4\nmedium,,,2,8\n"
    )
    joined = run(
        JoinConfig(
            decisions=(str(folder),), prices=(str(folder / "prices.csv"),), output=folder / "out"
        )
    )
    return to_matrices(read_outcomes(joined), CANDIDATES[:2])


def test_a_newcomer_is_not_judged_by_the_guess_for_requests_before_it(table: TrainingTable) -> None:
    assert table.eligible.mean(axis=0) == pytest.approx([1.0, 0.25])
    always = np.tile([0.0, 1.0], (N, 1))
    quality, cost_usd = feedback(table)
    for log, truth in ((quality, 1.0), (cost_usd, None)):
        served = table.served == 1
        value = float(np.nanmean(log.outcome[served])) if truth is None else truth
        for guess in (0.0, 2.0):  # however wrong the prediction is; DR shrinks its weights
            estimate = doubly_robust(log, always, np.full((N, 2), guess * value))
            assert estimate.value == pytest.approx(value, rel=0.2)
        assert ipw(log, always).value == pytest.approx(value, rel=0.1)


def test_without_logged_candidates_every_request_was_offered_all(table: TrainingTable) -> None:
    everything = np.ones_like(table.eligible)
    unknown = replace(table, eligible=everything, current=everything)
    always = np.tile([0.0, 1.0], (N, 1))
    assert ipw(feedback(unknown)[0], always).value == pytest.approx(0.25, rel=0.1)
