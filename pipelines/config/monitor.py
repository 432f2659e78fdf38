"""What a monitor reads, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pipelines.options import check_fields
from router_ml.errors import ConfigError

ACTIONS: Final = ("mask", "explore", "retrain", "notify")


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorConfig:
    """A decision log under watch.

    Parameters
    ----------
    log : folders or files of the service's decision log
    output : folder of the monitor: state, alarms, metrics, page; a later run goes on there
    bundle : bundle folder in service, for prices and reference statistics; default: none, and
        prices are learned, traffic is not watched
    prices : that bills are held against: the bundle's, or learned from the first bills
    alpha : probability of an alarm, ever, where nothing changes
    segments : kinds of segments of a candidate: cluster (of queries, as the bundle's training found
        them), language, tools, length; any other is the name of a request's tag, as task is
    sources : of labels that count; thumbs of users are not missing at random
    actions : by signal (quality, errors, price, latency_ms, input_tokens, output_tokens, traffic),
        what an alarm asks for: mask, explore, retrain, notify
    mask_below : a candidate is masked where it keeps less than this share of its expected quality,
        or fails more often than this leaves; else it is explored
    measures : the service's measures file, in which candidates are masked and explored; default:
        none, and alarms only say what is to be done
    explore_share : least probability of a candidate that is explored
    every : seconds between looks at the log; 0 = look once
    port : of Prometheus metrics, beside the file ``metrics.prom``; 0 = none
    experiment : MLflow experiment that alarms are recorded in; empty = none
    """

    log: tuple[Path, ...]
    output: Path = Path("runs/monitor")
    bundle: Path | None = None
    prices: Literal["bundle", "learned"] = "bundle"
    alpha: float = 0.05
    segments: tuple[str, ...] = ("task", "cluster", "language", "tools")
    sources: tuple[str, ...] = ("checker", "human", "judge")
    actions: Mapping[str, str] = field(
        default_factory=lambda: {
            "quality": "mask",
            "errors": "mask",
            "price": "retrain",
            "latency_ms": "retrain",
            "input_tokens": "notify",
            "output_tokens": "notify",
            "traffic": "retrain",
        }
    )
    mask_below: float = 0.6
    measures: Path | None = None
    explore_share: float = 0.1
    every: float = 0.0
    port: int = 0
    experiment: str = ""

    def __post_init__(self) -> None:
        # Here, since it needs scipy, and the command line also runs beside LiteLLM, without it.
        from router_ml.monitoring.signals import SIGNALS

        check_fields(self)
        if not 0.0 < self.alpha < 1.0:
            raise ConfigError(f"alpha must be in (0, 1), got {self.alpha}")
        if not 0.0 < self.mask_below <= 1.0:
            raise ConfigError(f"mask_below must be in (0, 1], got {self.mask_below}")
        if not 0.0 < self.explore_share <= 1.0:
            raise ConfigError(f"explore_share must be in (0, 1], got {self.explore_share}")
        if unknown := sorted(set(self.actions) - set(SIGNALS)):
            raise ConfigError(f"actions are by signal, {', '.join(SIGNALS)}, got {unknown}")
        if wrong := sorted(set(self.actions.values()) - set(ACTIONS)):
            raise ConfigError(f"actions must be of {', '.join(ACTIONS)}, got {wrong}")
        if self.every < 0.0:
            raise ConfigError(f"every must be >= 0 seconds, got {self.every}")
