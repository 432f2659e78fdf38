"""A decision log as the service writes it, of traffic whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from serving.log.decision_log import DecisionLog
from serving.log.rows import DecisionRow, FeedbackRow

START = datetime(2026, 3, 2, 8, 0)
CANDIDATES = ("large", "small")


def feedback_row(decision_id: str, **given: Any) -> FeedbackRow:
    """A user's quality of 1, and nothing else but what is given."""
    values: dict[str, Any] = {
        "time": "2026-01-01T00:00:00",
        "name": "quality",
        "source": "user",
        "quality": 1.0,
        "candidate_served": None,
        "input_tokens": None,
        "output_tokens": None,
        "cost_usd": None,
        "latency_ms": None,
        "ttft_ms": None,
        "status": None,
        "error_class": None,
    }
    return FeedbackRow(decision_id=decision_id, **{**values, **given})


def write_decisions(
    folder: Path,
    n: int,
    *,
    first: int = 0,
    right: Callable[[int, str], float] = lambda i, candidate: 0.85,
    told: float = 1.0,
    latency: Callable[[int, str], float] = lambda i, candidate: 800.0,
    report: Callable[[int, str], dict[str, Any]] = lambda i, candidate: {},
    bundle_id: str = "b1",
    query: Callable[[int], str | None] = lambda i: None,
    task: Callable[[int], str | None] = lambda i: ("sql", "chat")[i % 2],
    random_state: int = 0,
) -> Path:
    """Decisions number ``first`` to ``first + n`` and feedback on a share ``told`` of them.

    Parameters
    ----------
    right : probability of a right answer, by number and candidate; 0.85 is predicted
    latency : median milliseconds; 800 are predicted
    report : further fields of the feedback
    query : what is asked; none by default
    task : tag of a request
    """
    rng = np.random.default_rng([random_state, first])
    log = DecisionLog(folder=folder, fsync="never", flush_s=0.01)
    ranking = tuple(
        {"candidate": name, "quality": 0.85, "cost_usd": 0.001, "latency_ms": 800.0, "utility": 0.8}
        for name in CANDIDATES
    )
    for i in range(first, first + n):
        candidate = CANDIDATES[int(rng.random() < 0.4)]
        said = query(i)
        at = START + timedelta(seconds=10 * i)
        log.append(
            DecisionRow(
                decision_id=f"d{i:06d}",
                time=at.isoformat(),
                request_id=f"r{i:06d}",
                session_id=None,
                tags=None if task(i) is None else {"task": str(task(i))},
                arm="default",
                router="router",
                router_version="1",
                bundle_id=bundle_id,
                override_digest="",
                policy="boltzmann",
                candidate=candidate,
                propensity=0.5,
                candidates=CANDIDATES,
                action_probs=(0.6, 0.4),
                ranking=ranking,
            ),
            {} if said is None else {"query": said},
        )
        if rng.random() >= told:
            continue
        given: dict[str, Any] = {
            "quality": float(rng.random() < right(i, candidate)),
            "candidate_served": candidate,
            "input_tokens": 100,
            "output_tokens": int(rng.integers(20, 200)),
            "latency_ms": float(latency(i, candidate) * np.exp(0.4 * rng.normal())),
            "status": "success",
            **report(i, candidate),
        }
        time = (at + timedelta(seconds=5)).isoformat()
        log.append(feedback_row(f"d{i:06d}", time=time, name="check", source="checker", **given))
    log.close()
    return folder
