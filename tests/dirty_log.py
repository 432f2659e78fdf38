"""A request log with labels and prices in which everything that goes wrong, goes wrong n times."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CANDIDATES = ("small", "medium", "large")
OFFERED = [*CANDIDATES, "newcomer", "unpriced"]
N_GOOD = 600
AS_OF = START + timedelta(days=20)


@dataclass(frozen=True)
class DirtyLog:
    """Where the files are, and what became of their rows if the join is right."""

    folder: Path
    requests: dict[str, dict[str, int]]
    labels: dict[str, dict[str, int]]
    prices: dict[str, dict[str, int]]
    repairs: dict[str, int]


def request(i: int, **changes: Any) -> dict[str, Any]:
    """A good line of a LiteLLM log, with some keys replaced; None removes a key."""
    begin = START + timedelta(minutes=i)
    row: dict[str, Any] = {
        "id": f"req-{i:05d}",
        "call_type": "acompletion",
        "model": CANDIDATES[i % 3],
        "model_group": "auto",
        "status": "success",
        "startTime": begin.timestamp(),
        "endTime": begin.timestamp() + 0.5,
        "response_time": 0.5,
        "prompt_tokens": 100 + i % 7,
        "completion_tokens": 10 + i % 5,
        "response_cost": None,
        "cache_hit": False,
        "messages": [{"role": "user", "content": f"Question {i % 200}, please."}],
        "response": {"choices": [{"message": {"role": "assistant", "content": "Answer."}}]},
        "model_parameters": {},
        "metadata": {"router": {"propensity": 0.25, "candidates": OFFERED}},
    }
    row.update(changes)
    return {key: value for key, value in row.items() if value is not None}


def _router(**changes: Any) -> dict[str, Any]:
    return {"router": {"propensity": 0.25, "candidates": OFFERED} | changes}


def _tool() -> dict[str, Any]:
    return {"name": "lookup", "description": "Find it.", "parameters": {"type": "object"}}


def write_dirty_log(folder: Path) -> DirtyLog:
    """Write ``requests.jsonl.gz``, ``labels.csv`` and ``prices.csv``, and say what to expect."""
    lines: list[bytes] = []
    number = iter(range(100_000))

    def add(n: int, **changes: Any) -> list[str]:
        rows = [request(next(number), **changes) for _ in range(n)]
        lines.extend(orjson.dumps(row) for row in rows)
        return [row.get("id", "") for row in rows]

    good = add(N_GOOD)
    east = timezone(timedelta(hours=5, minutes=30))
    for hours in range(4):  # offsets differ, all are times: used
        zoned = (START + timedelta(hours=hours)).astimezone(east).isoformat()
        add(1, startTime=zoned, endTime=None)
    add(7, model_parameters={"tools": _tool()})
    failed = add(8, status="failure", prompt_tokens=None, completion_tokens=None)
    priced_late = add(1, model="newcomer", startTime=(START + timedelta(days=15)).timestamp())
    used = len(good) + 4 + 7 + len(failed) + len(priced_late)

    lines.extend(lines[i] for i in (0, 10, 20, 20, 30, 40))
    fallbacks = add(5, metadata=_router() | {"attempted_fallbacks": 1})
    fallbacks += add(4, metadata=_router(candidate="small"), model="large")
    add(5, metadata=_router() | {"internal_call_origin": "complexity_classifier"})
    add(4, metadata=_router() | {"is_silent_experiment": True}, model="unpriced")
    add(2, call_type="aembedding")
    add(3, cache_hit="True")
    add(2, startTime=(AS_OF + timedelta(days=1)).timestamp())

    lines.extend([b"{not json", b'["a", "list"]', b'{"id": "cut off'])
    lines.append(b"   ")  # a blank line is no row
    negative = add(4, prompt_tokens=-5)
    add(2, completion_tokens=99_999_999_999)
    add(2, prompt_tokens="many")
    add(1, completion_tokens=None)
    add(3, model="unpriced")
    add(2, model="newcomer")  # its price begins ten days later
    add(3, startTime="2026-03-02 08:00:00", endTime=None)
    add(1, startTime=START.timestamp() * 1000)
    add(1, startTime="yesterday")
    add(2, messages={})
    add(1, messages=[{"role": "user", "content": "  "}])
    add(1, messages=[{"content": "who speaks?"}])
    add(1, model_parameters={"tools": "lookup"})
    add(2, metadata=_router(propensity=0.0))
    add(1, metadata=_router(candidates=["elsewhere"]))
    add(1, response_time=-1.0)
    add(1, response_cost=-0.2)
    add(1, status="perhaps")
    add(2, id=None)
    add(1, id="req-twice", model="small")
    add(1, id="req-twice", model="large")
    with gzip.open(folder / "requests.jsonl.gz", "wb") as file:
        file.write(b"\n".join(lines) + b"\n")
    labels = _write_labels(folder, good, failed, fallbacks, negative)
    return DirtyLog(
        folder=folder,
        requests={
            "used": {"": used},
            "collapsed": {"duplicate": 6},
            "excluded": {
                "fallback": 9,
                "judge_call": 5,
                "shadow": 4,
                "cache_hit": 3,
                "not_chat": 2,
                "after_as_of": 2,
            },
            "rejected": {
                "malformed_line": 3,
                "negative_tokens": 4,
                "absurd_tokens": 2,
                "unreadable_input_tokens": 2,
                "missing_tokens": 1,
                "no_price": 5,
                "ambiguous_time": 3,
                "unreadable_time": 2,
                "no_text": 3,
                "malformed_messages": 1,
                "malformed_tools": 1,
                "invalid_propensity": 2,
                "chosen_not_eligible": 1,
                "invalid_latency": 1,
                "invalid_cost": 1,
                "unknown_status": 1,
                "missing_request_id": 2,
                "conflicting_request_id": 2,
            },
        },
        labels=labels,
        prices=_write_prices(folder),
        repairs={"tools_as_object": 7},
    )


def _write_labels(
    folder: Path, good: list[str], failed: list[str], fallbacks: list[str], negative: list[str]
) -> dict[str, dict[str, int]]:
    soon, late = "2026-03-02T08:00:00.123456789+00:00", "2026-04-01T00:00:00Z"
    east = "2026-03-02T13:30:00+05:30"
    rows = [[i, "exact", n % 2, "checker", 1.0, soon] for n, i in enumerate(good[:300])]
    rows += [[i, "stars", 1 + n % 5, "human", 1.0, east] for n, i in enumerate(good[250:350])]
    rows += [[i, "thumbs", n % 2, "user", "", soon] for n, i in enumerate(good[350:400])]
    rows += rows[:6] + rows[:1]
    rows += [[i, "exact", 1, "checker", 1.0, late] for i in good[400:410]]
    rows += [[i, "exact", 1, "checker", 1.0, soon] for i in failed[:2]]
    rows += [[i, "exact", 1, "checker", 1.0, soon] for i in (*fallbacks[:3], *negative[:1])]
    rows += [[f"gone-{n}", "exact", 1, "checker", 1.0, soon] for n in range(4)]
    rows += [[i, "stars", 6, "human", 1.0, soon] for i in good[:3]]
    rows += [[good[0], "exact", "nan", "checker", 1.0, soon]]
    rows += [[i, "exact", 1, "oracle", 1.0, soon] for i in good[:2]]
    rows += [[good[0], "exact", "good", "checker", 1.0, soon]]
    rows += [[good[0], "exact", 1, "checker", 0, soon]]
    rows += [[good[0], "exact", 1, "checker", 1.0, "2026-03-02 08:00:00"]]
    rows += [[good[0], "exact", 1, "checker", 1.0, ""]]
    rows += [[good[0], "exact", 1]]
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("request_id", "name", "value", "source", "weight", "time"))
        writer.writerows(rows)
    return {
        "used": {"": 450},
        "collapsed": {"duplicate": 7},
        "excluded": {"after_as_of": 10, "failed_request": 2, "request_not_used": 4},
        "rejected": {
            "no_request": 4,
            "value_out_of_range": 4,
            "unknown_source": 2,
            "unreadable_value": 1,
            "invalid_weight": 1,
            "ambiguous_time": 1,
            "missing_time": 1,
            "malformed_line": 1,
        },
    }


def _write_prices(folder: Path) -> dict[str, dict[str, int]]:
    """Windows that meet, one candidate priced from later on, and two rows that are no prices."""
    rows = [
        ("small", "", "2026-03-01T18:00:00Z", 1.0, 2.0),
        ("small", "2026-03-01T18:00:00Z", "", 0.5, 1.0),
        ("medium", "", "", 2.0, 4.0),
        ("medium", "", "", 2.0, 4.0),
        ("large", "", "", 10.0, 20.0),
        ("newcomer", "2026-03-11T12:00:00Z", "", 1.0, 1.0),
        ("odd", "", "", -1.0, 1.0),
        ("odder", "2026-03-05T00:00:00Z", "2026-03-04T00:00:00Z", 1.0, 1.0),
    ]
    names = ("candidate", "valid_from", "valid_to", "input_usd_per_mtok", "output_usd_per_mtok")
    with (folder / "prices.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)
    return {
        "used": {"": 5},
        "collapsed": {"duplicate": 1},
        "excluded": {},
        "rejected": {"invalid_price": 1, "empty_window": 1},
    }
