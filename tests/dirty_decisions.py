"""A decision log as the service writes it, in which everything goes wrong in known numbers."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import orjson

from serving.log.rows import DecisionRow
from tests.decision_rows import feedback_row

START = datetime(2026, 3, 1, 12, 0)
AS_OF = START + timedelta(days=5)
LATE = (AS_OF + timedelta(days=1)).isoformat()
CANDIDATES = ("small", "medium", "large")
PROBS = (0.2, 0.8, 0.0)
PRICES = {
    name: {"input_cost_per_token": 1e-6 * k, "output_cost_per_token": 4e-6 * k}
    for k, name in enumerate(CANDIDATES, start=1)
}


def decision(i: int, **changes: Any) -> dict[str, Any]:
    """A good decision with text: ``large`` was ruled out, ``medium`` drawn."""
    row = DecisionRow(
        decision_id=f"d-{i:05d}",
        time=(START + timedelta(seconds=i)).isoformat(),
        request_id=f"req-{i:05d}",
        session_id="s-1",
        tags=None,
        arm="default",
        router="router",
        router_version="7",
        bundle_id="b",
        override_digest="",
        policy="epsilon_greedy",
        candidate="medium",
        propensity=0.8,
        candidates=CANDIDATES,
        action_probs=PROBS,
        ranking=({"candidate": "medium"}, {"candidate": "small"}),
    )
    built: dict[str, Any] = msgspec.to_builtins(row)
    return built | {"query": f"Question {i}, please."} | changes


def feedback(i: int, **changes: Any) -> dict[str, Any]:
    """A checker's label, a minute after decision ``i``, and what the answer took."""
    row = feedback_row(
        f"d-{i:05d}",
        time=(START + timedelta(seconds=i + 60)).isoformat(),
        name="exact",
        source="checker",
        input_tokens=100,
        output_tokens=10,
        latency_ms=500.0,
        status="success",
    )
    built: dict[str, Any] = msgspec.to_builtins(row)
    return built | changes


SILENT: dict[str, Any] = dict.fromkeys(
    ("input_tokens", "output_tokens", "latency_ms", "status", "quality")
)
"""Changes that leave a feedback row with nothing to say."""


def request(i: int, **changes: Any) -> dict[str, Any]:
    """The request log's row of decision ``i``, which has no text of its own if so asked."""
    row = {
        "id": f"req-{i:05d}",
        "call_type": "acompletion",
        "model": "medium",
        "startTime": f"{(START + timedelta(seconds=i)).isoformat()}Z",
        "response_time": 0.4,
        "prompt_tokens": 90,
        "completion_tokens": 9,
        "messages": [{"role": "user", "content": f"Question {i}, please."}],
    }
    return row | changes


@dataclass(frozen=True)
class DirtyDecisions:
    """Where the files are, and what becomes of their rows if the join is right."""

    folder: Path
    alone: dict[str, dict[str, dict[str, int]]]
    with_requests: dict[str, dict[str, dict[str, int]]]


def write_dirty_decisions(folder: Path) -> DirtyDecisions:
    """Write ``decisions/`` (three files, one empty), ``requests.jsonl`` and ``prices.json``."""
    log = folder / "decisions"
    log.mkdir(parents=True)
    first, second = _decisions(), _feedback()
    torn = orjson.dumps(decision(999))[:70]
    (log / "decisions-20260301T120000-1-00001.jsonl").write_bytes(first + torn)
    with gzip.open(log / "decisions-20260301T120000-2-00001.jsonl.gz", "wb") as file:
        file.write(second)
    (log / "decisions-20260301T130000-3-00001.jsonl").touch()
    (folder / "requests.jsonl").write_bytes(_requests())
    (folder / "prices.json").write_bytes(orjson.dumps(PRICES))
    return DirtyDecisions(folder, _expected(), _expected_with_requests())


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _decisions() -> bytes:
    """Numbers 0 to 99 are good; 100 on have no text; 200 on are wrong in ways of their own."""
    rows = [decision(i) for i in range(100)]
    rows += [decision(i, query=None) for i in range(100, 106)]
    rows += [rows[3], rows[4], rows[4]]  # duplicates
    rows += [decision(200), decision(200, candidate="small", propensity=0.2)]  # conflicting
    rows += [decision(i, request_id="req-00000", time=START.isoformat()) for i in (210, 211)]
    rows[73]["key"] = rows[74]["key"] = "web"
    rows[0]["time"] = (START + timedelta(seconds=30)).isoformat()  # routed again, this is the last
    rows += [decision(220, time=LATE)]
    rows += [decision(221, propensity=0.0), decision(222, propensity="high")]
    rows += [decision(223, action_probs=[1.0]), decision(224, decision_id=None)]
    rows += [decision(225, query=None, messages=[{"content": "who speaks?"}])]
    rows += [decision(226, candidate="large")]  # it was ruled out
    rows += [decision(227, kind="cascade"), decision(228, kind="surprise")]
    return _lines(rows) + b"{not json\n"


def _feedback() -> bytes:
    rows = [feedback(i) for i in range(60)]
    rows += [feedback(i, quality=0.0, time=_later(i)) for i in (1, 2)]  # the latest holds
    rows += [rows[5], rows[5]]
    rows += [feedback(6, **SILENT, name="usage", cost_usd=0.5)]
    rows += [feedback(i, name="thumbs", source="user", quality=0.5, status=None) for i in range(3)]
    rows += [feedback(60, candidate_served="small")]  # a fallback
    rows += [feedback(61, status="failure", quality=None)]
    rows += [feedback(62, status="failure"), feedback(63, **SILENT)]
    rows += [feedback(64, input_tokens=-3)]  # its decision is rejected for it
    rows += [feedback(65, time=LATE), feedback(66, quality=1.5), feedback(67, source="oracle")]
    rows += [feedback(68, quality="good"), feedback(69, decision_id=None)]
    rows += [feedback(888), feedback(889)]  # no such decision
    rows += [feedback(i) for i in range(100, 104)]  # of decisions without text
    rows += [feedback(73, key="web", labels_others=False)]  # their own
    rows += [feedback(72, key="web", labels_others=False)]  # nobody's, as far as one knows
    rows += [feedback(74, key="other", labels_others=False)]  # somebody else's
    rows += [feedback(210)]  # of one that a later decision took the place of
    return _lines(rows)


def _later(i: int) -> str:
    return (START + timedelta(seconds=i + 600)).isoformat()


def _requests() -> bytes:
    rows = [request(i) for i in range(50)]
    rows += [request(i, messages={}) for i in range(50, 60)]  # redacted: the decision has the text
    rows += [request(i) for i in range(100, 104)]  # and here the request log has it
    rows += [request(70, cache_hit=True)]
    rows += [request(71, model="large", metadata={"router": {"decision_id": "d-00071"}}, id="x-71")]
    rows += [request(i, id=f"old-{i}") for i in range(5)]  # from before the router
    return _lines(rows)


def _expected() -> dict[str, dict[str, dict[str, int]]]:
    """Alone: 100 good, less the fallback and the one with negative tokens."""
    decisions = {
        "used": {"": 98},
        "collapsed": {"duplicate": 3},
        "excluded": {
            "superseded": 2,
            "after_as_of": 1,
            "cascade_step": 1,
            "torn_line": 1,
            "fallback": 1,
        },
        "rejected": {
            "no_text": 6,
            "conflicting_decision_id": 2,
            "invalid_propensity": 1,
            "unreadable_propensity": 1,
            "unreadable_action_probs": 1,
            "missing_decision_id": 1,
            "malformed_messages": 1,
            "chosen_not_eligible": 1,
            "unknown_kind": 1,
            "malformed_line": 1,
            "negative_tokens": 1,
        },
    }
    rows = {
        # 60 labels, one of a key's own, a report, 3 thumbs, 2 failures
        "used": {"": 67},
        "collapsed": {"superseded": 2, "duplicate": 2},
        "excluded": {
            "after_as_of": 1,
            "says_nothing": 1,
            "decision_not_used": 7,
            "not_own_decision": 2,
        },
        "rejected": {
            "value_out_of_range": 1,
            "unknown_source": 1,
            "unreadable_quality": 1,
            "missing_decision_id": 1,
            "no_decision": 2,
        },
    }
    return {"decisions": decisions, "feedback": rows}


def _expected_with_requests() -> dict[str, dict[str, dict[str, int]]]:
    """Four of the six without text find it in the request log; one request came from a cache."""
    alone = _expected()
    decisions = Counter(alone["decisions"]["excluded"])
    decisions.update({"request_not_used": 2})  # the cache hit, and the fallback of 71
    return {
        "decisions": {
            **alone["decisions"],
            "used": {"": 98 + 4 - 2},
            "excluded": dict(decisions),
            "rejected": alone["decisions"]["rejected"] | {"no_text": 2},
        },
        "feedback": {
            **alone["feedback"],
            "used": {"": 67 + 4},
            "excluded": alone["feedback"]["excluded"] | {"decision_not_used": 3},
        },
    }
