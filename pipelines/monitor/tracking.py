"""Alarms as MLflow runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pipelines.monitor.page import alarm_facts
from pipelines.registry.tracking import load_mlflow, registry_errors, set_experiment
from router_ml.monitoring.alarm import Alarm


def record(experiment: str, alarms: Sequence[Alarm], page: Path) -> None:
    """One run an alarm: its numbers as metrics, its names as tags, the page as an artifact.

    Raises
    ------
    RegistryError
        If the tracking store cannot be reached.
    """
    mlflow = load_mlflow()
    with registry_errors("record alarms"):
        set_experiment(mlflow, experiment)
        for alarm in alarms:
            name = f"{alarm.signal} of {alarm.candidate or 'traffic'}"
            with mlflow.start_run(run_name=name, description=alarm.text):
                tags = ("alarm_id", "signal", "candidate", "action", "version", "since", "time")
                mlflow.set_tags({tag: getattr(alarm, tag) for tag in tags})
                mlflow.log_metrics(alarm_facts(alarm))
                mlflow.log_text(json.dumps(alarm.as_dict(), indent=1), "alarm.json")
                mlflow.log_artifact(str(page))
