"""Weights & Biases as a second place for a run; ``pip install router-ml[wandb]``."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

_LOG: Final = logging.getLogger(__name__)


def log_run(
    *,
    project: str,
    name: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    files: Iterable[Path] = (),
    folder: Path | None = None,
) -> str | None:
    """Log one run; its id, or ``None`` where Weights & Biases cannot. Never raises.

    ``WANDB_MODE=offline`` writes to the disk alone.

    Parameters
    ----------
    params : of the run's configuration
    metrics : become its summary
    files : kept in an artifact of type ``report``
    folder : where ``wandb`` writes; ``None`` = the working directory
    """
    try:
        import wandb

        settings = wandb.Settings(silent=True, console="off")
        run = wandb.init(
            project=project, name=name, config=dict(params), dir=folder, settings=settings
        )
        run.summary.update(dict(metrics))
        there = [path for path in files if path.is_file()]
        if there:
            artifact = wandb.Artifact("reports", type="report")
            for path in there:
                artifact.add_file(str(path), name=f"{path.parent.name}/{path.name}")
            run.log_artifact(artifact)
        run.finish()
        return str(run.id)
    except Exception as error:
        # The contract: a second place to look at must not cost the run.
        _LOG.warning("Weights & Biases has nothing of %s: %s", name, type(error).__name__)
        return None
