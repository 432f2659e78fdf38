"""Partitions that come twice, overlap or come late, and labels that arrive days after."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
from router_ml.data.outcomes import read_outcomes, to_matrices
from router_ml.evaluation.off_policy.log_feedback import feedback
from tests.dirty_decisions import CANDIDATES, PRICES
from tests.dirty_decisions import decision as decision_row
from tests.dirty_decisions import feedback as feedback_row

DAY = datetime(2026, 3, 1, tzinfo=UTC)
N = 300
LATE = timedelta(days=5)


def request(i: int) -> dict[str, Any]:
    """Ten minutes apart; all succeed."""
    begin = (DAY + timedelta(minutes=10 * i)).timestamp()
    return {
        "id": f"r{i:04d}",
        "call_type": "acompletion",
        "model": CANDIDATES[i % 2],
        "status": "success",
        "startTime": begin,
        "endTime": begin + 0.5,
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "messages": [{"role": "user", "content": f"Question {i}: mix blue and yellow?"}],
        "response": {"choices": [{"message": {"role": "assistant", "content": "Green."}}]},
        "metadata": {"router": {"propensity": 0.5, "candidates": list(CANDIDATES)}},
    }


def lines(rows: range) -> bytes:
    return b"".join(orjson.dumps(request(i), option=orjson.OPT_APPEND_NEWLINE) for i in rows)


def label(i: int, after: timedelta) -> dict[str, Any]:
    when = DAY + timedelta(minutes=10 * i) + after
    value = float(i % 4 > 0)
    return {"request_id": f"r{i:04d}", "name": "exact", "value": value, "source": "checker",
            "time": when.replace(tzinfo=None).isoformat()}  # fmt: skip


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Services on two hosts, an upload that was repeated, and one that overlaps another."""
    folder = tmp_path_factory.mktemp("late")
    (folder / "host-a").mkdir()
    (folder / "host-b").mkdir()
    (folder / "host-a" / "one.jsonl").write_bytes(lines(range(150)))
    with gzip.open(folder / "host-a" / "one-again.jsonl.gz", "wb") as again:
        again.write(lines(range(150)))
    (folder / "host-b" / "late.jsonl").write_bytes(lines(range(100, N)))
    soon = [label(i, timedelta(minutes=30)) for i in range(0, N, 2)]
    late = [label(i, LATE) for i in range(1, N, 2)]
    pd.DataFrame(soon).to_csv(folder / "labels-1.csv", index=False)
    pd.DataFrame(soon[:40] + late).to_csv(folder / "labels-2.csv", index=False)
    (folder / "prices.json").write_bytes(orjson.dumps(PRICES))
    return folder


def joined(log: Path, **changes: Any) -> tuple[Path, dict[str, Any]]:
    values = {
        "requests": [str(log / "host-*" / "*.jsonl*")],
        "labels": [str(log / "labels-*.csv")],
        "prices": str(log / "prices.json"),
        "output": log / "joined",
        **changes,
    }
    folder = run(load_config(JoinConfig, overrides=values))
    return folder, json.loads((folder / "report.json").read_text())["accounting"]


def balanced(account: dict[str, Any]) -> bool:
    fates = (account["collapsed"], account["excluded"], account["rejected"])
    return bool(account["in"] == account["used"] + sum(sum(fate.values()) for fate in fates))


def test_rows_that_come_twice_are_collapsed_and_counted(log: Path) -> None:
    folder, accounts = joined(log)
    frame = read_outcomes(folder)
    assert (len(frame), frame["request_id"].nunique()) == (N, N)
    assert accounts["requests"]["in"] == 150 + 150 + 200
    assert accounts["requests"]["collapsed"] == {"duplicate": 200}
    assert accounts["labels"]["collapsed"] == {"duplicate": 40}
    assert all(map(balanced, accounts.values()))
    assert frame["quality"].notna().all()
    assert set(frame["n_labels"]) == {1}


def test_files_in_another_order_give_the_same_outcomes(log: Path) -> None:
    frame = read_outcomes(joined(log)[0])
    names = ["host-b/late.jsonl", "host-a/one-again.jsonl.gz", "host-a/one.jsonl"]
    other = read_outcomes(
        joined(log, requests=[str(log / name) for name in names], output=log / "other")[0]
    )
    pd.testing.assert_frame_equal(frame, other)


def test_labels_that_are_on_their_way_are_no_failures(log: Path) -> None:
    """Half of the labels take five days: until then their requests are unlabelled, not wrong."""
    as_of = (DAY + timedelta(days=2, hours=3)).replace(tzinfo=None).isoformat()
    now = read_outcomes(joined(log, as_of=as_of, output=log / "now")[0])
    number = now["request_id"].str[1:].astype(int)
    assert now.loc[number % 2 == 1, "quality"].isna().all()
    assert (now["status"] == "success").all()
    seen = now["quality"].notna()
    assert now.loc[seen, "quality"].mean() == pytest.approx(np.mean(number[seen] % 4 > 0))
    # They join the decisions of days ago once they are there.
    later = read_outcomes(joined(log)[0]).set_index("request_id")
    told = later.loc[now.loc[~seen, "request_id"], "quality"]
    assert (told.to_numpy() == (number[~seen] % 4 > 0).to_numpy()).all()
    # What is missing counts as missing in estimates, too.
    quality, _ = feedback(to_matrices(now, CANDIDATES))
    assert quality.labelled.sum() == seen.sum()


def test_the_report_says_how_long_labels_take(log: Path) -> None:
    folder = joined(log)[0]
    report = json.loads((folder / "report.json").read_text())
    (delay,) = report["label_delay"]
    half = N // 2
    assert (delay["source"], delay["labels"]) == ("checker", N)
    assert (delay["within_hour"], delay["within_day"], delay["within_week"]) == (half, half, N)
    assert sum(row["requests"] for row in report["ages"]) == N
    assert [row["age"] for row in report["ages"]] == ["an hour", "a day", "a week"]
    text = (folder / "report.md").read_text()
    assert "| checker | 300 | 50.0% | 50.0% | 100.0% | 100.0% |" in text


def test_a_decision_log_of_several_writers_that_was_copied_counts_once(tmp_path: Path) -> None:
    """Feedback reaches another worker than the decision did, and comes after a copy was made."""
    (tmp_path / "decisions").mkdir()
    rows = [orjson.dumps(decision_row(i), option=orjson.OPT_APPEND_NEWLINE) for i in range(40)]
    told = [orjson.dumps(feedback_row(i), option=orjson.OPT_APPEND_NEWLINE) for i in range(40)]
    parts = {
        "decisions-20260301T120000-1-00001.jsonl": rows[:20] + told[:5],
        "decisions-20260301T120000-1-00002.jsonl": rows[20:] + told[5:10],  # another container
        "decisions-20260302T120000-7-00001.jsonl": told[10:],
    }
    for name, part in parts.items():
        (tmp_path / "decisions" / name).write_bytes(b"".join(part))
    with gzip.open(tmp_path / "decisions" / "decisions-archived.jsonl.gz", "wb") as copy:
        copy.write(b"".join(rows[:20] + told[:5]))
    (tmp_path / "prices.json").write_bytes(orjson.dumps(PRICES))
    folder = run(
        load_config(
            JoinConfig,
            overrides={
                "decisions": str(tmp_path / "decisions"),
                "prices": str(tmp_path / "prices.json"),
                "output": tmp_path / "joined",
                "tolerance": 0.3,
            },
        )
    )
    accounts = json.loads((folder / "report.json").read_text())["accounting"]
    frame = read_outcomes(folder)
    assert len(frame) == frame["decision_id"].nunique()
    assert accounts["decisions"]["collapsed"] == {"duplicate": 20}
    assert accounts["feedback"]["collapsed"].get("duplicate") == 5
    assert all(map(balanced, accounts.values()))
    assert frame["quality"].notna().mean() > 0.9
