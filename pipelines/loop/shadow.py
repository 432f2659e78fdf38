"""What a challenger has done beside the champion, as the decision log has it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from router_ml.decision_log.verify import lines_of


@dataclass(frozen=True, slots=True)
class Seen:
    """Requests that a version decided in the shadow or as an arm, and in how many it failed.

    Parameters
    ----------
    error : of the last failure
    """

    requests: int
    errors: int
    error: str


def look(log: Sequence[Path], version: str) -> Seen:
    """Count a challenger's rows in files of decision logs."""
    requests = errors = 0
    error = ""
    for path in log:
        for line in lines_of(path):
            if b'"arm":"challenger"' not in line and b'"kind":"shadow"' not in line:
                continue
            try:
                row = json.loads(line)
            except ValueError:  # a write under way
                continue
            if str(row.get("router_version")) != version or row.get("kind") == "feedback":
                continue
            requests += 1
            if row.get("error"):
                errors, error = errors + 1, str(row["error"])
    return Seen(requests, errors, error)
