"""Logs in folders that name their partitions, and in an object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.config import JoinConfig, load_config
from pipelines.inspect.draft import draft
from pipelines.join.sources.files import expand
from pipelines.join.sources.places import hive_values, is_url
from pipelines.stages.join import run
from router_ml.data.outcomes import read_outcomes
from router_ml.errors import ConfigError, SchemaError
from tests.dirty_log import START, request

PRICES = {
    name: {"input_cost_per_token": 1e-6 * k, "output_cost_per_token": 4e-6 * k}
    for k, name in enumerate(("small", "medium", "large"), start=1)
}
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


def write_partitions(folder: Path) -> Path:
    """Requests by day and tenant, as JSON lines; one file a writer began and left empty of data."""
    for day in ("2026-03-01", "2026-03-02"):
        for tenant in ("acme", "b%20co"):
            place = folder / "log" / f"day={day}" / f"team_id={tenant}"
            place.mkdir(parents=True)
            begin = 100 * int(day[-1]) + (50 if tenant == "acme" else 0)
            rows = [
                request(i, messages=[{"role": "user", "content": f"Prompt {i}"}])
                for i in range(begin, begin + 20)
            ]
            (place / "part-0.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
            (place / "_SUCCESS").write_bytes(b"")
            labels = [
                {"request_id": row["id"], "name": "exact", "value": 1, "source": "checker"}
                | {"time": START.isoformat()}
                for row in rows[::2]
            ]
            target = folder / "labels" / f"day={day}" / f"{tenant}.jsonl"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"\n".join(map(orjson.dumps, labels)))
    (folder / "prices.json").write_bytes(orjson.dumps(PRICES))
    return folder


def join(output: Path, log: str, **changes: Any) -> pd.DataFrame:
    values = {"requests": f"{log}/log", "prices": f"{log}/prices.json", "output": output}
    run(load_config(JoinConfig, overrides={**values, "labels": f"{log}/labels", **changes}))
    return read_outcomes(output)


def test_folders_are_columns_of_text_and_of_parquet(tmp_path: Path) -> None:
    log = write_partitions(tmp_path / "a")
    frame = join(tmp_path / "joined", str(log))
    assert len(frame) == 80
    assert frame["quality"].notna().sum() == 40
    assert frame["tenant"].value_counts().to_dict() == {"acme": 40, "b co": 40}
    # The same requests as Parquet, partitioned by candidate: that column is only in the folders.
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for (name,), part in frame.groupby(["candidate_served"]):
        place = tmp_path / "b" / f"candidate_served={name}"
        place.mkdir(parents=True)
        for half in (0, 1):
            rows = pa.Table.from_pandas(part.iloc[half::2], table.schema, preserve_index=False)
            columns = ["candidate_served", "cost_usd", "decision_id"]
            pq.write_table(rows.drop_columns(columns), place / f"part-{half}.parquet")
    again = join(
        tmp_path / "again", str(log), requests=str(tmp_path / "b" / "*" / "part-*.parquet")
    )
    pd.testing.assert_frame_equal(again, frame)


def test_a_column_of_the_file_holds_against_its_folder(tmp_path: Path) -> None:
    log = write_partitions(tmp_path)
    files = sorted((tmp_path / "log").rglob("*.jsonl"))
    rows = [orjson.loads(line) | {"team_id": "own"} for line in files[0].read_bytes().splitlines()]
    files[0].write_bytes(b"\n".join(map(orjson.dumps, rows)))
    frame = join(tmp_path / "joined", str(log))
    assert frame["tenant"].value_counts().to_dict() == {"b co": 40, "acme": 20, "own": 20}


def test_values_of_folders() -> None:
    path = Path("/x/day=2026-01-01/hour=__HIVE_DEFAULT_PARTITION__/a=b=c/part.parquet")
    assert hive_values(path) == {"day": "2026-01-01", "hour": None, "a": "b=c"}
    assert hive_values(Path("a b=c/=d/part=1.parquet")) == {}
    assert not is_url("C:/logs/x.csv")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 of one's own on loopback, and its address where every client looks for it."""
    import boto3
    from fsspec import filesystem
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for key, value in KEYS.items():
        monkeypatch.setenv(key, value)
    filesystem("s3").clear_instance_cache()
    boto3.client("s3").create_bucket(Bucket="logs")
    yield "s3://logs"
    filesystem("s3").clear_instance_cache()
    server.stop()


def upload(folder: Path, place: str) -> None:
    from fsspec import filesystem

    filesystem("s3").put(str(folder), place, recursive=True)


def test_a_log_in_an_object_store_is_joined_as_one_on_disk(tmp_path: Path, bucket: str) -> None:
    log = write_partitions(tmp_path / "disk")
    here = join(tmp_path / "here", str(log))
    upload(log, f"{bucket}/2026")
    there = join(tmp_path / "there", f"{bucket}/2026")
    pd.testing.assert_frame_equal(there, here)
    # and as Parquet, by a pattern
    columns = ["cost_usd", "decision_id"]
    (tmp_path / "parquet" / "part=1").mkdir(parents=True)
    table = pq.read_table(tmp_path / "here" / "outcomes.parquet").drop_columns(columns)
    for part, begin in enumerate((0, 40)):
        rows = table.slice(begin, 40)
        pq.write_table(rows, tmp_path / "parquet" / "part=1" / f"{part}.parquet")
    upload(tmp_path / "parquet", f"{bucket}/parquet")
    canonical = join(
        tmp_path / "canonical", f"{bucket}/2026", requests=f"{bucket}/parquet/*/*.parquet"
    )
    pd.testing.assert_frame_equal(canonical, here)
    lines = (log / "labels/day=2026-03-01/acme.jsonl").read_bytes().splitlines()
    rows = [orjson.loads(line) for line in lines]
    wrong = [row | {"value": 7} for row in rows]
    (tmp_path / "wrong.jsonl").write_bytes(b"\n".join(map(orjson.dumps, wrong)))
    upload(tmp_path / "wrong.jsonl", f"{bucket}/wrong.jsonl")
    join(tmp_path / "rejects", f"{bucket}/2026", labels=f"{bucket}/wrong.jsonl", tolerance=1.0)
    rejects = pd.read_parquet(tmp_path / "rejects" / "rejects.parquet")
    assert set(rejects["file"]) == {"s3://logs/wrong.jsonl"}


def test_a_log_in_an_object_store_is_inspected_as_one_on_disk(tmp_path: Path, bucket: str) -> None:
    log = write_partitions(tmp_path / "disk")
    upload(log, f"{bucket}/2026")
    table = pa.Table.from_pylist([{"model": name, **price} for name, price in PRICES.items()])
    pq.write_table(table, log / "list.parquet")
    upload(log / "list.parquet", f"{bucket}/2026/list.parquet")
    day = "day=2026-03-01"
    names = (f"log/{day}/team_id=acme/part-0.jsonl", f"labels/{day}/acme.jsonl", "list.parquet")
    here = draft([f"{log}/{name}" for name in names])
    assert all(part in here for part in ("requests:", "labels:", "list.parquet", "LiteLLM"))
    assert draft([f"{bucket}/2026/{name}" for name in names]) == here.replace(
        str(log), f"{bucket}/2026"
    )
    with pytest.raises(ConfigError, match=r"names 4 files, .*: name it, such as s3://logs/2026"):
        draft([f"{bucket}/2026/log/*/*/part-*.jsonl"])


def test_what_is_not_in_the_store_is_told(bucket: str) -> None:
    with pytest.raises(ConfigError, match=r"no file s3://logs/gone\.csv; check the path"):
        draft([f"{bucket}/gone.csv"])
    with pytest.raises(SchemaError, match=r"requests: no file 's3://logs/none/\*\.parquet'"):
        expand([f"{bucket}/none/*.parquet"], "requests")
    with pytest.raises(ConfigError, match=r"nowhere://x: Protocol not known"):
        expand(["nowhere://x"], "requests")
