"""Options of benchmarks of routing quality and of estimates of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from router_ml.estimators.tiers import TierName


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityConfig:
    """Routing quality next to baselines.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    test_data : train on all of the data, test here once; same file names
    workloads : comma-separated; default: all
    out : JSON file
    plots : folder for figures
    tier : fast, balanced (beside it, with a frozen sentence encoder) or best (a fine-tuned one)
    encoder_model : what balanced freezes, a sentence-transformers model by name or path
    ablation : also the blend without each member
    cascades : also cascades, where costs and answers are known: hours on all workloads
    folds : test on the first so many of five folds
    cache : folder for encoders and predictions
    """

    data: Path | None = None
    test_data: Path | None = None
    workloads: str = ""
    out: Path = Path("results/quality.json")
    plots: Path | None = None
    tier: TierName = "fast"
    encoder_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    ablation: bool = False
    cascades: bool = False
    folds: int = 5
    cache: Path = Path(".cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeBenchmarkConfig:
    """Cascades next to routers.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    test_data : train on all of the data, test here once; same file names
    workloads : comma-separated; default: all
    out : JSON file
    plots : folder for figures
    cache : folder for encoders
    """

    data: Path | None = None
    test_data: Path | None = None
    workloads: str = ""
    out: Path = Path("results/cascade.json")
    plots: Path | None = None
    cache: Path = Path(".cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class OffPolicyConfig:
    """Estimates, gate and guarantee against a known truth.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    """

    data: Path | None = None
    out: Path = Path("results/off_policy.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnloggedConfig:
    """Policy values by estimated propensities, beside true ones.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    trials : logs drawn of each kind of traffic and logging policy
    requests : requests in a log
    verdicts : logs that the gate judges challengers on
    populations : comma-separated, of mix, bfcl
    """

    data: Path | None = None
    out: Path = Path("results/unlogged.json")
    trials: int = 200
    requests: int = 3_000
    verdicts: int = 50
    populations: str = "mix,bfcl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralLoggersConfig:
    """Logs of several routers as one, on traffic whose truth is known.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    trials : logs drawn of each kind of traffic and setting
    estimated : of these, logs whose versions are estimated, too; that takes most of the time
    requests : requests in a log
    populations : comma-separated, of mix, bfcl
    """

    data: Path | None = None
    out: Path = Path("results/several-loggers.json")
    trials: int = 200
    estimated: int = 50
    requests: int = 3_000
    populations: str = "mix,bfcl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsampleConfig:
    """Routers learned from a part of a log.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file; workloads measured before are kept
    workloads : comma-separated, of mix-10-log, bfcl-12-log
    draws : samples of each size
    estimator : of quality, by name; default: that of tier fast, which takes minutes
    cache : folder for the encoder
    """

    data: Path | None = None
    out: Path = Path("results/subsample.json")
    workloads: str = "mix-10-log,bfcl-12-log"
    draws: int = 1
    estimator: str = ""
    cache: Path = Path(".cache")
