"""Words in the names of columns, and the roles that they speak for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SPLIT: Final = re.compile(r"[^a-zA-Z0-9$]+|(?<=[a-z])(?=[A-Z])|(?<=[a-zA-Z])(?=\d)")

ROLES: Final[Mapping[str, frozenset[str]]] = {
    "id": frozenset({"id", "uuid", "guid", "key", "ref"}),
    "request": frozenset({"request", "completion", "trace", "call", "message", "chat", "req"}),
    "time": frozenset({"ts", "time", "timestamp", "date", "datetime", "created", "when", "at",
                       "start", "started", "begin"}),
    "query": frozenset({"prompt", "query", "question", "input", "instruction", "user", "ask",
                        "text", "messages", "message", "request"}),
    "answer": frozenset({"answer", "response", "output", "completion", "reply", "result"}),
    "candidate": frozenset({"model", "engine", "deployment", "llm", "candidate", "endpoint"}),
    "input": frozenset({"in", "input", "prompt", "request", "ingress"}),
    "output": frozenset({"out", "output", "completion", "response", "generated", "egress"}),
    "cached": frozenset({"cached", "cache"}),
    "tokens": frozenset({"token", "tokens", "tok", "toks", "usage"}),
    "cost": frozenset({"cost", "usd", "price", "spend", "dollars", "dollar", "$", "charge", "cents",
                       "amount"}),
    "latency": frozenset({"latency", "duration", "elapsed", "seconds", "secs", "sec", "ms",
                          "millis", "milliseconds", "took"}),
    "value": frozenset({"value", "score", "vote", "rating", "thumb", "thumbs", "label", "correct",
                        "grade", "feedback", "stars", "quality", "verdict", "passed", "success",
                        "reward", "like", "liked", "good"}),
    "name": frozenset({"name", "metric", "type", "kind"}),
    "source": frozenset({"source", "annotator", "rater", "by"}),
    "status": frozenset({"status", "state", "outcome"}),
    "session": frozenset({"session", "conversation", "thread"}),
    "user": frozenset({"user", "customer", "account"}),
    "tools": frozenset({"tools", "functions"}),
}  # fmt: skip


def words(column: str) -> set[str]:
    """Words of a column's name, in lower case.

    Examples
    --------
    >>> sorted(words("usage_in")), sorted(words("completionId"))
    (['in', 'usage'], ['completion', 'id'])
    """
    return {word.lower() for word in _SPLIT.split(column) if word}


def speaks_for(column: str, *roles: str) -> int:
    """How many of the roles a name has a word of."""
    found = words(column)
    return sum(1 for role in roles if found & ROLES[role])
