"""Rows of a decision log by their id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from router_ml.decision_log.verify import lines_of
from router_ml.errors import DataError


def find(files: Sequence[Path], decision_id: str) -> dict[str, Any]:
    """The row of one decision.

    Raises
    ------
    DataError
        If no file has it.
    """
    needle = decision_id.encode()
    for path in files:
        for raw in lines_of(path):
            if needle not in raw:
                continue
            try:
                row = json.loads(raw)
            except ValueError:
                continue
            if row.get("kind") == "decision" and row.get("decision_id") == decision_id:
                found: dict[str, Any] = row
                return found
    raise DataError(f"no decision {decision_id!r} in {len(files)} files of the log")
