"""``router-ml loop`` that kills itself, as by ``kill -9``, once a step has done its work.

``python -m tests.loop_killed STEP PLACE ARGUMENTS…``: before the state after STEP is written (its
effects are there, the state says that it is still to be done), or within it, when STEP's first
write to the registry has been made.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from mlflow.tracking import MlflowClient

from pipelines import cli
from pipelines.loop.steps import Steps


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


if __name__ == "__main__":
    arm(sys.argv[1], sys.argv[2])
    cli.main(sys.argv[3:])
