"""A newly released candidate, and what to ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.config.ranges import check_range
from pipelines.options import check_fields
from router_ml.evaluation.gate.gate import DEFAULT_MARGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class OnboardConfig:
    """Where a new candidate would win, what it takes to know, and a bundle that finds out.

    Parameters
    ----------
    name : of the new candidate
    price : input and output, dollars per million tokens
    labels : CSV, JSON lines or Parquet of its outcomes, a row an answer: ``prompt``, ``quality`` in
        [0, 1], and ``input_tokens``, ``output_tokens``, ``latency_ms`` where known
    card : mean quality that is believed of it beforehand, and its standard error
    bundle : of the router that does not know it
    trained : folder of its training
    joined : log that it was learned from
    output : folder of ``onboarding.json`` and the exploring ``bundle``
    explore_share : of all requests that it gets while exploring, at least
    floor : of every other candidate meanwhile, at least
    margin : difference of its mean quality that matters
    gate_margin : quality that the gate allows to be lost
    target_power : probability with which both are told
    cost_weight : quality per dollar while exploring; default: the router's own
    cache : folder for encoders
    """

    name: str
    price: tuple[float, ...]
    labels: Path | None = None
    card: tuple[float, ...] = ()
    bundle: Path
    trained: Path
    joined: Path
    output: Path = Path("runs/onboard")
    explore_share: float = 0.05
    floor: float = 0.01
    margin: float = 0.05
    gate_margin: float = DEFAULT_MARGIN
    target_power: float = 0.8
    cost_weight: float | None = None
    cache: Path = Path(".cache")

    def __post_init__(self) -> None:
        check_fields(self)
        check_range(
            self,
            ("explore_share", "floor", "margin", "gate_margin", "target_power"),
            0.0,
            1.0,
        )
