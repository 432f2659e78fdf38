from __future__ import annotations

from datetime import datetime
from typing import Any

from pipelines.join.report import cannot_tell, render

ROW: dict[str, Any] = {
    "candidate": "small",
    "requests": 100,
    "labelled": 40,
    "with_propensity": 100,
    "with_latency": 0,
    "with_answer": 100,
    "mean_quality": 0.5,
    "mean_cost_usd": 0.001,
    "mean_latency_ms": None,
}


def test_what_a_log_lacks_is_said() -> None:
    other = {**ROW, "candidate": "large", "requests": 100, "labelled": 3}
    told = cannot_tell([ROW, other])
    assert told[0].startswith("100% of requests have no latency")
    assert any(line.startswith("78% of requests have no label") for line in told)
    assert any(line.startswith("large: fewer than 10 labels") for line in told)
    assert not any("propensity" in line or "answer" in line for line in told)
    assert cannot_tell([]) == ["no request was used"]


def test_money_is_shown_by_day_and_candidate_and_against_prices() -> None:
    days = [
        {"day": datetime(2026, 3, 1), "candidate": "small", "total_usd": 0.25},
        {"day": datetime(2026, 3, 1), "candidate": "large", "total_usd": 1.0},
        {"day": datetime(2026, 3, 2), "candidate": "small", "total_usd": 0.5},
    ]
    check = [{"candidate": "small", "requests": 9, "ratio": 1.1, "spread": 0.0}]
    accounting = {"requests": {"in": 9, "used": 9, "collapsed": {}, "excluded": {}, "rejected": {}}}
    text = render({"accounting": accounting, "costs": [], "days": days, "cost_check": check})
    assert "| day | all | large | small |" in text
    assert "| 2026-03-01 | 1.2500 | 1.0000 | 0.2500 |" in text
    assert "| 2026-03-02 | 0.5000 | – | 0.5000 |" in text
    assert "| small | 9 | 1.1 | 1.00 |" in text
