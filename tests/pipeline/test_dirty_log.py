"""A log in which everything goes wrong in known numbers: every row must be accounted for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
from router_ml.data.outcomes import read_outcomes
from router_ml.data.schemas import OUTCOMES, REJECTS
from router_ml.errors import JoinError
from tests.dirty_log import AS_OF, START, DirtyLog, write_dirty_log


def dirty_config(folder: Path, **changes: Any) -> JoinConfig:
    return load_config(
        JoinConfig,
        overrides={
            "requests": str(folder / "requests.jsonl.gz"),
            "labels": str(folder / "labels.csv"),
            "prices": str(folder / "prices.csv"),
            "output": folder / "joined",
            "label_ranges": {"stars": (1.0, 5.0)},
            "as_of": AS_OF,
            "tolerance": 0.3,
            **changes,
        },
    )


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> DirtyLog:
    log = write_dirty_log(tmp_path_factory.mktemp("dirty"))
    run(dirty_config(log.folder))
    return log


@pytest.fixture(scope="module")
def report(dirty: DirtyLog) -> dict[str, Any]:
    loaded: dict[str, Any] = orjson.loads((dirty.folder / "joined/report.json").read_bytes())
    return loaded


@pytest.mark.parametrize("source", ["requests", "labels", "prices"])
def test_every_row_meets_the_fate_it_was_made_for(
    dirty: DirtyLog, report: dict[str, Any], source: str
) -> None:
    expected = getattr(dirty, source)
    account = report["accounting"][source]
    for fate in ("collapsed", "excluded", "rejected"):
        assert account[fate] == expected[fate]
    assert account["used"] == expected["used"][""]
    rows_in = sum(n for fate in expected.values() for n in fate.values())
    assert account["in"] == rows_in


def test_rejects_say_where_and_why(dirty: DirtyLog) -> None:
    table = pq.read_table(dirty.folder / "joined/rejects.parquet")
    assert tuple(table.column_names) == REJECTS.names
    rows = table.to_pylist()
    reasons = Counter((row["source"], row["reason"]) for row in rows)
    for source in ("requests", "labels", "prices"):
        for reason, n in getattr(dirty, source)["rejected"].items():
            assert reasons[source, reason] == n
    malformed = [r for r in rows if r["source"] == "requests" and r["reason"] == "malformed_line"]
    lines = [row["line"] for row in malformed]
    assert max(lines) - min(lines) == 2
    assert {row["row"] for row in malformed} >= {"{not json"}
    assert all(row["file"].endswith("requests.jsonl.gz") for row in malformed)
    negative = next(row for row in rows if row["reason"] == "negative_tokens")
    assert orjson.loads(negative["row"])["input_tokens"] == -5
    assert negative["key"].startswith("req-")
    unreadable = next(row for row in rows if row["reason"] == "unreadable_input_tokens")
    assert "many" in unreadable["detail"]


def test_repairs_are_counted(dirty: DirtyLog, report: dict[str, Any]) -> None:
    assert report["repairs"] == dirty.repairs


def test_outcomes_hold_each_used_request_once(dirty: DirtyLog) -> None:
    frame = read_outcomes(dirty.folder / "joined")
    assert tuple(frame.columns) == OUTCOMES.names
    assert len(frame) == dirty.requests["used"][""]
    assert frame["request_id"].is_unique


def test_labels_combine_by_source_priority(dirty: DirtyLog) -> None:
    frame = read_outcomes(dirty.folder / "joined").set_index("request_id")
    checked = frame.loc["req-00251"]  # checker says 1; a human gave 2 of 5 stars
    assert (checked["quality"], checked["label_source"], checked["n_labels"]) == (1.0, "checker", 2)
    starred = frame.loc["req-00301"]  # only the human: 1 + 51 % 5 = 2 stars
    assert (starred["quality"], starred["label_source"]) == (0.25, "human")
    assert frame["quality"].isna()["req-00405"]  # its label came after as_of
    failed = frame[frame["status"] == "failure"]
    assert len(failed) == 8
    assert (failed["quality"] == 0.0).all()
    assert set(failed["label_source"]) == {"failure"}


def test_mean_over_all_sources_is_an_option(dirty: DirtyLog, tmp_path: Path) -> None:
    run(dirty_config(dirty.folder, label_combine="mean", output=tmp_path))
    row = read_outcomes(tmp_path).set_index("request_id").loc["req-00251"]
    assert (row["quality"], row["label_source"], row["label_weight"]) == (0.625, "mean", 2.0)


def test_cost_is_tokens_times_the_price_in_force(dirty: DirtyLog) -> None:
    frame = read_outcomes(dirty.folder / "joined")
    small = frame[(frame["candidate_served"] == "small") & (frame["status"] == "success")]
    assert set(small["cost_source"]) == {"price"}
    new_price = small["time"] >= pd.Timestamp("2026-03-01 18:00")
    assert 0 < new_price.sum() < len(small)
    rate = new_price.map({False: 1.0, True: 0.5})
    expected = (small["input_tokens"] + 2 * small["output_tokens"]) * rate / 1e6
    assert small["cost_usd"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-12)


def test_times_are_utc_whatever_their_zone(dirty: DirtyLog) -> None:
    frame = read_outcomes(dirty.folder / "joined").set_index("request_id")
    zoned = frame.loc["req-00602"]["time"]
    assert zoned == pd.Timestamp(START.replace(tzinfo=None)) + pd.Timedelta(hours=2)


def test_rejects_above_the_tolerance_stop_the_job(dirty: DirtyLog, tmp_path: Path) -> None:
    with pytest.raises(JoinError, match=r"prices: 2 of 8 rows rejected \(25.0%\)") as caught:
        run(dirty_config(dirty.folder, tolerance=0.24, output=tmp_path))
    assert "prices.csv:8" in str(caught.value)
    assert "invalid_price 1" in str(caught.value)
    assert (tmp_path / "rejects.parquet").exists()
    assert not (tmp_path / "outcomes.parquet").exists()


def test_excluding_less_keeps_more(dirty: DirtyLog, tmp_path: Path) -> None:
    run(dirty_config(dirty.folder, exclude=["judge_call", "shadow", "not_chat"], output=tmp_path))
    frame = read_outcomes(tmp_path)
    assert len(frame) == dirty.requests["used"][""] + 9 + 3
    assert (frame["candidate_chosen"] != frame["candidate_served"]).sum() == 4


def test_failed_requests_can_be_left_out(dirty: DirtyLog, tmp_path: Path) -> None:
    config = replace(dirty_config(dirty.folder), failure_quality=None, output=tmp_path)
    run(config)
    report = orjson.loads((tmp_path / "report.json").read_bytes())
    assert report["accounting"]["requests"]["excluded"]["failed"] == 8
    assert (read_outcomes(tmp_path)["status"] == "success").all()
