"""Steps that are written for some files after the others."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from pipelines.benchmarks import join as generated
from pipelines.join import engine
from pipelines.stages import join


def test_outcomes_by_parts_are_those_of_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generated, "PART_ROWS", 1_000)
    config = generated.write_log(tmp_path, n=4_000)
    tables = []
    written: list[int] = []
    by_parts = engine.DuckDBEngine._write_parts

    def counted(
        self: engine.DuckDBEngine, sql: str, path: Path, parts: list[tuple[list[str], int, int]]
    ) -> None:
        written.append(len(parts))
        by_parts(self, sql, path, parts)

    monkeypatch.setattr(engine.DuckDBEngine, "_write_parts", counted)
    for rows in (engine.PART_ROWS, 2_500, 1):
        monkeypatch.setattr(engine, "PART_ROWS", rows)
        folder = join.run(config)
        table = pq.read_table(folder / "outcomes.parquet").sort_by("request_id")
        report = orjson.loads((folder / "report.json").read_bytes())
        tables.append((table, report))
    assert written == [2, 4]
    whole, expected = tables[0]
    assert whole.num_rows > 3_900
    assert whole.column("quality").null_count < whole.num_rows
    for table, told in tables[1:]:
        assert (table.schema.names, table.schema.types) == (whole.schema.names, whole.schema.types)
        assert table.cast(whole.schema).equals(whole)
        assert told["accounting"] == expected["accounting"]
        assert told["labels"] == expected["labels"]
