"""What the monitor finds in a decision log: the alarms that ask for more than a notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.config import MonitorConfig, load_config
from pipelines.loop.config import LoopConfig
from pipelines.monitor.watch import ALARMS, read_alarms
from pipelines.stages import monitor
from router_ml.decision_log.verify import log_files


def find_alarms(config: LoopConfig) -> Sequence[Mapping[str, Any]]:
    """All alarms so far, the oldest first, each with ``alarm_id`` and ``text``.

    The monitor keeps its own state in the loop's folder: it reads every row once, and says the same
    again when it is asked again.
    """
    log = [Path(name) for name in config.decisions]
    if not any(path.is_file() for path in log_files(log)):
        return ()
    folder = config.output / "monitor"
    monitor.run(load_config(MonitorConfig, overrides={**config.monitor, "log": log,
                                                      "output": folder}))  # fmt: skip
    return [
        {"alarm_id": alarm.alarm_id, "candidate": alarm.candidate, "text": alarm.text}
        for alarm in read_alarms(folder / ALARMS)
        if alarm.action != "notify"
    ]
