"""A decision log under watch: alarms, and what is to be done."""

from __future__ import annotations

import time
from pathlib import Path

from pipelines.config.monitor import MonitorConfig
from pipelines.console import console
from pipelines.monitor.metrics import MonitorMetrics
from pipelines.monitor.page import write_monitor_page
from pipelines.monitor.watch import ALARMS, Watch, read_alarms


def run(config: MonitorConfig) -> Path:
    """Look at the log once, or again and again; returns ``config.output``.

    A later run goes on where the last one stopped. ``alarms.jsonl`` there holds every alarm, one
    :class:`router_ml.monitoring.alarm.Alarm` a line; :func:`pipelines.monitor.watch.read_alarms`
    reads it. ``monitor.html`` and ``metrics.prom`` show how things stand.

    Raises
    ------
    DataError
        If the state is of another release.
    ConfigError
        If the folder holds something else.
    RegistryError
        If alarms are to be recorded and the tracking store cannot be reached.
    """
    watch = Watch(config)
    metrics = MonitorMetrics(watch, read_alarms(watch.folder / ALARMS))
    if config.port:
        metrics.serve(config.port)
    while True:
        new = watch.look()
        metrics.alarms += new
        metrics.looked = time.time()
        metrics.write(watch.folder)
        page = write_monitor_page(watch, metrics.alarms)
        for alarm in new:
            console.print(alarm.text, markup=False, highlight=False, soft_wrap=True)
        if new and config.experiment:
            from pipelines.monitor.tracking import record

            record(config.experiment, new, page)
        if not config.every:
            return config.output
        time.sleep(config.every)
