"""The log of payloads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from router_ml.integrations.litellm.log import PayloadLog


def test_payloads_are_lines_and_go_on_after_a_close(tmp_path: Path) -> None:
    log = PayloadLog(tmp_path / "logs" / "requests.jsonl")
    log.append({"id": "1", "text": "naïve\nline", "time": datetime(2026, 1, 1, tzinfo=UTC)})
    log.close()
    log.append({"id": "2"})
    rows = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["1", "2"]
    assert rows[0]["text"] == "naïve\nline"
    log.close()
