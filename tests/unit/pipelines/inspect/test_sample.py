"""First rows of a file that somebody names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.inspect.sample import read_sample
from router_ml.errors import SchemaError


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(SchemaError, match=r"log.parquet is not Parquet: .*; export it again"):
        read_sample(str(tmp_path / "log.parquet"))
