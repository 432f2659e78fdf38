"""Versions in the registry, and when one replaces another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipelines.config.ranges import check_range
from pipelines.options import check_fields
from router_ml.errors import ConfigError
from router_ml.evaluation.gate.gate import DEFAULT_MARGIN
from router_ml.evaluation.off_policy.tails import check_guards


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterConfig:
    """A bundle that becomes a version in the registry, and what is recorded of its making.

    Parameters
    ----------
    bundle : bundle folder
    parity : what ``export`` proved; default: ``parity.json`` beside the bundle
    trained, joined, evaluation : folders of these stages; their configs, reports, figures and
        metrics are recorded
    matrix : Parquet that ``evaluation`` was made on
    name : registered model
    experiment : of the run
    wandb_project : record the run in Weights & Biases, too; empty = no
    key : of what the version is made from; where a version has this key already, that one is taken
        and nothing is registered twice; empty = register another
    tags : of run and version, such as why it was trained
    """

    bundle: Path
    parity: Path | None = None
    trained: Path | None = None
    joined: Path | None = None
    evaluation: Path | None = None
    matrix: Path | None = None
    name: str = "router"
    experiment: str = "router"
    wandb_project: str = ""
    key: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteConfig:
    """When a challenger replaces the champion.

    Parameters
    ----------
    joined : folder that ``join`` wrote; all of it is the judge unless there is a ``matrix``
    matrix : Parquet of every candidate's outcome on every prompt
    name : registered model
    version : to judge; default: the one with the alias ``challenger``
    opponent : of a first promotion: ``today``, what the logging policy did (on a matrix without a
        log it is the best constant); or ``constant``, the best constant candidate. The others are
        reported beside it
    mode : ``save``: quality not worse by more than ``margin``, and cheaper; ``superior``: higher
        utility at ``cost_weight``; ``refresh``: utility not worse by more than ``margin``, and none
        lost by estimate, for the same recipe learned from more log
    margin : quality (``refresh``: utility) that may be lost
    alpha : one-sided error rate
    cost_weight : quality per dollar, fixed before looking
    gain : true utility gain for which power is stated
    target_power : power that the stated number of rows would give
    peeking : see ``Gate``; ``spending`` keeps ``alpha`` over all
        challengers of one champion together
    support_by_region : a log must support a candidate in every query region that would move to it;
        false: over all queries, for logs of a few hundred labels, which have few in any region
    guards : tails that may not be worse by more than a limit: the largest ratio for
        ``latency_ms_p95`` or ``cost_usd_p99``, what may be lost for ``quality_worst_5``; any
        percentage
    max_p50_ms, max_p99_ms : limits of the time of a decision, without HTTP
    latency_queries : queries timed
    override_by, override_reason : who promotes although the gate says no, and why; both or none
    """

    joined: Path | None = None
    matrix: Path | None = None
    name: str = "router"
    version: int | None = None
    opponent: Literal["today", "constant"] = "today"
    mode: Literal["save", "superior", "refresh"] = "save"
    margin: float = DEFAULT_MARGIN
    alpha: float = 0.025
    cost_weight: float = 0.0
    gain: float = 0.02
    target_power: float = 0.8
    peeking: Literal["once", "sequence", "spending"] = "spending"
    support_by_region: bool = True
    guards: Mapping[str, float] = field(default_factory=dict)
    max_p50_ms: float = 1.0
    max_p99_ms: float = 3.0
    latency_queries: int = 300
    override_by: str = ""
    override_reason: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        check_range(self, ("alpha",), 0.0, 0.5)
        check_range(self, ("target_power",), 0.0, 1.0)
        for name in ("margin", "gain", "max_p50_ms", "max_p99_ms", "latency_queries"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        check_guards(self.guards)
        if self.cost_weight < 0.0:
            raise ConfigError(f"cost_weight must be >= 0, got {self.cost_weight}")
        if bool(self.override_by.strip()) != bool(self.override_reason.strip()):
            raise ConfigError(
                "an override needs both override_by and override_reason, got "
                f"{self.override_by!r} and {self.override_reason!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackConfig:
    """Give the alias champion back to the version that had it before.

    Parameters
    ----------
    name : registered model
    by : who rolls back
    reason : why
    """

    name: str = "router"
    by: str = ""
    reason: str = ""
