"""Files on disk: patterns, compression, formats, and records out of JSONL and CSV."""

from __future__ import annotations

import csv
import glob
import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from router_ml.errors import SchemaError

Progress = Callable[[str, float], None]
"""Called with a task and the share of it that is done, from 0 to 1."""

PROGRESS_EVERY: Final = 2_000
MAX_FIELD_CHARS: Final = 1 << 27


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a log: its ``values``, or what is wrong with it."""

    line: int
    raw: str | None
    values: Mapping[str, Any] | None
    detail: str | None = None


def expand(patterns: Sequence[str], what: str) -> tuple[Path, ...]:
    """Give the non-empty files that patterns name, sorted, each once.

    Raises
    ------
    SchemaError
        If a pattern names no file, or a file is empty.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        paths = sorted(Path(name) for name in glob.glob(pattern, recursive=True))
        files = [path for path in paths if path.is_file()]
        if not files:
            raise SchemaError(f"{what}: no file {pattern!r}; check the path or pattern")
        found.update(dict.fromkeys(files))
    for path in found:
        if path.stat().st_size == 0:
            raise SchemaError(f"{what}: {path} is empty; leave it out or export it again")
    return tuple(found)


def format_of(path: Path) -> str:
    """``parquet``, ``csv``, ``jsonl`` or ``json``, from a file's name."""
    suffixes = [suffix.lower().lstrip(".") for suffix in path.suffixes]
    if suffixes and suffixes[-1] == "gz":
        suffixes.pop()
    kind = {"ndjson": "jsonl", "pq": "parquet"}.get(suffixes[-1], suffixes[-1]) if suffixes else ""
    if kind not in ("parquet", "csv", "jsonl", "json"):
        raise SchemaError(
            f"{path}: cannot tell its format; name it .jsonl, .csv, .json (each also .gz) "
            f"or .parquet"
        )
    return kind


def read_records(path: Path, progress: Progress | None = None) -> Iterator[Record]:
    """Records of a JSONL or CSV file, one at a time; blank JSONL lines are no records."""
    with path.open("rb") as file:
        size = max(1, path.stat().st_size)
        stream: Any = gzip.open(file) if path.suffix.lower() == ".gz" else file
        records = _csv_records(path, stream) if format_of(path) == "csv" else _jsonl(stream)
        try:
            for count, record in enumerate(records):
                if progress is not None and count % PROGRESS_EVERY == 0:
                    progress(f"reading {path.name}", file.tell() / size)
                yield record
        except (gzip.BadGzipFile, EOFError) as error:
            raise SchemaError(f"{path} is damaged: {error}; export it again") from error
    if progress is not None:
        progress(f"reading {path.name}", 1.0)


def _jsonl(stream: BinaryIO) -> Iterator[Record]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield Record(number, _text(line), None, f"not JSON: {error}")
            continue
        if isinstance(values, dict):
            yield Record(number, _text(line), values)
        else:
            yield Record(number, _text(line), None, "not a JSON object")


def _csv_records(path: Path, stream: BinaryIO) -> Iterator[Record]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    text = (
        line.decode("utf-8-sig" if i == 0 else "utf-8", "replace") for i, line in enumerate(stream)
    )
    reader = csv.reader(text, strict=False)
    header = next(reader, None)
    if not header:
        raise SchemaError(f"{path} has no header line; its first line must name the columns")
    for values in reader:
        if not values:
            continue
        raw = ",".join(values)
        if len(values) != len(header):
            detail = f"{len(values)} fields, the header has {len(header)}"
            yield Record(reader.line_num, raw, None, detail)
        else:
            named = {k: v if v != "" else None for k, v in zip(header, values, strict=True)}
            yield Record(reader.line_num, raw, named)


def csv_header(path: Path) -> tuple[str, ...]:
    """Column names of a CSV file."""
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        return tuple(next(csv.reader(file), ()))


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")
