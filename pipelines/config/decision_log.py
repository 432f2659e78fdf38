"""Commands on a decision log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from router_ml.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseConfig:
    """Whose texts go from a decision log.

    Parameters
    ----------
    log : folders or files of a decision log
    ids : of decisions, requests or sessions, or values of tags
    owners : tenants or names of keys
    older_than_days : only texts of decisions and feedback so many days old; alone: all of those
    """

    log: tuple[Path, ...]
    ids: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    older_than_days: float | None = None

    def __post_init__(self) -> None:
        if not self.ids and not self.owners and self.older_than_days is None:
            raise ConfigError("name whose text shall go: --ids, --owners or --older-than-days")
        if self.older_than_days is not None and self.older_than_days < 0:
            raise ConfigError(f"older_than_days must be >= 0, got {self.older_than_days}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyLogConfig:
    """Which decision log is verified, against what.

    Parameters
    ----------
    log : folders or files of a decision log
    heads : digests that must be in it, as former verifications printed them
    archived : files at the log's beginning were moved away
    """

    log: tuple[Path, ...]
    heads: tuple[str, ...] = ()
    archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentConfig:
    """Which experiment is reported on.

    Parameters
    ----------
    action : report
    log : folders or files of the service's decision log
    joined : folder that join wrote of that log
    name : of the experiment; default: the latest
    version : of the challenger: decisions since its first one, without other challengers; default:
        whichever served
    champion : version of the champion: decisions of both arms from when it was the champion's arm
        alone; default: whichever served
    since : decisions from this time on; default: all
    cost_weight : quality per US dollar in utility; default: the champion's
    alpha : probability that an interval of one metric is ever wrong, however often it is looked at
    planned_units : sessions at which intervals are to be tightest; choose it before looking
    """

    action: Literal["report"]
    log: tuple[Path, ...]
    joined: Path
    name: str = ""
    version: str = ""
    champion: str = ""
    since: datetime | None = None
    cost_weight: float | None = None
    alpha: float = 0.05
    planned_units: int = 1_000

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0 or self.planned_units < 1:
            raise ConfigError(
                f"expected alpha in (0, 1) and planned_units >= 1, got {self.alpha} and "
                f"{self.planned_units}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainConfig:
    """Which decision is made again, and with what.

    Parameters
    ----------
    decision_id : as the service answered it
    log : folders or files of the decision log
    bundle : folder of the bundle that decided
    request : JSON file with the request as it was sent, where its text is not in the log
    policy_file, prices_file : overrides that the service had
    """

    decision_id: str
    log: tuple[Path, ...]
    bundle: Path
    request: Path | None = None
    policy_file: Path | None = None
    prices_file: Path | None = None
