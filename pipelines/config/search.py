"""What a search looks for, and what it may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.options import check_fields
from router_ml.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """What estimator of quality routes best on a log, found within an allowance.

    Parameters
    ----------
    joined : folder that ``join`` wrote
    output : folder to write to; a search that is there already goes on
    matrix : Parquet of every candidate's outcome on every prompt, to judge by
    allowance_s : seconds, for all searches together; a trial that has begun is finished
    n_trials : most trials of each search
    score_ms : milliseconds that scoring one request may take; a trial beyond it is dropped
    folds : inner folds, that trials are judged on
    outer_folds : folds that judge the search itself; each repeats it without the fold. 0: what
        searching costs in optimism is not measured
    learning : ``ipw``, labels weighted by what the log does not show, or ``naive``
    tracked : whether every trial is a nested run in MLflow
    experiment : of these runs
    cache : folder for encoders
    random_state : seeds the sampler
    """

    joined: Path
    output: Path
    matrix: Path | None = None
    allowance_s: float = 600.0
    n_trials: int = 40
    score_ms: float | None = None
    folds: int = 3
    outer_folds: int = 3
    learning: Literal["ipw", "naive"] = "ipw"
    tracked: bool = False
    experiment: str = "router"
    cache: Path = Path(".cache")
    random_state: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.folds < 2 or self.outer_folds < 0 or self.outer_folds == 1:
            raise ConfigError(
                "folds must be >= 2 and outer_folds 0 or >= 2, got "
                f"{self.folds} and {self.outer_folds}"
            )
        if self.n_trials < 1 or not self.allowance_s > 0.0:
            raise ConfigError(
                f"n_trials must be >= 1 and allowance_s > 0, got {self.n_trials} and "
                f"{self.allowance_s}"
            )
        if self.score_ms is not None and not self.score_ms > 0.0:
            raise ConfigError(f"score_ms must be > 0, got {self.score_ms}")
