"""DuckDB and Spark SQL run the same steps: they must give the same outcomes, rejects and report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest

from pipelines.benchmarks.join import write_log
from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
from router_ml.errors import JoinError
from tests.dirty_log import AS_OF, write_dirty_log
from tests.late_log import write_late_log

DATA = os.environ.get("ROUTER_ML_DATA")
CODEGEN = "spark.sql.codegen.factoryMode"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java"),
    # What Spark's own modules do when they are imported.
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def spark() -> Iterator[Any]:
    """One Spark for all tests: the engine uses a session that is open."""
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        # Tables are small: to compile the JVM's code and queries costs more than to run them.
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .config(CODEGEN, "NO_CODEGEN")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture
def compiled(spark: Any) -> Iterator[None]:
    """Queries are compiled, as Spark does by itself."""
    spark.conf.set(CODEGEN, "FALLBACK")
    yield
    spark.conf.set(CODEGEN, "NO_CODEGEN")


def by_both(config: JoinConfig, folder: Path) -> tuple[Path, Path]:
    """Folders of the same join on DuckDB and on Spark."""
    return (
        run(replace(config, output=folder / "duckdb")),
        run(replace(config, output=folder / "spark", engine="spark")),
    )


def assert_same(first: Path, second: Path) -> None:
    outcomes = [pd.read_parquet(folder / "outcomes.parquet") for folder in (first, second)]
    a, b = (frame.sort_values("request_id", ignore_index=True) for frame in outcomes)
    assert len(a)
    pd.testing.assert_frame_equal(a, b, rtol=1e-12)
    assert rejects(first) == rejects(second)
    for name in ("outcomes", "prices", "rejects"):
        types = [pd.read_parquet(folder / f"{name}.parquet").dtypes for folder in (first, second)]
        assert types[0].equals(types[1]), name
    reports = [orjson.loads((folder / "report.json").read_bytes()) for folder in (first, second)]
    assert_close(*reports)


def rejects(folder: Path) -> list[list[Any]]:
    """Every reject in order, its row as what the JSON says."""
    frame = pd.read_parquet(folder / "rejects.parquet").astype(object)
    frame = frame.sort_values(["source", "file", "line", "reason"])
    frame = frame.where(frame.notna(), None)
    return [[*rest, read_row(row)] for *rest, row in frame.to_numpy().tolist()]


def read_row(text: str | None) -> Any:
    """What JSON says; the line itself where a log is no JSON."""
    try:
        return orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return text


def assert_close(first: Any, second: Any, where: str = "report") -> None:
    if isinstance(first, dict):
        assert list(first) == list(second), where
        for key in first:
            assert_close(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list):
        assert len(first) == len(second), where
        for i, pair in enumerate(zip(first, second, strict=True)):
            assert_close(*pair, f"{where}[{i}]")
    elif isinstance(first, float):
        assert second == pytest.approx(first, rel=1e-12, nan_ok=True), where
    else:
        assert first == second, where


def test_the_dirty_log(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    log = write_dirty_log(tmp_path / "log")
    config = load_config(
        JoinConfig,
        overrides={
            "requests": str(log.folder / "requests.jsonl.gz"),
            "labels": str(log.folder / "labels.csv"),
            "prices": str(log.folder / "prices.csv"),
            "output": tmp_path / "joined",
            "label_ranges": {"stars": (1.0, 5.0)},
            "as_of": AS_OF,
            "tolerance": 0.3,
        },
    )
    assert_same(*by_both(config, tmp_path))
    with pytest.raises(JoinError) as told:
        run(replace(config, tolerance=0.01, output=tmp_path / "a"))
    with pytest.raises(JoinError) as told_by_spark:
        run(replace(config, tolerance=0.01, output=tmp_path / "b", engine="spark"))
    assert str(told_by_spark.value).replace("/b/", "/a/") == str(told.value)


@pytest.mark.skipif(DATA is None, reason="ROUTER_ML_DATA is not set")
def test_a_real_log(tmp_path: Path) -> None:
    folder = Path(str(DATA)) / "bfcl"
    names = {"requests": "requests.jsonl.gz", "labels": "labels.csv", "prices": "prices.json"}
    places = {key: str(folder / name) for key, name in names.items()}
    overrides = {**places, "output": tmp_path / "joined", "as_of": "2030-01-01"}
    assert_same(*by_both(load_config(JoinConfig, overrides=overrides), tmp_path))


def test_labels_that_come_late_where_time_splits(tmp_path: Path) -> None:
    config = replace(write_late_log(tmp_path / "log", bad_days=1.0), split_by="time")
    assert_same(*by_both(config, tmp_path))
    report = orjson.loads((tmp_path / "spark" / "report.json").read_bytes())
    assert report["accounting"]["labels"]["excluded"]["not_settled"] > 100


@pytest.mark.usefixtures("compiled")
def test_partitions_of_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.benchmarks.join.PART_ROWS", 2_000)
    config = replace(write_log(tmp_path, n=5_000), split_by="time")
    assert_same(*by_both(config, tmp_path))
    report = orjson.loads((tmp_path / "spark" / "report.json").read_bytes())
    assert report["accounting"]["requests"]["in"] == 5_005
    assert report["accounting"]["requests"]["collapsed"] == {"duplicate": 5}
