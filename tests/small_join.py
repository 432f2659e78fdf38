"""A few rows of a request log joined: what was made of them, by id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
from router_ml.data.outcomes import read_outcomes

PRICES: dict[str, dict[str, Any]] = {
    name: {"input_cost_per_token": 1e-6 * k, "output_cost_per_token": 4e-6 * k}
    for k, name in ((1, "small"), (2, "medium"), (10, "large"))
}
LABEL = {"name": "q", "value": 1, "source": "human", "time": "2026-03-02T00:00:00Z"}


def joined(
    folder: Path,
    rows: list[dict[str, Any]],
    *,
    labels: list[dict[str, Any]] | None = None,
    prices: dict[str, Any] | None = None,
    **changes: Any,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Accounts and outcomes by id of a small log."""
    (folder / "log.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    (folder / "prices.json").write_text(json.dumps(prices or PRICES), encoding="utf-8")
    values: dict[str, Any] = {
        "requests": str(folder / "log.jsonl"),
        "prices": str(folder / "prices.json"),
        "output": folder / "joined",
        "tolerance": 1.0,
    }
    if labels is not None:
        text = "\n".join(json.dumps(label) for label in labels)
        (folder / "labels.jsonl").write_text(text, encoding="utf-8")
        values["labels"] = str(folder / "labels.jsonl")
    return outcomes(run(load_config(JoinConfig, overrides={**values, **changes})))


def outcomes(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = read_outcomes(folder).to_dict("records")  # type: ignore[assignment]
    return report, {row["request_id"]: row for row in rows}


def rejected(report: dict[str, Any], source: str = "requests") -> dict[str, int]:
    found: dict[str, int] = report["accounting"][source]["rejected"]
    return found


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]
