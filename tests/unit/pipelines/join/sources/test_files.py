from __future__ import annotations

import csv
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


@pytest.mark.parametrize("data", [gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:12], b"a,b\n1,2\n"])
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


def test_utf16_with_its_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a,b\r\ncafé,2\r\n".encode("utf-16"))
    assert [record.values for record in read_records(path)] == [{"a": "café", "b": "2"}]


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_the_separator_is_told_from_the_header(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'a{sign}b\n"1,5{sign}x"{sign}2\n', encoding="utf-8")
    assert [record.values for record in read_records(path)] == [{"a": f"1,5{sign}x", "b": "2"}]


def test_content_wins_over_the_name(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('{"a": 1}\n{"a": 2}\n', encoding="utf-8")
    assert [record.values for record in read_records(path)] == [{"a": 1}, {"a": 2}]
    packed = tmp_path / "log.jsonl"
    packed.write_bytes(gzip.compress(b'{"a": 1}\n'))
    assert [record.values for record in read_records(packed)] == [{"a": 1}]
    (tmp_path / "log.zip").write_bytes(b"PK\x03\x04...")
    with pytest.raises(SchemaError, match="zip archive; unpack it"):
        list(read_records(tmp_path / "log.zip"))


ROWS = [f"r{i},text {i},{i % 2},2026-01-06T00:00:00Z" for i in range(20)]


@pytest.mark.parametrize(
    "bad",
    [
        {5: 'r5,"text,1,2026-01-06T00:00:00Z'},
        {5: 'r5,"text,1,2026-01-06T00:00:00Z', 9: 'r9,text",1,2026-01-06T00:00:00Z'},
        {5: 'r5,"text,1,2026-01-06T00:00:00Z', 6: 'r6,"text",1,2026-01-06T00:00:00Z'},
    ],
)
def test_a_quote_that_swallows_rows_is_found(tmp_path: Path, bad: dict[int, str]) -> None:
    lines = [bad.get(i, row) for i, row in enumerate(ROWS)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["id,note,value,time", *lines]) + "\n", encoding="utf-8")
    with pytest.raises(SchemaError, match=r"a.csv:7: a quote opens .* swallows lines 8 to"):
        list(read_records(path))


def test_text_over_several_lines_is_no_swallowed_row(tmp_path: Path) -> None:
    texts = ["one, two\nthree, four, five, six", "a,b,1,2\nc,d\n\nthe, end, of, it", "plain"]
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("note", "value", "kind", "time"))
        writer.writerows((text, 1, "x", "2026-01-06T00:00:00Z") for text in texts)
    assert [(record.values or {})["note"] for record in read_records(path)] == texts


def test_a_csv_line_that_is_not_utf8_is_malformed_not_mangled(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a,b\ncaf\xe9,1\n".encode("latin-1") + "café,�\n".encode())
    first, second = read_records(path)
    assert (first.values, first.detail, first.text) == (None, "not UTF-8", "caf\ufffd,1")
    assert second.values == {"a": "café", "b": "\ufffd"}
