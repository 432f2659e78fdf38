"""What a loop reads, when it retrains, and what a challenger must pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pipelines.config import (
    EvaluateConfig,
    ExportConfig,
    JoinConfig,
    LabelFile,
    MonitorConfig,
    PromoteConfig,
    TrainConfig,
)
from pipelines.config.evaluate import evaluated
from pipelines.options import check_fields, load_config
from router_ml.errors import ConfigError

_EXPLORING: Final = ("boltzmann", "epsilon_greedy", "thompson")
"""Policies that take a trial as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """From which log a router is retrained, when, and what a challenger must pass.

    Parameters
    ----------
    action : ``run``, or ``status``: what has been done and what comes next
    decisions : decision logs of scoring services: folders, files or patterns
    requests, labels : further request logs and label files, such as those from before the router
    prices : price lists
    output : folder of the loop: its store, the log it took, and a folder for every cycle
    cache : folder for encoders
    name : registered model
    store : database of lease and state, as SQLAlchemy takes it; default: SQLite in ``output``.
        Loops on several machines need one that all of them reach
    lease_s : seconds without a sign of life after which another loop may take over
    once : one cycle, for a scheduler; its exit code says whether all is well
    every_s : seconds from the end of a cycle to the beginning of the next
    detailed_exit_code : also tell what a cycle did: 10 promoted, 11 refused, 12 in the shadow, 13
        rolled back
    retrain_labels : new labels at which to retrain
    retrain_hours : hours after which to retrain
    retrain_on_alarm : whether an alarm of the monitor is a reason
    min_labels : fewest new labels for which it pays, whatever the reason
    shadow_requests : requests that a challenger must have decided in the shadow, or as an
        experiment's arm, before it is promoted; 0 = none
    shadow_hours : hours after which one that has not is given up; of an experiment hours of
        requests that are old enough for their labels to count
    max_shadow_errors : share of them in which it may have failed
    needs_experiment : whether a challenger must also pass an experiment of the service, as an arm
        with a share of the traffic: in mode ``superior`` of ``promote`` utility must be shown to
        be higher, else not lower by ``margin`` (in mode ``save`` quality)
    experiment_units : sessions at which its intervals are to be tightest; choose it beforehand
    rollback : give the alias back when the champion is shown to be worse than its predecessor
    watch_alpha : probability with which one that is not is ever rolled back, at any of the looks
    because : retrain now, for this reason, such as a candidate that was added
    trial, trial_labels : share of the requests that a candidate with fewer labels than so many
        gets, of a policy that explores; 0 = what the policy says
    evaluation : whether to evaluate every challenger, for its page
    join, train, export, evaluate, promote, monitor : further keys of these stages; training leaves
        out labels from before a change (``detect_changes``) unless it is told otherwise
    metrics_file : Prometheus text file, for a node exporter's textfile collector
    keep_cycles : folders of cycles to keep
    """

    action: Literal["run", "status"] = "run"
    decisions: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    labels: tuple[str | LabelFile, ...] = ()
    prices: tuple[str, ...] = ()
    output: Path = Path("runs/loop")
    cache: Path = Path(".cache")
    name: str = "router"
    store: str = ""
    lease_s: float = 120.0
    once: bool = False
    every_s: float = 300.0
    detailed_exit_code: bool = False
    retrain_labels: int = 1_000
    retrain_hours: float = 168.0
    retrain_on_alarm: bool = True
    min_labels: int = 50
    shadow_requests: int = 0
    shadow_hours: float = 72.0
    max_shadow_errors: float = 0.01
    needs_experiment: bool = False
    experiment_units: int = 1_000
    rollback: bool = True
    watch_alpha: float = 0.025
    because: str = ""
    trial: float = 0.0
    trial_labels: int = 60
    evaluation: bool = True
    join: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    export: Mapping[str, Any] = field(default_factory=dict)
    evaluate: Mapping[str, Any] = field(default_factory=dict)
    promote: Mapping[str, Any] = field(default_factory=dict)
    monitor: Mapping[str, Any] = field(default_factory=dict)
    metrics_file: Path | None = None
    keep_cycles: int = 20

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("lease_s", "every_s", "retrain_labels", "retrain_hours", "min_labels",
                     "shadow_hours", "experiment_units", "keep_cycles"):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        if not 0.0 <= self.trial <= 1.0:
            raise ConfigError(f"trial must be in [0, 1], got {self.trial}")
        if self.shadow_requests < 0:
            raise ConfigError(f"shadow_requests must be >= 0, got {self.shadow_requests}")
        if not 0.0 < self.watch_alpha < 0.5:
            raise ConfigError(f"watch_alpha must be in (0, 0.5), got {self.watch_alpha}")
        if not 0.0 <= self.max_shadow_errors <= 1.0:
            raise ConfigError(f"max_shadow_errors must be in [0, 1], got {self.max_shadow_errors}")
        self._check_together()
        if self.action == "run":
            self._check_stages()

    def _check_together(self) -> None:
        """What an option needs that is not there, so that it would wait or do nothing for ever."""
        for name in ("needs_experiment", "shadow_requests"):
            if getattr(self, name) and not self.decisions:
                raise ConfigError(
                    f"{name} is counted in the service's decision log: name it as decisions"
                )
        if self.monitor.get("measures") and not self.decisions:
            raise ConfigError(
                "monitor.measures comes of the service's decision log: name it as decisions"
            )
        if self.action == "run" and self.because and not self.once:
            raise ConfigError("because retrains in every cycle, so it goes with once: true")
        policy = self.train.get("policy") or {}
        if self.trial and policy.get("name") not in _EXPLORING:
            raise ConfigError(
                f"trial needs train.policy to be one of {', '.join(_EXPLORING)}, got "
                f"{policy.get('name', 'the default')}"
            )

    def _check_stages(self) -> None:
        """A wrong key of a stage is told now, not when the stage is reached."""
        if not self.decisions and not self.requests:
            raise ConfigError("missing key decisions (or requests): name a log to learn from")
        if not self.prices:
            raise ConfigError("missing key prices: name a price list")
        named = Path("checked")
        load_config(JoinConfig, overrides={**self.join, "requests": ("log",), "prices": self.prices,
                                           "output": named})  # fmt: skip
        load_config(TrainConfig, overrides={**self.train, "joined": named, "output": named})
        load_config(ExportConfig, overrides={**self.export, "trained": named, "joined": named,
                                             "output": named})  # fmt: skip
        load_config(EvaluateConfig, overrides={**evaluated(self.evaluate, named), "joined": named,
                                               "bundle": named, "output": named})  # fmt: skip
        load_config(PromoteConfig, overrides={**self.promote, "name": self.name})
        load_config(MonitorConfig, overrides={**self.monitor, "log": (named,)})
