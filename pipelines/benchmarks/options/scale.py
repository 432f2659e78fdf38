"""Options of benchmarks of time and memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from router_ml.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformConfig:
    """Join, training and serving, timed.

    Parameters
    ----------
    out : JSON file
    data : folder of shared data; default: the variable ROUTER_ML_DATA, else a synthetic world
    parts : comma-separated, of join, train, serve
    """

    out: Path = Path("results/bench.json")
    data: Path | None = None
    parts: str = "join,train,serve"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeTrialsConfig:
    """The service under load.

    Parameters
    ----------
    out : JSON file
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    bundle : bundle folder; default: one is trained on the data's bfcl
    modes : comma-separated, of unseen, repeated, open, trace, memory, reload
    rate : requests a second of the mode trace
    requests : of the mode memory
    seconds : of the modes open and reload
    """

    out: Path = Path("results/serve.json")
    data: Path | None = None
    bundle: Path | None = None
    modes: str = "unseen,repeated,open,trace,memory,reload"
    rate: float = 500.0
    requests: int = 200_000
    seconds: float = 30.0

    def __post_init__(self) -> None:
        from pipelines.benchmarks.service_trials import MODES

        if unknown := set(self.modes.split(",")) - set(MODES):
            raise ConfigError(f"modes must be of {', '.join(MODES)}, got {sorted(unknown)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleConfig:
    """The join on logs of growing size.

    Parameters
    ----------
    out : JSON file; sizes measured before are kept
    sizes : comma-separated, millions of requests
    engine : duckdb or spark
    repeats : runs of each size up to ten million; larger ones are run once
    memory_limit_mb : of the engine
    folder : where logs are generated, about 150 MB a million requests; default: a temporary one
    """

    out: Path = Path("results/scale.json")
    sizes: str = "1,3,10,30,100"
    engine: Literal["duckdb", "spark"] = "duckdb"
    repeats: int = 3
    memory_limit_mb: int = 2_000
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleEvaluationConfig:
    """Gate, off-policy estimates and bootstrap over millions of scored requests.

    Parameters
    ----------
    out : JSON file
    sizes : rows
    folder : for generated logs, which are removed; 150 MB a million rows
    """

    out: Path = Path("results/scale-evaluation.json")
    sizes: tuple[int, ...] = (1_000_000, 3_000_000, 10_000_000)
    folder: Path | None = None
