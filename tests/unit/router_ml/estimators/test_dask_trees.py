from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from router_ml.checks.examples import example_batch, example_candidates, example_labels
from router_ml.estimators import dask_trees
from router_ml.estimators.registry import make_estimator

pytestmark = [
    pytest.mark.slow,
    # LightGBM's own module for Dask, as it starts its workers' ports.
    pytest.mark.filterwarnings("ignore:Parameter .* will be ignored:UserWarning"),
]


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    from dask.distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def test_trees_of_two_workers_are_as_good_as_those_grown_here(
    scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_trees, "CHUNK_ROWS", 500)
    batch, candidates = example_batch(2_000), example_candidates(3)
    Y = example_labels(batch, 3)
    Y[:1_000, 2] = np.nan
    wanted = {"name": "lightgbm", "n_trees": 15, "n_dims": 4}
    here = make_estimator(wanted).fit(batch, Y, candidates=candidates)
    there = make_estimator({**wanted, "scheduler": scheduler})
    there.fit(batch, Y, candidates=candidates)
    seen = ~np.isnan(Y)
    errors = [
        float(np.square(fitted.predict(batch, candidates) - Y)[seen].mean())
        for fitted in (here, there)
    ]
    constant = float(np.square(Y - np.nanmean(Y, axis=0))[seen].mean())
    assert errors[0] < 0.9 * constant
    assert errors[1] == pytest.approx(errors[0], rel=0.05)
    assert len(there.get_state().texts) == 4
