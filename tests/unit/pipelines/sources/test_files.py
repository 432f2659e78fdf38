from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pipelines.sources.files import expand, format_of, read_records
from router_ml.errors import SchemaError


def test_patterns_name_files_once_in_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    found = expand([str(tmp_path / "*.csv"), str(tmp_path / "a.csv")], "labels")
    assert [path.name for path in found] == ["a.csv", "b.csv"]


def test_missing_and_empty_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"requests: no file .*none.jsonl"):
        expand([str(tmp_path / "none.jsonl")], "requests")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(SchemaError, match=r"requests: .*empty.jsonl is empty"):
        expand([str(tmp_path / "empty.jsonl")], "requests")


def test_a_format_is_told_from_the_name() -> None:
    names = ("a.jsonl.gz", "a.ndjson", "a.v2.csv", "a.pq", "a.json")
    formats = ["jsonl", "jsonl", "csv", "parquet", "json"]
    assert [format_of(Path(name)) for name in names] == formats
    with pytest.raises(SchemaError, match="cannot tell its format"):
        format_of(Path("log"))


def test_csv_lines_are_physical_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffa,b\n1,"two\nlines"\n\n3\n4,\n'.encode())
    records = list(read_records(path))
    assert [record.line for record in records] == [3, 5, 6]
    assert records[0].values == {"a": "1", "b": "two\nlines"}
    assert records[1].values is None
    assert "1 fields, the header has 2" in (records[1].detail or "")
    assert records[2].values == {"a": "4", "b": None}


def test_progress_ends_at_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 5_000))
    seen: list[float] = []
    assert len(list(read_records(path, lambda _, share: seen.append(share)))) == 5_000
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_damaged_gzip_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 1_000)[:-20])
    with pytest.raises(SchemaError, match=r"a.jsonl.gz is damaged"):
        list(read_records(path))
