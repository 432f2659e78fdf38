from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pipelines.benchmarks.scale import run


def test_sizes_are_measured_beside_those_that_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.benchmarks.join.PART_ROWS", 1_000)
    out = tmp_path / "scale.json"
    out.write_bytes(orjson.dumps({"workloads": {"join-7": {"methods": {}}}}))
    said: list[str] = []
    run(out, sizes=[2_500], repeats=1, folder=tmp_path, say=said.append)
    results = orjson.loads(out.read_bytes())
    assert list(results["workloads"]) == ["join-7", "join-2500"]
    measured = results["workloads"]["join-2500"]["methods"]["duckdb-2000mb"]
    for name in ("seconds", "processor_s", "peak_mb", "outcomes_mb"):
        assert measured[name]["value"] > 0
        assert measured[name]["n"] == 1
    assert measured["peak_mb"]["value"] > 100
    assert any(name.startswith("step_") for name in measured)
    assert results["machine"]["cores"]
    assert said[0].startswith("2,500 requests on duckdb: ")
    assert list(tmp_path.iterdir()) == [out]
