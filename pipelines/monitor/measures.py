"""What alarms ask for, put where the service reads it: masks and trials of candidates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from router_ml.errors import ConfigError
from router_ml.monitoring.alarm import Alarm


def take_measures(path: Path, alarms: Sequence[Alarm], *, explore_share: float) -> bool:
    """Mask or explore candidates in a measures file of the service; whether it changed.

    A mask stays until somebody takes it out of the file, or a later alarm says that the candidate
    is better again; a candidate that is masked gets no traffic by which that could be seen, so
    retrain or look at it otherwise. Entries that others made stay.

    Raises
    ------
    ConfigError
        If the file holds something else.
    """
    before = _read(path)
    masked, explored = dict(before.get("masked", {})), dict(before.get("explored", {}))
    for alarm in alarms:
        if not alarm.worse:
            masked.pop(alarm.candidate, None)
        elif alarm.action == "mask":
            explored.pop(alarm.candidate, None)
            masked[alarm.candidate] = f"{alarm.alarm_id}: {alarm.text}"
        elif alarm.action == "explore":
            explored[alarm.candidate] = max(explore_share, explored.get(alarm.candidate, 0.0))
    after = {**before, "masked": masked, "explored": explored}
    if after == before:
        return False
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(json.dumps(after, indent=1, ensure_ascii=False), encoding="utf-8")
    scratch.replace(path)
    return True


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"expected a measures file at {path}: {error}") from error
    if not isinstance(content, dict) or not set(content) <= {"masked", "explored"}:
        raise ConfigError(f"{path} must hold masked and explored, as the service reads it")
    return content
