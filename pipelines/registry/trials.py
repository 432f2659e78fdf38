"""Trials of a search as nested runs in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from pipelines.registry.tracking import load_mlflow, registry_errors, set_experiment


class Recorder:
    """A run with a nested one for every trial; or, where nothing is to be recorded, nothing.

    Parameters
    ----------
    on : whether to record
    experiment : of the runs
    """

    def __init__(self, on: bool, experiment: str) -> None:
        self.on = on
        self.experiment = experiment

    def __enter__(self) -> Self:
        if self.on:
            self.mlflow = load_mlflow()
            with registry_errors("record a search"):
                set_experiment(self.mlflow, self.experiment)
                self.mlflow.start_run(run_name="search")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.on:
            self.mlflow.end_run("FINISHED" if kind is None else "FAILED")

    def record(self, search: str, trial: Any) -> None:
        """One trial of Optuna: its estimator, its gain, how long a request takes, its state."""
        if not self.on:
            return
        with registry_errors("record a trial"):
            name = f"{search}, trial {trial.number}"
            with self.mlflow.start_run(run_name=name, nested=True):
                self.mlflow.log_params(trial.params)
                self.mlflow.set_tags({
                    "search": search,
                    "state": trial.state.name.lower(),
                    "spec": json.dumps(trial.user_attrs.get("spec", {})),
                })  # fmt: skip
                told = {"hull_gain": trial.value, "score_ms": trial.user_attrs.get("score_ms")}
                self.mlflow.log_metrics({k: v for k, v in told.items() if v is not None})

    def finish(self, report: Mapping[str, Any]) -> None:
        """What the search came to."""
        if not self.on:
            return
        with registry_errors("record a search"):
            self.mlflow.log_dict(dict(report), "search.json")
            self.mlflow.set_tag("mlflow.note.content", report["text"])
            numbers = {"inner_gain": report["inner_gain"]}
            for name in ("gain", "optimism", "lead_over_default"):
                if name in report:
                    numbers |= {f"{name}/{part}": report[name][part]
                                for part in ("value", "low", "high")}  # fmt: skip
            self.mlflow.log_metrics(numbers)
