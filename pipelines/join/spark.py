"""The join's steps on Spark SQL: the same SQL, on as many machines as Spark has."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.join.engine import DuckDBEngine, Part, Progress, Read, Step, Task, finite
from router_ml.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SQL: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.parquet.compression.codec": "zstd",
}
"""Settings under which Spark reads the SQL as DuckDB does; of the join's own session alone."""
_ROW_GROUP: Final = 200_000
_TASK_MEMORY_MB: Final = 1_000


class SparkEngine:
    """Spark SQL over files that its tasks have read with a DuckDB each.

    What is written on the way lies in ``work``, which all machines of the cluster must see.

    Parameters
    ----------
    work : folder for staged files and kept steps; the caller removes it
    threads : cores of ``local[threads]``, where no master is given
    memory_limit_mb : of the driver, which is all of it where no master is given
    options : Spark's own, such as ``spark.master``; a session that is open is used as it is
    """

    most_files = 1

    def __init__(
        self,
        *,
        work: Path,
        threads: int = 2,
        memory_limit_mb: int = 2_000,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.work = work.resolve()
        self._own, self._session = _session(threads, memory_limit_mb, options or {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._own:
            self._session.stop()

    def read(
        self, read: Read[Task], tasks: Sequence[Task], progress: Progress | None = None
    ) -> list[Part]:
        """Run the tasks on the cluster, each with a DuckDB of its machine."""
        if not tasks:
            return []
        if progress is not None:
            progress("reading", 0.0)
        context = self._session.sparkContext
        if context.master.startswith("local"):  # or else python3, whatever that is here
            context.pythonExec = sys.executable
        parts: list[Part] = (
            context.parallelize(list(enumerate(tasks)), len(tasks))
            .map(_Reader(read, self.work))
            .collect()
        )
        if progress is not None:
            progress("reading", 1.0)
        return parts

    def add_parts(self, name: str, parts: Sequence[Part]) -> None:
        """Make all rows of the parts known under ``name``."""
        self._add_files(name, *(str(part.staged) for part in parts))

    def add_rows(self, name: str, rows: pa.Table) -> None:
        """Make a small Arrow table known under ``name``."""
        self._session.createDataFrame(rows).createOrReplaceTempView(name)

    def add_step(self, step: Step, target: Path | None = None) -> None:
        """Make a step known under its name; one that is kept is written, also to ``target``."""
        if not step.keep:
            self._session.sql(step.sql).createOrReplaceTempView(step.name)
            return
        folder = self._write(step.sql, step.name)
        self._add_files(step.name, str(folder))
        if target is not None:
            gather(folder, target)

    def write(self, sql: str, path: Path) -> None:
        """Write a query's rows to one Parquet file."""
        folder = self._write(sql, path.stem)
        gather(folder, path)
        shutil.rmtree(folder)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a small result, times naive UTC."""
        table = self._session.sql(sql).toArrow()
        rows: list[dict[str, Any]] = table.cast(_naive(table.schema)).to_pylist()
        return rows

    def rejects_sql(self, source: str) -> str:
        """Rows of the step ``rejected_<source>`` as the table ``rejects`` has them."""
        view = f"rejected_{source}"
        written: dict[str, Callable[[str], str]] = {
            "double": finite,
            "array<double>": lambda name: f"transform({name}, x -> {finite('x')})",
            # As text a time has as many digits as DuckDB gives it.
            "timestamp": lambda name: f"CAST({name} AS STRING)",
            "timestamp_ntz": lambda name: f"CAST({name} AS STRING)",
        }
        columns = ", ".join(
            f"{written[kind](name)} AS {name}" if kind in written else name
            for name, kind in self._session.table(view).dtypes
        )
        row = f"to_json(struct({columns}), map('ignoreNullFields', 'false'))"
        return (
            f"SELECT '{source}' AS source, source_file AS file, source_line AS line, key, reason, "
            f"detail, coalesce(raw, {row}) AS row FROM {view}"
        )

    def _write(self, sql: str, name: str) -> Path:
        folder = self.work / f"{name}.parquet"
        self._session.sql(sql).write.mode("overwrite").parquet(f"file://{folder}")
        return folder

    def _add_files(self, name: str, *paths: str) -> None:
        urls = [f"file://{path}" for path in paths]
        self._session.read.parquet(*urls).createOrReplaceTempView(name)


@dataclass(frozen=True, slots=True)
class _Reader:
    """One task, run where Spark sends it; what SQL reads in place is copied to ``work``."""

    read: Any
    work: Path

    def __call__(self, numbered: tuple[int, Any]) -> Part:
        number, task = numbered
        with DuckDBEngine(work=self.work, threads=1, memory_limit_mb=_TASK_MEMORY_MB) as engine:
            part: Part = self.read(engine, task, None)
            if not part.sql:
                return part
            origin = self.read.func.__name__
            path = self.work / f"copied_{origin}_{number}.parquet"
            engine.write(f"SELECT {', '.join(part.columns)} FROM ({part.sql})", path)
            return replace(part, staged=path, sql="")


def gather(folder: Path, path: Path) -> None:
    """Put the Parquet files of a folder into one, a few rows at a time."""
    files = sorted(part for part in folder.iterdir() if part.suffix == ".parquet")
    schema = _naive(pq.read_schema(files[0]))
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        for batch in _batches(files):
            writer.write_table(pa.Table.from_batches([batch]).cast(schema), _ROW_GROUP)


def _batches(files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for part in files:
        with pq.ParquetFile(part) as file:
            yield from file.iter_batches(_ROW_GROUP)


def _naive(schema: pa.Schema) -> pa.Schema:
    """The schema with times as the tables have them, and without Spark's notes."""
    fields = [
        pa.field(f.name, pa.timestamp("us") if pa.types.is_timestamp(f.type) else f.type)
        for f in schema
    ]
    return pa.schema(fields)


def _session(
    threads: int, memory_limit_mb: int, options: Mapping[str, str]
) -> tuple[bool, SparkSession]:
    """Whether Spark was started for it, and a session with settings and views of its own."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ConfigError(
            f"engine: spark needs Java and `pip install 'router-ml[spark]'` ({error})"
        ) from error
    running = SparkSession.getActiveSession()
    if running is None:
        defaults = {
            "spark.master": f"local[{threads}]",
            "spark.app.name": "router-ml join",
            "spark.driver.memory": f"{memory_limit_mb}m",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.shuffle.partitions": str(4 * threads),
        }
        builder = SparkSession.builder
        for key, value in {**defaults, **options}.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
    else:
        session = running
    own = session.newSession()
    for key, value in _SQL.items():
        own.conf.set(key, value)
    return running is None, own
