"""Run a file of SQL steps on DuckDB: inputs in, Parquet out, spilling to disk beyond a limit."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb
import pyarrow as pa

from router_ml.errors import ConfigError

_PARQUET: Final = (
    "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 1000"
)
_PATTERN_SIGN: Final = re.compile(r"[*?\[]")
_STEP: Final = re.compile(r"^-- step: (\w+)(, keep)?\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """One SELECT of a SQL file; ``keep`` asks for it to be written out once."""

    name: str
    sql: str
    keep: bool


def parse_steps(text: str) -> tuple[Step, ...]:
    r"""Split a SQL file at its ``-- step: name`` lines.

    Examples
    --------
    >>> parse_steps("-- step: one, keep\nSELECT 1 AS x\n")
    (Step(name='one', sql='SELECT 1 AS x', keep=True),)
    """
    parts = _STEP.split(text)[1:]
    return tuple(
        Step(name, sql.strip(), keep is not None)
        for name, keep, sql in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    )


class DuckDBEngine:
    """An embedded database that holds views over files, and little else.

    Another engine (Spark SQL) needs these same methods: the SQL of the steps is common to both.

    Parameters
    ----------
    work : folder for kept steps and for what does not fit in memory; the caller removes it
    threads, memory_limit_mb : DuckDB's own limits
    """

    def __init__(self, *, work: Path, threads: int = 2, memory_limit_mb: int = 2_000) -> None:
        self.work = work
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

    def add_rows(self, name: str, rows: pa.Table) -> None:
        """Make a small Arrow table known under ``name``."""
        self._connection.register("arriving", rows)
        self._connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arriving")
        self._connection.unregister("arriving")

    def add_view(self, name: str, sql: str) -> None:
        """Make a query known under ``name``."""
        self._connection.execute(f"CREATE VIEW {name} AS {sql}")

    def add_step(self, step: Step, target: Path | None = None) -> None:
        """Make a step known under its name, written to ``target`` or to ``work`` if it is kept."""
        if not step.keep:
            self.add_view(step.name, step.sql)
            return
        path = target or self.work / f"{step.name}.parquet"
        self.write(step.sql, path)
        self.add_view(step.name, f"SELECT * FROM {scan(path)}")

    def write(self, sql: str, path: Path) -> None:
        """Write a query's rows to one Parquet file."""
        self._connection.execute(f"COPY (\n{sql}\n) TO {quote(path)} ({_PARQUET})")

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
        return (
            f"SELECT '{source}' AS source, source_file AS file, source_line AS line, key, reason, "
            f"detail, coalesce(raw, CAST(to_json(r) AS VARCHAR)) AS row FROM rejected_{source} r"
        )


def scan(path: Path, options: str = "") -> str:
    """The table function that reads exactly this Parquet file, whatever signs its name holds.

    Examples
    --------
    >>> scan(Path("log[1].parquet"))
    "read_parquet('log[[]1].parquet', hive_partitioning = false)"
    """
    literal = _PATTERN_SIGN.sub(r"[\g<0>]", str(path))
    return f"read_parquet({quote(literal)}, hive_partitioning = false{options})"


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
