"""Options of benchmarks of new candidates, labels and cold starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NewcomersConfig:
    """New candidates: each endpoint hidden in turn, and some of its labels given back.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for encoders
    folds : test on the first so many of five folds
    """

    data: Path | None = None
    out: Path = Path("results/newcomers.json")
    cache: Path = Path(".cache")
    folds: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LabellingConfig:
    """What to label next, on a log whose labels are known.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for the encoder
    requests : of the log, from its first on
    draws : of each budget
    """

    data: Path | None = None
    out: Path = Path("results/labelling.json")
    cache: Path = Path(".cache")
    requests: int = 4_000
    draws: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OnboardingConfig:
    """Endpoints that are hidden in turn and onboarded.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for the encoder
    requests : of the log, from its first on
    labels : outcomes that are known of an endpoint
    endpoints : of the ten, from the first on
    """

    data: Path | None = None
    out: Path = Path("results/onboarding.json")
    cache: Path = Path(".cache")
    requests: int = 2_000
    labels: int = 200
    endpoints: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartConfig:
    """A router without a label, taught by its own log.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for encoders
    seeds : of worlds and traffic, from 0 on
    rounds, requests : rounds, and requests in each
    """

    data: Path | None = None
    out: Path = Path("results/cold_start.json")
    cache: Path = Path(".cache")
    seeds: int = 3
    rounds: int = 6
    requests: int = 400
