"""``router-ml loop`` that kills itself, as by ``kill -9``, once a step has done its work.

``after``: before the state after a step is written (its effects are there, the state says that it
is still to be done); or the name of a method of MLflow's client: within the step, once it has been
called.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from mlflow.tracking import MlflowClient

from pipelines import cli
from pipelines.loop import machine
from pipelines.loop.steps import Steps
from pipelines.registry.tracking import load_mlflow


def die() -> None:
    """No handler, no clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


def after(function: Callable[..., Any]) -> Callable[..., Any]:
    """Die once it has returned."""

    def killed(*args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)
        die()

    return killed


def arm(step: str, place: str) -> None:
    """Put the kill in its place."""
    if place == "after":
        setattr(Steps, step, after(getattr(Steps, step)))
        return
    work = getattr(Steps, step)

    def wounded(self: Steps, state: Any) -> Any:
        setattr(MlflowClient, place, after(getattr(MlflowClient, place)))
        return work(self, state)

    setattr(Steps, step, wounded)


def killed_loop(uri: str, config: str, step: str, place: str) -> None:
    """Run the loop in this process, which dies in ``step``; where that is empty, it does not."""
    os.environ["MLFLOW_TRACKING_URI"] = uri
    if step:
        arm(step, place)
    cli.main(["loop", "--config", config])


WARM = machine, load_mlflow()
"""Imported once, where processes are forked from."""
