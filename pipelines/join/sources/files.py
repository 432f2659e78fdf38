"""Files on disk: patterns, compression, formats, and records out of JSONL and CSV."""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    """One line of a log: its ``values``, or what is wrong with it; ``raw`` as it was read."""

    line: int
    raw: bytes | Sequence[str] | None
    values: Mapping[str, Any] | None
    detail: str | None = None

    @property
    def text(self) -> str | None:
        """The record as it stood, for a person to look at."""
        if isinstance(self.raw, bytes):
            return self.raw.decode("utf-8", "replace").rstrip("\r\n")
        return None if self.raw is None else ",".join(self.raw)


def expand(patterns: Sequence[str], what: str, *, empty: bool = False) -> tuple[Path, ...]:
    """Give the files that patterns name, sorted, each once; empty ones only where they may be.

    Raises
    ------
    SchemaError
        If a pattern names no file, or a file is empty.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        paths = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute patterns
        files = [path for path in paths if path.is_file()]
        if not files:
            raise SchemaError(f"{what}: no file {pattern!r}; check the path or pattern")
        found.update(dict.fromkeys(files))
    for path in found:
        if not empty and path.stat().st_size == 0:
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
    with _opened(path) as (file, stream):
        size = max(1, path.stat().st_size)
        records = _csv_records(path, stream) if format_of(path) == "csv" else _jsonl(stream)
        for count, record in enumerate(records):
            if progress is not None and count % PROGRESS_EVERY == 0:
                progress(f"reading {path.name}", file.tell() / size)
            yield record
    if progress is not None:
        progress(f"reading {path.name}", 1.0)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file, and the bytes in it; damage of a compressed one becomes a SchemaError."""
    with path.open("rb") as file:
        stream: Any = gzip.GzipFile(fileobj=file) if path.suffix.lower() == ".gz" else file
        try:
            yield file, stream
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise SchemaError(f"{path} is damaged: {error}; export it again") from error


def _jsonl(stream: BinaryIO) -> Iterator[Record]:
    for number, line in enumerate(stream, start=1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield Record(number, line, None, f"not JSON: {error}")
            continue
        if isinstance(values, dict):
            yield Record(number, line, values)
        else:
            yield Record(number, line, None, "not a JSON object")


def _csv_records(path: Path, stream: BinaryIO) -> Iterator[Record]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    reader = csv.reader(_lines(stream))
    header = _header(path, reader)
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise SchemaError(f"{path}:{reader.line_num} is not CSV: {error}") from error
        if values is None:
            return
        if not values:
            continue
        readable = [_readable(value) for value in values]
        if readable != values:
            yield Record(reader.line_num, readable, None, "not UTF-8")
        elif len(values) != len(header):
            detail = f"{len(values)} fields, the header has {len(header)}"
            yield Record(reader.line_num, values, None, detail)
        else:
            named = {k: v if v != "" else None for k, v in zip(header, values, strict=True)}
            yield Record(reader.line_num, values, named)


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Lines of text; what is not UTF-8 goes through as surrogates, and is told from what is."""
    for number, line in enumerate(stream):
        kept = line if number else line.removeprefix(codecs.BOM_UTF8)
        yield kept.decode("utf-8", "surrogateescape")


def _readable(value: str) -> str:
    """The same text, what was not UTF-8 replaced."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _header(path: Path, reader: Iterator[list[str]]) -> tuple[str, ...]:
    """Column names, of which no two are alike."""
    try:
        names = next(reader, None)
    except csv.Error as error:
        raise SchemaError(
            f"{path}:1 is not CSV: {error}; end lines with a line feed, and save it as UTF-8"
        ) from error
    if not names:
        raise SchemaError(f"{path} has no header line; its first line must name the columns")
    if any(_readable(name) != name for name in names):
        raise SchemaError(f"{path}:1 is not UTF-8; save it as UTF-8")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise SchemaError(
            f"{path}:1 names the column {', '.join(twice)} more than once; rename or drop one"
        )
    return tuple(names)


def csv_header(path: Path) -> tuple[str, ...]:
    """Column names of a CSV file."""
    with _opened(path) as (_, stream):
        return _header(path, csv.reader(_lines(stream)))
