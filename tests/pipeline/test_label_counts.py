"""A label of k trials is k labels of one, from the file to what is trained on."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.artifacts import read_training_table
from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
from router_ml.data.outcomes import read_outcomes
from router_ml.errors import JoinError
from tests.dirty_log import START, request

N = 60
TOLD = ["request_id", "quality", "label_weight", "n_trials", "n_success", "label_source"]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counts")
    rows = [request(i, messages=[{"role": "user", "content": f"Prompt {i}"}]) for i in range(N)]
    (folder / "requests.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    prices = {
        name: {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6}
        for name in ("small", "medium", "large")
    }
    (folder / "prices.json").write_text(json.dumps(prices))
    return folder


def label(i: int, second: int = 0, **values: Any) -> dict[str, Any]:
    time = START.replace(second=second).isoformat()
    return {
        "request_id": f"req-{i:05d}",
        "name": "runs",
        "source": "checker",
        "time": time,
    } | values


def joined(log: Path, name: str, labels: list[dict[str, Any]], **changes: Any) -> Path:
    path = log / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(labels), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(labels[0]))
            writer.writeheader()
            writer.writerows(labels)
    else:
        path.write_bytes(b"\n".join(map(orjson.dumps, labels)))
    values = {
        "requests": str(log / "requests.jsonl"),
        "prices": str(log / "prices.json"),
        "labels": str(path),
        "output": log / f"joined-{name}",
        **changes,
    }
    return run(load_config(JoinConfig, overrides=values))


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_repeated_rows_are_one_row_with_counts(log: Path, kind: str) -> None:
    rng = np.random.default_rng(7)
    trials = rng.integers(1, 9, N)
    success = rng.binomial(trials, 0.6)
    counted = [label(i, n_trials=int(trials[i]), n_success=int(success[i])) for i in range(N)]
    repeated = [
        label(i, second=t, value=float(t < success[i])) for i in range(N) for t in range(trials[i])
    ]
    once = joined(log, f"counted.{kind}", counted)
    often = joined(log, f"repeated.{kind}", repeated)
    pd.testing.assert_frame_equal(read_outcomes(once)[TOLD], read_outcomes(often)[TOLD])
    frame = read_outcomes(once).set_index("request_id").loc[[r["request_id"] for r in counted]]
    np.testing.assert_array_equal(frame["n_trials"], trials)
    np.testing.assert_allclose(frame["n_success"], success)
    np.testing.assert_allclose(frame["quality"], success / trials)
    np.testing.assert_allclose(frame["label_weight"], trials)
    tables = [read_training_table(folder)[0] for folder in (once, often)]
    np.testing.assert_array_equal(tables[0].weight, tables[1].weight)
    np.testing.assert_array_equal(tables[0].quality, tables[1].quality)


def test_a_mean_of_trials_weighs_as_many(log: Path) -> None:
    """Golden, by hand: (4 * 0.75 + 1 * 0) / 5; a range is for values, never for counts."""
    rows = [
        label(0, value=3.25, n_trials=4),
        label(0, 1, value=1.0),
        label(1, n_trials=3, n_success=2),
    ]
    frame = read_outcomes(
        joined(log, "graded.jsonl", rows, label_ranges="{runs: [1, 4]}")
    ).set_index("request_id")
    first = frame.loc["req-00000"]
    assert first["quality"] == pytest.approx(0.6)
    assert (first["n_trials"], first["n_success"], first["label_weight"]) == (5, 3.0, 5.0)
    assert frame.loc["req-00001", "quality"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({"n_success": 2}, "missing_n_trials"),
        ({"n_trials": 0, "n_success": 0}, "invalid_n_trials"),
        ({"n_trials": 2, "n_success": 3}, "invalid_n_success"),
        ({"n_trials": 2, "n_success": -1}, "invalid_n_success"),
        ({"n_trials": 2.5, "n_success": 1}, "unreadable_n_trials"),
        ({"n_trials": 2}, "missing_value"),
    ],
)
def test_wrong_counts_are_rejected_with_a_reason(
    log: Path, counts: dict[str, Any], reason: str
) -> None:
    with pytest.raises(JoinError, match=reason):
        joined(log, "wrong.jsonl", [label(0, **counts)])


def test_outcomes_of_earlier_releases_are_read(log: Path) -> None:
    folder = joined(log, "earlier.jsonl", [label(0, value=1.0)])
    path = folder / "outcomes.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["n_trials", "n_success"]), path)
    frame = read_outcomes(folder)
    assert frame["n_trials"].isna().all()
    assert frame["quality"].notna().sum() == 1
