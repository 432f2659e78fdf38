"""What a simulation plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from router_ml.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateConfig:
    """Traffic, events, and how the router is trained, explores and is judged.

    Parameters
    ----------
    data : folder with ``matrix.parquet`` and ``prices.json``; ``None`` = a synthetic world
    output : folder to write to; replaced if it is there
    cache : folder for encoders
    rounds, requests : rounds, and requests in each
    history : requests in the log from before there was a router
    label_share : share of requests whose outcome is fed back
    added_at, degraded_at, repriced_at : rounds, from 0, at whose beginning it happens
    kept : share of its right answers that the degraded candidate keeps
    dearer : factor on the prices of the repriced candidate
    cost_weight : quality per dollar; default: the best candidate's cost weighs five points
    quality : estimator of quality
    temperature, floor : of the exploring policy (Boltzmann), in units of utility and probability
    trial : least probability of a candidate with fewer than ``trial_labels`` labels, so that a
        newcomer can be judged soon
    trial_labels : labels at which the trial ends
    cycle_requests : requests after which the loop looks at its log
    retrain_labels : new labels at which it retrains
    alarm_labels : new labels at which an alarm is reason enough
    mode, margin : of the gate
    alpha : one-sided error rate of the gate, over all challengers of one champion
    random_state : seeds world, traffic, labels and the service's draws
    """

    data: Path | None = None
    output: Path = Path("runs/loop")
    cache: Path = Path(".cache")
    rounds: int = 10
    requests: int = 500
    history: int = 2_000
    label_share: float = 0.5
    added_at: int = 1
    degraded_at: int = 3
    repriced_at: int = 6
    kept: float = 0.4
    dearer: float = 4.0
    cost_weight: float | None = None
    quality: Mapping[str, Any] = field(default_factory=lambda: {"name": "stacked"})
    temperature: float = 0.015
    floor: float = 0.005
    trial: float = 0.1
    trial_labels: int = 60
    cycle_requests: int = 100
    retrain_labels: int = 250
    alarm_labels: int = 40
    mode: Literal["superior", "refresh"] = "refresh"
    margin: float = 0.02
    alpha: float = 0.025
    random_state: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "requests", "history", "cycle_requests"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not 0.0 < self.label_share <= 1.0:
            raise ConfigError(f"label_share must be in (0, 1], got {self.label_share}")
        for name in ("added_at", "degraded_at", "repriced_at"):
            if not 0 <= getattr(self, name) < self.rounds:
                raise ConfigError(
                    f"{name} must be a round from 0 to {self.rounds - 1}, got {getattr(self, name)}"
                )
