"""Options of benchmarks of what runs for long: the loop, monitors, experiments, sessions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopTrialsConfig:
    """Simulations of the loop.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file; simulations that it holds already are not played again
    worlds : comma-separated, of synthetic and folders of the data that have a matrix
    seeds : how many
    first_seed : 6 is what is reported; defaults were chosen on seeds 0 to 5 and from 20 on
    cache : folder for encoders
    """

    data: Path | None = None
    out: Path = Path("results/loop.json")
    worlds: str = "bfcl,synthetic"
    seeds: int = 10
    first_seed: int = 6
    cache: Path = Path(".cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackTrialsConfig:
    """Champions that are watched.

    Parameters
    ----------
    out : JSON file
    trials : champions
    """

    out: Path = Path("results/rollback.json")
    trials: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorTrialsConfig:
    """Changes put into the traffic of trained routers, and quiet traffic.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for encoders
    workloads : comma-separated, of synthetic, mix
    worlds : routers that are trained on each
    quiet, changed : runs of each router without a change, and with each kind of change
    changes : comma-separated; default: all
    segments : comma-separated, of task, cluster: what a monitor is told of each request
    """

    data: Path | None = None
    out: Path = Path("results/monitor.json")
    cache: Path = Path(".cache")
    workloads: str = "synthetic,mix"
    worlds: int = 2
    quiet: int = 100
    changed: int = 25
    changes: str = ""
    segments: str = "task"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentTrialsConfig:
    """Simulated experiments of known truth.

    Parameters
    ----------
    out : JSON file
    trials : experiments
    units : sessions in each
    looks : evenly spaced looks at each
    """

    out: Path = Path("results/experiment.json")
    trials: int = 500
    units: int = 3_000
    looks: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsConfig:
    """Conversations under prompt caches.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for the encoder
    conversations : that are simulated
    """

    data: Path | None = None
    out: Path = Path("results/sessions.json")
    cache: Path = Path(".cache")
    conversations: int = 1_000
