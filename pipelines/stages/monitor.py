"""A decision log under watch: alarms, and what is to be done."""

from __future__ import annotations

import time
from pathlib import Path

from pipelines.config.monitor import MonitorConfig
from pipelines.console import console
from pipelines.monitor.watch import Watch


def run(config: MonitorConfig) -> Path:
    """Look at the log once, or again and again; returns ``config.output``.

    A later run goes on where the last one stopped. ``alarms.jsonl`` there holds every alarm, one
    :class:`router_ml.monitoring.alarm.Alarm` a line; :func:`pipelines.monitor.watch.read_alarms`
    reads it.

    Raises
    ------
    DataError
        If the state is of another release.
    ConfigError
        If the folder holds something else.
    """
    watch = Watch(config)
    while True:
        for alarm in watch.look():
            console.print(alarm.text, markup=False, highlight=False, soft_wrap=True)
        if not config.every:
            return config.output
        time.sleep(config.every)
