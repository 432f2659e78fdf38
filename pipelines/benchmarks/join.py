"""How long the join takes on millions of generated requests, and in how much memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import duckdb
import orjson

from pipelines.config import JoinConfig, dump_config
from pipelines.join.engine import PARQUET, quote
from router_ml.errors import DataError

SIZES: Final = (1_000_000, 10_000_000)
N_CANDIDATES: Final = 12
N_ELIGIBLE: Final = 4
N_PROMPTS: Final = 250_000
DIRT: Final = 1_000
"""One row in so many is repeated, negative, or a label of no request."""
PART_ROWS: Final = 1_000_000

_CHILD: Final = """
import resource, sys, time
from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
config = load_config(JoinConfig, sys.argv[1])
begin = time.perf_counter()
run(config)
seconds = time.perf_counter() - begin
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def benchmark(*, sizes: tuple[int, int] = SIZES, random_state: int = 0) -> dict[str, float]:
    """Time ``join`` on canonical Parquet of two sizes, each in its own process.

    Everything counts: checks, rejects, splits, report, and writing the outcomes. The second size
    should be ten times the first.

    Returns
    -------
    ``seconds_1m``, ``seconds_10m``, ``peak_mb_10m`` and ``growth``, the ratio of the two times.
    """
    measured = []
    for n in sizes:
        folder = Path(tempfile.mkdtemp(prefix="join-bench-"))
        try:
            config = write_log(folder, n=n, random_state=random_state)
            measured.append(measure(config, folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    (small_s, _), (large_s, large_mb) = measured
    return {
        "seconds_1m": small_s,
        "seconds_10m": large_s,
        "peak_mb_10m": large_mb,
        "growth": large_s / small_s,
    }


def measure(config: JoinConfig, folder: Path) -> tuple[float, float]:
    """Seconds of the join, and the peak resident megabytes of its process; checks its accounts."""
    dump_config(config, folder / "bench.yaml")
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(folder / "bench.yaml")],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise DataError(f"the join failed in the benchmark: {done.stderr.strip()[-2000:]}")
    report = orjson.loads((config.output / "report.json").read_bytes())
    if not report["accounting"]["requests"]["rejected"].get("negative_tokens"):
        raise DataError("the join found none of the bad rows that the benchmark made")
    seconds, peak_mb = map(float, done.stdout.split())
    return seconds, peak_mb


def write_log(folder: Path, *, n: int, random_state: int = 0) -> JoinConfig:
    """Write ``n`` canonical requests, labels for half of them, and prices that change once.

    Prompts are about 120 characters, a quarter of a million of them; every request lists the four
    candidates eligible for it; one row in a thousand is repeated, and one has negative tokens.
    Requests and labels are in files of a million requests each, ``part=0/requests.parquet`` and so
    on.
    """
    with duckdb.connect(config={"threads": 2, "preserve_insertion_order": False}) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")

        def copy(sql: str, path: Path) -> None:
            connection.execute(f"COPY ({sql}) TO {quote(path)} ({PARQUET})")

        for part, begin in enumerate(range(0, n, PART_ROWS)):
            place = folder / f"part={part}"
            place.mkdir(parents=True)
            end = min(n, begin + PART_ROWS)
            copy(_requests_sql(begin, end, random_state), place / "requests.parquet")
            copy(_labels_sql(begin, end, random_state), place / "labels.parquet")
        copy(_prices_sql(), folder / "prices.parquet")
    return JoinConfig(
        requests=(str(folder / "part=*/requests.parquet"),),
        labels=(str(folder / "part=*/labels.parquet"),),
        prices=(str(folder / "prices.parquet"),),
        output=folder / "joined",
    )


def _requests_sql(begin: int, end: int, seed: int) -> str:
    first, last = -(-begin // DIRT), -(-end // DIRT)
    offered = ", ".join(
        f"printf('candidate-%02d', (h + {step}) % {N_CANDIDATES})" for step in range(N_ELIGIBLE)
    )
    return f"""
    WITH drawn AS (
        SELECT i, hash({seed}::VARCHAR || 'h' || i) AS h, hash({seed}::VARCHAR || 'g' || i) AS g,
               hash({seed}::VARCHAR || 'p' || i) % {N_PROMPTS} AS prompt
        FROM (SELECT i FROM range({begin}, {end}) t(i)
              UNION ALL SELECT i * {DIRT} FROM range({first}, {last}) t(i)))
    SELECT printf('req-%09d', i) AS request_id,
           TIMESTAMP '2026-01-01' + to_milliseconds(i * 250) AS time,
           substr(md5(prompt::VARCHAR), 1, 24) AS query_id,
           substr(md5(prompt::VARCHAR), 1, 24) AS group_id,
           'user-' || (g % 5000)::VARCHAR AS user_id,
           printf('candidate-%02d', h % {N_CANDIDATES}) AS candidate_chosen,
           printf('candidate-%02d', h % {N_CANDIDATES}) AS candidate_served,
           [{offered}] AS eligible,
           1.0::DOUBLE / {N_ELIGIBLE} AS propensity,
           'uniform-v1' AS policy_version,
           'Request ' || prompt::VARCHAR || ': ' || repeat(md5((prompt + 1)::VARCHAR) || ' ', 3)
               AS query,
           CASE WHEN g % {DIRT} = 1 THEN -1 ELSE 50 + h % 900 END::BIGINT AS input_tokens,
           (10 + g % 400)::BIGINT AS output_tokens,
           CASE WHEN h % 3 = 0 THEN (g % 1000) / 1e6 END AS cost_usd,
           200.0 + g % 3000 AS latency_ms,
           CASE WHEN h % 200 = 0 THEN 'failure' ELSE 'success' END AS status
    FROM drawn"""


def _labels_sql(begin: int, end: int, seed: int) -> str:
    """Labels of every second request; a tenth of them by two sources, some of no request."""
    return f"""
    WITH drawn AS (
        SELECT i, hash({seed}::VARCHAR || 'l' || i) AS h,
               printf(CASE WHEN i % {2 * DIRT} = 0 THEN 'gone-%09d' ELSE 'req-%09d' END, i) AS id
        FROM (SELECT 2 * i AS i FROM range({begin // 2}, {end // 2}) t(i)))
    SELECT id AS request_id, 'exact_match' AS name, (h % 4 > 0)::INT::DOUBLE AS value,
           'checker' AS source, 1.0::DOUBLE AS weight,
           TIMESTAMP '2026-01-02' + to_milliseconds(i * 250) AS time
    FROM drawn WHERE h % 10 > 0
    UNION ALL
    SELECT id, 'thumbs', (h % 20 > 0)::INT::DOUBLE, 'user', 0.5::DOUBLE,
           TIMESTAMP '2026-01-03' + to_milliseconds(i * 250)
    FROM drawn WHERE h % 10 < 2"""


def _prices_sql() -> str:
    return f"""
    SELECT printf('candidate-%02d', k) AS candidate, w.valid_from, w.valid_to,
           (0.1 + k) * w.factor AS input_usd_per_mtok, (0.4 + 4 * k) * w.factor
               AS output_usd_per_mtok
    FROM range({N_CANDIDATES}) t(k)
    CROSS JOIN (VALUES (NULL, TIMESTAMP '2026-01-10', 1.0::DOUBLE),
                       (TIMESTAMP '2026-01-10', NULL, 0.8::DOUBLE)) w(valid_from, valid_to, factor)
    """
