"""A log whose bad answers are labelled later than its good ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import pandas as pd

from pipelines.config import JoinConfig

START = datetime(2026, 3, 1)
DAYS, A_DAY, GOOD = 20, 200, 0.6
NOW = START + timedelta(days=DAYS)


def write_late_log(folder: Path, *, bad_days: float, good_days: float = 0.003) -> JoinConfig:
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
        delay = rng.exponential(good_days if right else bad_days)
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
