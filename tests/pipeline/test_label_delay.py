"""Labels that come late where the answer was bad: the early ones do not judge young requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from pipelines.artifacts import JoinedFolder
from pipelines.config import JoinConfig
from pipelines.stages import join
from router_ml.data.outcomes import read_outcomes

START = datetime(2026, 3, 1)
DAYS, A_DAY, GOOD = 20, 200, 0.6
NOW = START + timedelta(days=DAYS)


def write_late_log(folder: Path, *, bad_days: float) -> JoinConfig:
    """Good answers are labelled within minutes, bad ones within ``bad_days`` on average."""
    rng = np.random.default_rng(0)
    requests, labels = [], []
    for i in range(DAYS * A_DAY):
        at = START + timedelta(days=i / A_DAY)
        failed = bool(rng.random() < 0.05)
        began = at.replace(tzinfo=UTC).timestamp()
        requests.append(
            {
                "id": f"r{i}", "call_type": "acompletion", "model": "small",
                "startTime": began, "endTime": began + 1.0,
                "prompt_tokens": 10, "completion_tokens": 10,
                "messages": [{"role": "user", "content": f"question {i}"}],
                "status": "failure" if failed else "success",
            }
        )  # fmt: skip
        right = bool(rng.random() < GOOD)
        delay = rng.exponential(0.003 if right else bad_days)
        if not failed and rng.random() < 0.8:
            labels.append((f"r{i}", float(right), at + timedelta(days=delay)))
    folder.mkdir()
    lines = b"".join(orjson.dumps(row) + b"\n" for row in requests)
    (folder / "requests.jsonl").write_bytes(lines)
    there = [row for row in labels if row[2] <= NOW]  # the export's end
    frame = pd.DataFrame(there, columns=["request_id", "value", "time"])
    frame.assign(name="exact", source="human").to_csv(folder / "labels.csv", index=False)
    price = {"small": {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}}
    (folder / "prices.json").write_bytes(orjson.dumps(price))
    return JoinConfig(
        requests=(str(folder / "requests.jsonl"),),
        labels=(str(folder / "labels.csv"),),
        prices=(str(folder / "prices.json"),),
        output=folder / "joined",
        naive_times_are_utc=True,
        failure_quality=0.0,
    )


def joined(config: JoinConfig) -> tuple[pd.DataFrame, dict[str, Any], str]:
    folder = JoinedFolder(join.run(config))
    report = json.loads(folder.report.read_text(encoding="utf-8"))
    return read_outcomes(folder.root), report, folder.summary.read_text(encoding="utf-8")


def test_a_delay_that_depends_on_the_outcome_does_not_flatter_the_newest(tmp_path: Path) -> None:
    config = write_late_log(tmp_path / "log", bad_days=1.0)
    outcomes, report, text = joined(config)
    young = outcomes[outcomes["time"] > pd.Timestamp(NOW - timedelta(days=2))]
    assert len(young) == pytest.approx(2 * A_DAY, abs=1)
    assert young["quality"].isna().all()  # failures, too, which need no label
    settled = outcomes["quality"].dropna()
    error = np.sqrt(GOOD * (1 - GOOD) / len(settled))
    served = outcomes["status"] == "success"
    assert outcomes.loc[served, "quality"].mean() == pytest.approx(GOOD, abs=3.0 * error)
    account = report["accounting"]["labels"]
    left_out = account["excluded"]["not_settled"]
    assert left_out > 100
    assert account["in"] == account["used"] + sum(account["excluded"].values())
    assert "requests from 2026-03-16 23:" in text


def test_all_labels_count_where_that_is_asked_for(tmp_path: Path) -> None:
    config = write_late_log(tmp_path / "log", bad_days=1.0)
    outcomes, report, _ = joined(JoinConfig(**{**vars_of(config), "label_settled": 0.0}))
    young = outcomes[outcomes["time"] > pd.Timestamp(NOW - timedelta(days=1))]
    served = young["status"] == "success"
    assert young.loc[served, "quality"].mean() > GOOD + 0.1  # as the bad ones are not told yet
    assert "not_settled" not in report["accounting"]["labels"].get("excluded", {})


@pytest.mark.parametrize(
    ("bad_days", "said"),
    [
        (0.003, "none is left out"),
        (2.0, "more than a quarter"),
        (9.0, "the log is too short for it"),
    ],
)
def test_nothing_is_left_out_without_need_or_beyond_reason(
    bad_days: float, said: str, tmp_path: Path
) -> None:
    _, report, text = joined(write_late_log(tmp_path / "log", bad_days=bad_days))
    assert "not_settled" not in report["accounting"]["labels"].get("excluded", {})
    assert said in text


def vars_of(config: JoinConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}
