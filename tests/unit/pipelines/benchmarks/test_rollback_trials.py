from __future__ import annotations

from pathlib import Path

import orjson

from pipelines.benchmarks import rollback_trials


def test_a_collapse_is_always_rolled_back_and_equals_almost_never(tmp_path: Path) -> None:
    out = rollback_trials.run(tmp_path / "rollback.json", n_trials=40)
    workload = orjson.loads(out.read_bytes())["workloads"]["explores 0.2"]["methods"]
    assert workload["loses 0"]["rolled_back"]["value"] <= 0.125  # 5 of 40 at 2.5 %: one in 2,000
    assert workload["loses 0.4"]["rolled_back"]["value"] == 1.0
    assert workload["loses 0.4"]["labelled_requests"]["value"] <= 500.0
