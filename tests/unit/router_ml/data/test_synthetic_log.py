from __future__ import annotations

import csv
import gzip
from pathlib import Path

import orjson
import pyarrow.parquet as pq

from router_ml.data.synthetic_log import DUPLICATES, ORPHANS, write_world


def test_the_files_agree_with_each_other(tmp_path: Path) -> None:
    folder = write_world(tmp_path, n_queries=60, n_requests=300, n_candidates=4, random_state=1)
    with gzip.open(folder / "requests.jsonl.gz") as file:
        requests = [orjson.loads(line) for line in file]
    prices = orjson.loads((folder / "prices.json").read_bytes())
    truth = {
        (row["query_id"], row["candidate"]): row
        for row in pq.read_table(folder / "matrix.parquet").to_pylist()
    }
    with (folder / "labels.csv").open() as file:
        labels = list(csv.DictReader(file))

    assert len(requests) == 300
    assert len(truth) == 60 * 4
    by_id = {row["id"]: row for row in requests}
    for row in requests:
        cell = truth[row["metadata"]["query_id"], row["model"]]
        price = prices[row["model"]]
        cost = (
            row["prompt_tokens"] * price["input_cost_per_token"]
            + row["completion_tokens"] * price["output_cost_per_token"]
        )
        assert abs(cost - cell["cost_usd"]) < 1e-12
        assert 0.0 < row["metadata"]["router"]["propensity"] <= 1.0
        assert row["messages"][0]["content"] == cell["prompt"]
    known = [row for row in labels if row["request_id"] in by_id]
    assert len(labels) - len(known) == ORPHANS
    assert len(known) - len({tuple(row.values()) for row in known}) == DUPLICATES
    for row in known:
        request = by_id[row["request_id"]]
        cell = truth[request["metadata"]["query_id"], request["model"]]
        if row["name"] == "exact_match":
            assert bool(int(row["value"])) == cell["correct"]
