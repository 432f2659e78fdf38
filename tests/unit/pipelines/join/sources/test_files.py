from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pipelines.join.sources.files import csv_header, expand, format_of, read_records
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


@pytest.mark.parametrize("data", [gzip.compress(b"a,b\n1,2\n" * 999)[:12], b"a,b\n1,2\n"])
def test_the_header_of_a_damaged_gzip_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(data)
    with pytest.raises(SchemaError, match=r"a.csv.gz is damaged: .*export it again"):
        csv_header(path)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n')
    assert [record.values for record in read_records(path)] == [{"a": 1}, {"a": 2}]
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbf"a","b"\r\n1,2\r\n')
    assert csv_header(path) == ("a", "b")
    assert [record.values for record in read_records(path)] == [{"a": "1", "b": "2"}]


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b,a\n1,2,3\n")
    with pytest.raises(SchemaError, match=r"a.csv:1 names the column a more than once; rename"):
        csv_header(path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("a,b\n1,2\n".encode("utf-16"), "UTF-8"),
        (b"a,b\xe9\n1,2\n", "not UTF-8; save it as UTF-8"),
        (b"a,b\r1,2\r3,4", "line feed"),
        (b"", "no header line"),
    ],
)
def test_an_unreadable_header_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(SchemaError, match=says):
        csv_header(path)


def test_a_csv_line_that_is_not_utf8_is_malformed_not_mangled(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a,b\ncaf\xe9,1\n".encode("latin-1") + "café,�\n".encode())
    first, second = read_records(path)
    assert (first.values, first.detail, first.text) == (None, "not UTF-8", "caf\ufffd,1")
    assert second.values == {"a": "café", "b": "\ufffd"}
