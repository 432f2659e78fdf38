from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from pipelines.benchmarks.join import benchmark
from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import load_steps, run
from router_ml.data.outcomes import read_candidates, read_outcomes, to_matrices
from router_ml.data.schemas import REQUESTS
from router_ml.errors import JoinError, SchemaError
from tests.dirty_log import START, request

DATA = os.environ.get("ROUTER_ML_DATA")
PRICES = {
    name: {"input_cost_per_token": 1e-6 * k, "output_cost_per_token": 4e-6 * k}
    for k, name in enumerate(("small", "medium", "large"), start=1)
}


def write_log(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "requests.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    (folder / "prices.json").write_bytes(orjson.dumps(PRICES))
    return folder


def join(folder: Path, output: str = "joined", **changes: Any) -> Path:
    values = {
        "requests": str(folder / "requests.jsonl"),
        "prices": str(folder / "prices.json"),
        "output": folder / output,
        **changes,
    }
    return run(load_config(JoinConfig, overrides=values))


def report(folder: Path) -> Any:
    return orjson.loads((folder / "report.json").read_bytes())


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean log of 900 requests, 300 prompts, with labels of the first 200."""
    folder = write_log(
        tmp_path_factory.mktemp("clean"),
        [
            request(i, messages=[{"role": "user", "content": f"Prompt {i % 300}"}])
            for i in range(900)
        ],
    )
    labels = [
        {"request_id": f"req-{i:05d}", "name": "exact", "value": i % 3 == 0, "source": "checker"}
        | {"time": START.isoformat()}
        for i in range(200)
    ]
    (folder / "labels.jsonl").write_bytes(b"\n".join(map(orjson.dumps, labels)))
    return join(folder, labels=str(folder / "labels.jsonl"))


def test_steps_are_common_sql_without_casts_of_one_engine() -> None:
    steps = load_steps()
    assert len({step.name for step in steps}) == len(steps)
    for step in steps:
        assert "::" not in step.sql
        assert "read_parquet" not in step.sql.lower()


def test_canonical_parquet_gives_the_same_outcomes(joined: Path, tmp_path: Path) -> None:
    table = pq.read_table(joined / "outcomes.parquet", columns=list(REQUESTS.names))
    table = table.drop_columns(["cost_usd", "decision_id"])
    pq.write_table(table, tmp_path / "requests.parquet")
    labels = joined.parent / "labels.jsonl"
    rows = [orjson.loads(line) for line in labels.read_bytes().splitlines()]
    typed = pa.Table.from_pylist([row | {"value": float(row["value"])} for row in rows])
    pq.write_table(typed, tmp_path / "labels.parquet")
    write_log(tmp_path, [])
    again = join(
        tmp_path,
        requests=str(tmp_path / "requests.parquet"),
        labels=str(tmp_path / "labels.parquet"),
    )
    pd.testing.assert_frame_equal(read_outcomes(again), read_outcomes(joined))
    bare = tmp_path / "bare.parquet"  # without hashes: the text is read and hashed
    pq.write_table(table.drop_columns(["query_id", "group_id", "status"]), bare)
    unhashed = join(tmp_path, "unhashed", requests=str(bare), labels=str(labels))
    pd.testing.assert_frame_equal(read_outcomes(unhashed), read_outcomes(joined))


def test_canonical_csv_is_read(joined: Path, tmp_path: Path) -> None:
    names = ["request_id", "time", "candidate_served", "query", "input_tokens", "output_tokens"]
    table = pq.read_table(joined / "outcomes.parquet", columns=[*names, "latency_ms", "group_id"])
    pacsv.write_csv(table, tmp_path / "requests.csv")
    write_log(tmp_path, [])
    frame = read_outcomes(join(tmp_path, requests=str(tmp_path / "requests.csv")))
    same = read_outcomes(joined)
    for column in ("request_id", "time", "group_id", "cost_usd", "split"):
        assert (frame[column] == same[column]).all()


def test_a_missing_column_or_another_type_is_refused(joined: Path, tmp_path: Path) -> None:
    table = pq.read_table(joined / "outcomes.parquet", columns=list(REQUESTS.names))
    write_log(tmp_path, [])
    path = tmp_path / "requests.parquet"
    pq.write_table(table.drop_columns(["output_tokens", "input_tokens"]), path)
    with pytest.raises(
        SchemaError, match=r"requests.parquet .*need the column input_tokens, output"
    ):
        join(tmp_path, requests=str(path))
    text = pa.array(["many"] * len(table))
    at = table.column_names.index("input_tokens")
    pq.write_table(table.set_column(at, "input_tokens", text), path)
    with pytest.raises(SchemaError, match="column input_tokens must be bigint, got VARCHAR"):
        join(tmp_path, requests=str(path))
    (tmp_path / "labels.csv").write_text("request_id,name,score\n", encoding="utf-8")
    with pytest.raises(SchemaError, match=r"labels.csv .*need the column value, source, time"):
        join(
            tmp_path, requests=str(joined / "outcomes.parquet"), labels=str(path.parent / "l*.csv")
        )
    path.write_bytes(b"not parquet at all")
    with pytest.raises(SchemaError, match=r"requests.parquet is not Parquet"):
        join(tmp_path, requests=str(path))


def test_label_columns_can_have_other_names(joined: Path, tmp_path: Path) -> None:
    write_log(tmp_path, [request(0)])
    line = "req-00000,stars,4,human,2026-03-01T13:00:00Z\n"
    (tmp_path / "labels.csv").write_text("rid,name,score,source,when\n" + line, encoding="utf-8")
    fields = {"request_id": "rid", "value": "score", "time": "when"}
    labels: dict[str, Any] = {
        "labels": str(tmp_path / "labels.csv"),
        "label_ranges": {"stars": [1, 5]},
    }
    frame = read_outcomes(join(tmp_path, **labels, label_fields=fields))
    assert frame["quality"].tolist() == [0.75]


def test_an_empty_log_is_refused(tmp_path: Path) -> None:
    write_log(tmp_path, [])
    with pytest.raises(SchemaError, match=r"requests.jsonl is empty"):
        join(tmp_path)
    (tmp_path / "requests.jsonl").write_text("\n\n", encoding="utf-8")
    with pytest.raises(SchemaError, match="requests: no row in"):
        join(tmp_path)


def test_labels_without_a_row_are_refused(tmp_path: Path) -> None:
    write_log(tmp_path, [request(0)])
    labels = tmp_path / "labels.csv"
    labels.write_text("request_id,name,value,source,time\n", encoding="utf-8")
    with pytest.raises(SchemaError, match=r"labels: no row in .*labels.csv; leave labels out"):
        join(tmp_path, labels=str(labels))
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(SchemaError, match=r"labels.parquet is not Parquet: .*; export it again"):
        join(tmp_path, labels=str(tmp_path / "labels.parquet"))
    (tmp_path / "prices.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(SchemaError, match=r"prices.parquet is not Parquet"):
        join(tmp_path, prices=str(tmp_path / "prices.parquet"))


def test_a_log_without_labels_has_outcomes_without_quality(tmp_path: Path) -> None:
    frame = read_outcomes(join(write_log(tmp_path, [request(i) for i in range(10)])))
    assert frame["quality"].isna().all()
    assert (frame["n_labels"] == 0).all()


def test_wrong_paths_are_told_by_the_tolerance(tmp_path: Path) -> None:
    write_log(tmp_path, [request(i) for i in range(10)])
    with pytest.raises(JoinError, match=r"10 of 10 rows rejected .*missing_time 10"):
        join(tmp_path, request_fields={"time": "no.such.path"})


def test_a_prompt_keeps_its_side_when_the_log_grows(joined: Path, tmp_path: Path) -> None:
    small = read_outcomes(joined)
    sides = small.groupby("group_id")["split"].nunique()
    assert (sides == 1).all()
    share = (small.drop_duplicates("group_id")["split"] == "test").mean()
    n = small["group_id"].nunique()
    assert abs(share - 0.2) < 4 * np.sqrt(0.2 * 0.8 / n)
    more = [
        request(i, messages=[{"role": "user", "content": f"PROMPT  {i % 400}"}]) for i in range(800)
    ]
    grown = read_outcomes(join(write_log(tmp_path, more)))
    before = small.drop_duplicates("group_id").set_index("group_id")["split"]
    after = grown.drop_duplicates("group_id").set_index("group_id")["split"]
    assert len(after) == 400
    assert (after.loc[before.index] == before).all()
    salted = read_outcomes(join(tmp_path, "salted", split_salt="other"))
    assert (salted["split"] != grown["split"]).any()


def test_a_split_by_time_drops_prompts_already_seen(tmp_path: Path) -> None:
    texts = [f"Prompt {i if i >= 80 else i % 60}" for i in range(90)] + ["Prompt 3"] * 10
    write_log(
        tmp_path,
        [request(i, messages=[{"role": "user", "content": text}]) for i, text in enumerate(texts)],
    )
    by_share = join(tmp_path, split_by="time", test_share=0.2)
    frame = read_outcomes(by_share)
    assert report(by_share)["accounting"]["requests"]["excluded"] == {"group_seen_earlier": 10}
    assert (frame["split"] == "test").sum() == 10
    train, test = (set(frame[frame["split"] == side]["group_id"]) for side in ("train", "test"))
    assert not train & test
    begin = (START + timedelta(minutes=85)).isoformat()
    given = read_outcomes(join(tmp_path, "given", split_by="time", test_from=begin))
    test_times = given[given["split"] == "test"]["time"]
    assert len(test_times) == 5
    assert test_times.min() == pd.Timestamp(START.replace(tzinfo=None)) + timedelta(minutes=85)


def test_later_labels_and_requests_are_not_seen(joined: Path) -> None:
    folder = joined.parent
    as_of = (START + timedelta(minutes=99)).isoformat()
    early = join(folder, "early", labels=str(folder / "labels.jsonl"), as_of=as_of)
    account = report(early)["accounting"]
    assert account["requests"]["used"] == 100
    assert account["requests"]["excluded"] == {"after_as_of": 800}
    assert account["labels"]["used"] == 100


def test_training_table_has_a_row_per_request(joined: Path) -> None:
    outcomes = read_outcomes(joined)
    candidates = read_candidates(joined)
    assert candidates.names == ("large", "medium", "small")
    assert candidates.input_usd_per_mtok.tolist() == [3.0, 2.0, 1.0]
    table = to_matrices(outcomes, candidates.names)
    assert table.Y.shape == (900, 3)
    assert np.isfinite(table.Y).sum() == 200
    assert (np.isfinite(table.Y).any(axis=1) == (table.weight > 0)).all()
    assert table.request_id[:2] == ("req-00000", "req-00001")
    assert table.served[:3].tolist() == [2, 1, 0]
    assert len({id(query) for query in table.queries}) == 300
    assert table.queries[0] is table.queries[300]
    assert table.eligible.all()
    assert (table.propensity == 0.25).all()
    part = table.take(np.array([5, 1]))
    assert part.request_id == ("req-00005", "req-00001")
    assert np.array_equal(part.Y, table.Y[[5, 1]], equal_nan=True)
    other = to_matrices(outcomes, ("small", "newcomer"))
    assert (other.served == -1).sum() == 600
    assert np.isnan(other.Y[:, 1]).all()


def test_times_in_text_columns_of_parquet_may_have_zones(joined: Path, tmp_path: Path) -> None:
    table = pq.read_table(joined / "outcomes.parquet", columns=list(REQUESTS.names)).slice(0, 4)
    times = ["2026-03-01T12:00:00Z", "2026-03-01 17:30:00+05:30", "2026-03-01 12:00:00", "never"]
    at = table.column_names.index("time")
    path = tmp_path / "requests.parquet"
    pq.write_table(table.set_column(at, "time", pa.array(times)), path)
    write_log(tmp_path, [])
    mixed = join(tmp_path, requests=str(path), tolerance=0.5)
    assert report(mixed)["accounting"]["requests"]["rejected"] == {
        "ambiguous_time": 1,
        "missing_time": 1,
    }
    assert set(read_outcomes(mixed)["time"]) == {pd.Timestamp(datetime(2026, 3, 1, 12))}
    trusted = join(tmp_path, "t", requests=str(path), tolerance=0.5, naive_times_are_utc=True)
    assert len(read_outcomes(trusted)) == 3


def test_the_benchmark_measures_a_join_that_rejects(tmp_path: Path) -> None:
    measured = benchmark(sizes=(5_000, 50_000))
    assert set(measured) == {"seconds_1m", "seconds_10m", "peak_mb_10m", "growth"}
    assert all(value > 0 for value in measured.values())


@pytest.mark.skipif(DATA is None, reason="ROUTER_ML_DATA names no folder of real logs")
def test_the_real_log_is_accounted_for(tmp_path: Path) -> None:
    data = Path(str(DATA)) / "bfcl"
    config = load_config(
        JoinConfig,
        overrides={
            "requests": str(data / "requests.jsonl.gz"),
            "labels": str(data / "labels.csv"),
            "prices": str(data / "prices.json"),
            "output": tmp_path,
        },
    )
    account = report(run(config))["accounting"]
    assert account["requests"] == {
        "in": 12_000,
        "used": 12_000,
        "collapsed": {},
        "excluded": {},
        "rejected": {},
    }
    assert account["labels"]["in"] == 7_896
    assert account["labels"]["collapsed"] == {"duplicate": 40}
    assert account["labels"]["rejected"] == {"no_request": 25}
    outcomes = read_outcomes(tmp_path)
    truth = pq.read_table(data / "matrix.parquet").to_pandas()
    assert outcomes["group_id"].nunique() == truth["prompt"].str.lower().nunique()
    cost = truth.groupby("candidate")["cost_usd"].mean()
    seen = outcomes.groupby("candidate_served")["cost_usd"].mean()
    assert (seen / cost).between(0.8, 1.25).all()
