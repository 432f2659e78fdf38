"""Train on a part of a long log: every request is drawn with the same known probability."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

_SALT: Final = "training-rows"
_HASHES: Final = 2**32
_MEMORY_MB: Final = 2_000


def sample_outcomes(
    outcomes: Path, split: str, most: int, work: Path, *, salt: str = _SALT
) -> tuple[pa.Table, float] | None:
    """About ``most`` requests of a split, drawn by a hash of their id; and their probability.

    Every request is as likely as every other, so the inverse of the probability is one weight for
    all, and what is estimated from the rows (how likely a label is, what versions of a policy
    chose) is estimated as from the whole log. A smaller sample is part of a larger one, and a
    request that was in the sample of a shorter log tends to be in that of a longer one. What is not
    drawn is never in memory.

    Parameters
    ----------
    outcomes : file that the join wrote
    most : rows wanted; ``None`` is returned where there are no more than that
    work : folder for what does not fit in memory
    salt : another one draws other rows
    """
    file = {"file": glob.escape(str(outcomes)), "split": split}
    source = "read_parquet($file, hive_partitioning = false)"
    config: dict[str, str | bool | int | float | list[str]] = {
        "temp_directory": str(work),
        "memory_limit": f"{_MEMORY_MB}MB",
        "preserve_insertion_order": False,
    }
    with duckdb.connect(config=config) as connection:
        counted = f"SELECT count(*) FROM {source} WHERE split = $split"
        n = connection.execute(counted, file).fetchall()[0][0]
        if n <= most:
            return None
        drawn = connection.sql(
            f"SELECT * FROM {source} WHERE split = $split AND CAST(concat('0x', "
            "substr(md5(concat($salt, ':', request_id)), 1, 8)) AS BIGINT) < $bound",
            params={**file, "salt": salt, "bound": most / n * _HASHES},
        ).to_arrow_table()
    return drawn, most / n
