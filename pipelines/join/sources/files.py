"""Files on disk: patterns, compression, encoding, formats, and records out of JSON and CSV."""

from __future__ import annotations

import codecs
import glob
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from pipelines.join.engine import Progress
from pipelines.join.sources.csv_records import csv_records, read_header, separator_of
from pipelines.join.sources.json_records import json_records
from pipelines.join.sources.places import hive_values, is_data, is_url, remote_files
from pipelines.join.sources.records import Record
from router_ml.errors import SchemaError

__all__ = [
    "Progress",
    "Record",
    "csv_header",
    "csv_separator",
    "expand",
    "format_of",
    "is_utf8",
    "read_records",
]

PROGRESS_EVERY: Final = 2_000
_HEAD_BYTES: Final = 65_536
_GZIP: Final = b"\x1f\x8b"
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PACKED: Final = {
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"BZh": "bzip2-compressed",
    b"\xfd7zXZ": "xz-compressed",
}
_FORMATS: Final = ("parquet", "csv", "jsonl", "json")
_SUFFIXES: Final = {"ndjson": "jsonl", "pq": "parquet", "tsv": "csv", "txt": ""}


def expand(patterns: Sequence[str], what: str, *, empty: bool = False) -> tuple[Path, ...]:
    """Give the files that patterns name, sorted, each once; empty ones only where they may be.

    A file of exactly that name is that file, whatever signs its name holds; a folder stands for
    all files in it; a URL of fsspec's (``s3://bucket/log/*.parquet``) is looked up in its store.

    Raises
    ------
    SchemaError
        If a pattern names no file, or a file is empty.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        files = remote_files(pattern) if is_url(pattern) else _local_files(pattern)
        if not files:
            signs = glob.has_magic(pattern)
            raise SchemaError(
                f"{what}: no file {pattern!r}; check the path or pattern"
                + (" (*, ? and [...] are read as a pattern)" if signs else "")
            )
        found.update(dict.fromkeys(files))
    for path in found:
        if not empty and path.stat().st_size == 0:
            raise SchemaError(f"{what}: {path} is empty; leave it out or export it again")
    return tuple(found)


def _local_files(pattern: str) -> list[Path]:
    if Path(pattern).is_file():
        return [Path(pattern)]
    if Path(pattern).is_dir():
        return [
            path for path in sorted(Path(pattern).rglob("*")) if path.is_file() and is_data(path)
        ]
    paths = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute patterns
    return [path for path in paths if path.is_file()]


def format_of(path: Path) -> str:
    """``parquet``, ``csv``, ``jsonl`` or ``json``: what a file holds, or else what it is named."""
    head = _head(path) if path.is_file() else b""
    named = _named_format(path)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head[:1] in (b"{", b"["):
        return named if named in ("jsonl", "json") else "jsonl"
    if named in _FORMATS:
        return named
    if head and b"\0" not in head:
        return "csv"
    raise SchemaError(
        f"{path}: cannot tell its format; name it .jsonl, .csv, .json (each also .gz) or .parquet"
    )


def _named_format(path: Path) -> str:
    suffixes = [suffix.lower().lstrip(".") for suffix in path.suffixes]
    if suffixes and suffixes[-1] == "gz":
        suffixes.pop()
    return _SUFFIXES.get(suffixes[-1], suffixes[-1]) if suffixes else ""


def _head(path: Path) -> bytes:
    """The first bytes of what a file holds, without white space and byte order mark before them.

    A damaged file is told when it is read.
    """
    try:
        with _opened(path) as (_, stream):
            head = stream.read(_HEAD_BYTES)
    except SchemaError:
        return b""
    return head.removeprefix(codecs.BOM_UTF8).lstrip()


def read_records(
    path: Path, progress: Progress | None = None, *, encoding: str = ""
) -> Iterator[Record]:
    """Records of a JSON or CSV file, one at a time.

    Parameters
    ----------
    encoding : of text that is not UTF-8; without one such lines are malformed

    Raises
    ------
    SchemaError
        If the file is damaged, or a quote in it swallows rows.
    """
    with _opened(path) as (file, stream):
        size = max(1, path.stat().st_size)
        if format_of(path) == "csv":
            records = csv_records(path, stream, encoding=encoding)
        else:
            records = json_records(stream)
        folders = hive_values(path)
        for count, record in enumerate(records):
            if progress is not None and count % PROGRESS_EVERY == 0:
                progress(f"reading {path.name}", file.tell() / size)
            yield record.beside(folders) if folders else record
    if progress is not None:
        progress(f"reading {path.name}", 1.0)


def is_utf8(path: Path) -> bool:
    """Whether a text file is UTF-8 throughout (UTF-16 with its mark is read as such)."""
    with _opened(path) as (_, stream):
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while chunk := stream.read(1 << 20):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def csv_header(path: Path, *, encoding: str = "") -> tuple[str, ...]:
    """Column names of a CSV file."""
    with _opened(path) as (_, stream):
        header = read_header(path, stream, encoding=encoding)
    return (*header, *(name for name in hive_values(path) if name not in header))


def csv_separator(path: Path, *, encoding: str = "") -> str:
    """What separates the columns of a CSV file."""
    with _opened(path) as (_, stream):
        return separator_of(stream, encoding=encoding)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file, and the bytes in it; damage of a compressed one becomes a SchemaError."""
    with path.open("rb") as opened:
        file = (
            opened if hasattr(opened, "peek") else io.BufferedReader(cast("io.RawIOBase", opened))
        )
        start = file.peek(8)[:8]
        for magic, what in _PACKED.items():
            if start.startswith(magic):
                raise SchemaError(f"{path} is {what}; unpack it, or compress it with gzip")
        packed = start.startswith(_GZIP) or path.suffix.lower() == ".gz"
        stream: Any = gzip.GzipFile(fileobj=file) if packed else file
        try:
            yield file, _as_utf8(stream)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise SchemaError(f"{path} is damaged: {error}; export it again") from error


def _as_utf8(stream: Any) -> BinaryIO:
    """The same stream; UTF-16 with its mark, as spreadsheets write it, becomes UTF-8."""
    if stream.peek(2)[:2] not in _UTF16:
        return cast("BinaryIO", stream)
    text = stream.read().decode("utf-16", "replace").replace("\r\n", "\n")
    return io.BytesIO(text.encode("utf-8"))
