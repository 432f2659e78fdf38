"""What the monitor finds in a decision log: the alarms that ask for more than a notice.

It holds requests against the reference statistics of the champion's bundle, and bills against what
was billed before: the join's report compares them with the price lists.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.config import MonitorConfig, load_config
from pipelines.loop.config import LoopConfig
from pipelines.loop.partitions import decision_files
from pipelines.monitor.watch import ALARMS, read_alarms
from pipelines.registry.versions import download_bundle
from pipelines.stages import monitor


def find_alarms(config: LoopConfig, champion: str | None) -> Sequence[Mapping[str, Any]]:
    """All alarms so far, the oldest first, each with ``alarm_id`` and ``text``.

    The monitor keeps its own state in the loop's folder: it reads every row once, and says the same
    again when it is asked again.

    Parameters
    ----------
    champion : version whose requests are held against what its training saw; ``None`` = none yet

    Raises
    ------
    RegistryError
        If its bundle cannot be fetched.
    """
    log = decision_files(config.decisions)
    if not log:
        return ()
    folder = config.output / "monitor"
    bundle = None if champion is None else _bundle(config, champion)
    overrides = {"bundle": bundle, "prices": "learned", **config.monitor, "log": log,
                 "output": folder}  # fmt: skip
    monitor.run(load_config(MonitorConfig, overrides=overrides))
    return [
        {"alarm_id": alarm.alarm_id, "candidate": alarm.candidate, "text": alarm.text}
        for alarm in read_alarms(folder / ALARMS)
        if alarm.action != "notify"
    ]


def _bundle(config: LoopConfig, champion: str) -> Path:
    """The champion's bundle, fetched once; those before it go."""
    folder = config.output / "champion"
    for former in folder.glob("*"):
        if former.name != champion:
            shutil.rmtree(former, ignore_errors=True)
    return download_bundle(config.name, champion, folder)
