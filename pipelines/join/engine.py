"""Run a file of SQL steps: inputs in, Parquet out; on DuckDB, spilling to disk beyond a limit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from router_ml.errors import ConfigError

PARQUET: Final = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 1000"
_PATTERN_SIGN: Final = re.compile(r"[*?\[]")
_ROW_GROUP: Final = 122_880
PART_ROWS: Final = 8_000_000
"""Requests that one pass of a step by parts takes, of whole files."""
_PARTED: Final = {"requests": "row_id", "label_quality_by_source": "request_row"}
"""What a step by parts sees a part of, and by which column."""
_STEP: Final = re.compile(r"^-- step: (\w+)(, keep)?(, by parts)?\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """One SELECT of a SQL file.

    Parameters
    ----------
    keep : it is written out once
    by_parts : it may be written for some files of requests after the others; joining their wide
        rows with the labels of all would spill both
    """

    name: str
    sql: str
    keep: bool
    by_parts: bool = False


def parse_steps(text: str) -> tuple[Step, ...]:
    r"""Split a SQL file at its ``-- step: name`` lines.

    Examples
    --------
    >>> parse_steps("-- step: one, keep\nSELECT 1 AS x\n")
    (Step(name='one', sql='SELECT 1 AS x', keep=True, by_parts=False),)
    """
    parts = _STEP.split(text)[1:]
    return tuple(
        Step(name, sql.strip(), keep is not None, by_parts is not None)
        for name, keep, by_parts, sql in zip(*(parts[i::4] for i in range(4)), strict=True)
    )


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one table that a task has read.

    Parameters
    ----------
    rows : how many
    columns : names, the same of every part of a table
    staged : Parquet file that holds them
    sql : instead of ``staged``, a SELECT of DuckDB's that reads them where they are
    """

    rows: int
    columns: tuple[str, ...]
    staged: Path | None = None
    sql: str = ""


Task = TypeVar("Task")
Progress = Callable[[str, float], None]
"""Called with a task and the share of it that is done, from 0 to 1."""
Read = Callable[["DuckDBEngine", Task, "Progress | None"], Part]


class Engine(Protocol):
    """What the join needs of a database; the SQL of its steps is common to all.

    ``work`` is a folder for what is written on the way; the caller removes it.
    """

    work: Path
    most_files: int

    def __enter__(self) -> Self:
        """Open."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close what was opened."""

    def read(
        self, read: Read[Task], tasks: Sequence[Task], progress: Progress | None = None
    ) -> list[Part]:
        """Run the tasks, each with a DuckDB of its machine; parts in the order of tasks."""
        ...

    def add_parts(self, name: str, parts: Sequence[Part]) -> None:
        """Make all rows of the parts known under ``name``."""

    def add_rows(self, name: str, rows: pa.Table) -> None:
        """Make a small Arrow table known under ``name``."""

    def add_step(self, step: Step, target: Path | None = None) -> None:
        """Make a step known under its name, written to ``target`` or to ``work`` if it is kept."""

    def write(self, sql: str, path: Path) -> None:
        """Write a query's rows to one Parquet file."""

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a small result."""
        ...

    def rejects_sql(self, source: str) -> str:
        """Rows of the step ``rejected_<source>`` as the table ``rejects`` has them."""
        ...


class DuckDBEngine:
    """An embedded database that holds views over files, and little else.

    Parameters
    ----------
    work : folder for kept steps and for what does not fit in memory; the caller removes it
    threads, memory_limit_mb : DuckDB's own limits
    """

    most_files = 1_000_000
    """Parquet files of the same columns that one task reads."""

    def __init__(self, *, work: Path, threads: int = 2, memory_limit_mb: int = 2_000) -> None:
        self.work = work
        self._protocols: set[str] = set()
        self._views: dict[str, str] = {}
        self._connection = duckdb.connect(
            config={
                "threads": threads,
                "memory_limit": f"{memory_limit_mb}MB",
                "temp_directory": str(work / "spill"),
                "preserve_insertion_order": False,
            }
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        # In Jupyter without ipywidgets DuckDB refuses any word about its bar, and draws none.
        with suppress(duckdb.InvalidInputException):
            self._connection.execute("SET enable_progress_bar = false")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def read(
        self, read: Read[Task], tasks: Sequence[Task], progress: Progress | None = None
    ) -> list[Part]:
        """Run the tasks one after the other; what can be read in place is not copied."""
        return [read(self, task, progress) for task in tasks]

    def add_parts(self, name: str, parts: Sequence[Part]) -> None:
        """Make all rows of the parts known under ``name``."""
        columns = ", ".join(parts[0].columns)
        selects = [f"SELECT {columns} FROM ({part.sql})" for part in parts if part.sql]
        if staged := [part.staged for part in parts if part.staged is not None]:
            selects.append(f"SELECT {columns} FROM {scan(*staged)}")
        self.add_view(name, " UNION ALL ".join(selects))

    def reach(self, path: Path) -> None:
        """Open object stores to the SQL: ``path`` may be a URL of fsspec's."""
        protocol = getattr(path, "protocol", "")
        if protocol and protocol not in self._protocols:
            self._connection.register_filesystem(getattr(path, "fs"))  # noqa: B009 - an UPath's
            self._protocols.add(protocol)

    def add_rows(self, name: str, rows: pa.Table) -> None:
        """Make a small Arrow table known under ``name``."""
        self._connection.register("arriving", rows)
        self._connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arriving")
        self._connection.unregister("arriving")

    def add_view(self, name: str, sql: str) -> None:
        """Make a query known under ``name``."""
        self._connection.execute(f"CREATE VIEW {name} AS {sql}")
        if name in _PARTED:
            self._views[name] = sql

    def add_step(self, step: Step, target: Path | None = None) -> None:
        """Make a step known under its name, written to ``target`` or to ``work`` if it is kept."""
        if not step.keep:
            self.add_view(step.name, step.sql)
            return
        path = target or self.work / f"{step.name}.parquet"
        parts = self._request_parts() if step.by_parts else []
        if len(parts) > 1:
            self._write_parts(step.sql, path, parts)
        else:
            self.write(step.sql, path)
        self.add_view(step.name, f"SELECT * FROM {scan(path)}")

    def write(self, sql: str, path: Path) -> None:
        """Write a query's rows to one Parquet file."""
        self._connection.execute(f"COPY (\n{sql}\n) TO {quote(path)} ({PARQUET})")

    def _request_parts(self) -> list[tuple[list[str], int, int]]:
        """Names of files of some :data:`PART_ROWS` requests, their first and their last row."""
        files = self.rows(
            "SELECT source_file, min(row_id) AS first, max(row_id) AS last, count(*) AS n "
            "FROM requests GROUP BY source_file ORDER BY first"
        )
        parts: list[tuple[list[str], int, int]] = []
        room = 0
        if any(file["source_file"] is None for file in files):
            return parts  # whose rows no part would have
        for file in files:
            if file["n"] > room or not parts:
                parts.append(([], file["first"], file["last"]))
                room = PART_ROWS
            names, first, last = parts[-1]
            names.append(file["source_file"])
            parts[-1] = (names, first, max(last, file["last"]))
            room -= file["n"]
        return parts

    def _write_parts(self, sql: str, path: Path, parts: list[tuple[list[str], int, int]]) -> None:
        """Write a query's rows to one Parquet file, those of one part after those of another."""
        writer: pq.ParquetWriter | None = None
        # As with COPY: there is a file when it is whole.
        partial = path.with_name(f"{path.name}.partial")
        try:
            for names, first, last in parts:
                files = ", ".join(quote(name) for name in names)
                for name, column in _PARTED.items():
                    where = f"{column} BETWEEN {first} AND {last}"
                    if name == "requests":
                        where += f" AND source_file IN ({files})"
                    part = f"SELECT * FROM ({self._views[name]}) WHERE {where}"
                    self._connection.execute(f"CREATE OR REPLACE VIEW {name} AS {part}")
                batches = self._connection.sql(sql).to_arrow_reader(_ROW_GROUP)
                writer = writer or pq.ParquetWriter(
                    partial, batches.schema, compression="zstd", compression_level=1
                )
                for batch in batches:
                    writer.write_batch(batch, row_group_size=_ROW_GROUP)
        finally:
            if writer is not None:
                writer.close()
            for name in _PARTED:
                self._connection.execute(f"CREATE OR REPLACE VIEW {name} AS {self._views[name]}")
        partial.replace(path)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a small result."""
        rows: list[dict[str, Any]] = self._connection.sql(sql).to_arrow_table().to_pylist()
        return rows

    def columns(self, sql: str) -> dict[str, str]:
        """Name -> DuckDB type of a query's columns, without running it."""
        described = self._connection.execute(f"DESCRIBE {sql}").fetchall()
        return {row[0]: row[1] for row in described}

    def rejects_sql(self, source: str) -> str:
        """Rows of the step ``rejected_<source>`` as the table ``rejects`` has them."""
        view = f"rejected_{source}"
        written: dict[str, Callable[[str], str]] = {
            "DOUBLE": finite,
            "DOUBLE[]": lambda name: f"[{finite('x')} for x in {name}]",
        }
        columns = ", ".join(
            f"{written[kind](name)} AS {name}" if kind in written else name
            for name, kind in self.columns(f"SELECT * FROM {view}").items()
        )
        return (
            f"SELECT '{source}' AS source, source_file AS file, source_line AS line, key, reason, "
            "detail, coalesce(raw, CAST(to_json(r) AS VARCHAR)) AS row "
            f"FROM (SELECT {columns} FROM {view}) r"
        )


def finite(number: str) -> str:
    """SQL of a number that is null where JSON has no word for it: NaN and the infinities."""
    return f"CASE WHEN abs({number}) < CAST('Infinity' AS DOUBLE) THEN {number} END"


def scan(*paths: Path, options: str = "", hive: bool = False) -> str:
    """The table function that reads exactly these Parquet files, whatever signs their names hold.

    Parameters
    ----------
    hive : whether folders such as ``day=2026-01-01`` are columns, of text

    Examples
    --------
    >>> scan(Path("log[1].parquet"))
    "read_parquet(['log[[]1].parquet'], hive_partitioning = false)"
    """
    literal = ", ".join(quote(_PATTERN_SIGN.sub(r"[\g<0>]", str(path))) for path in paths)
    folders = "true, hive_types_autocast = false" if hive else "false"
    return f"read_parquet([{literal}], hive_partitioning = {folders}{options})"


def quote(value: Path | str) -> str:
    """A SQL string literal.

    Examples
    --------
    >>> quote("it's")
    "'it''s'"
    """
    text = str(value)
    if "\0" in text:
        raise ConfigError(f"a file name must not contain NUL, got {text!r}")
    return "'" + text.replace("'", "''") + "'"
