"""What is learned, and how it becomes a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.options import check_fields
from router_ml.cascade.spec import CascadeConfig
from router_ml.errors import ConfigError
from router_ml.estimators.tiers import TIERS, TierName


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What is learned from a join.

    Parameters
    ----------
    joined : folder that ``join`` wrote
    output : folder to write to; replaced if it is there
    tier : ``fast`` (a static encoder, microseconds), ``balanced`` (a frozen sentence encoder beside
        it, milliseconds) or ``best`` (one that is fine-tuned: milliseconds, and minutes a fold to
        train)
    encoder_model : any sentence-transformers model, by name or path: what ``fast`` distils, what
        ``balanced`` freezes
    dims : dimensions of the static encoder
    max_tokens : tokens that a frozen sentence encoder reads
    quality : estimator of quality, ``{"name": ..., **arguments}``; default: the tier's
    learning : what it is fitted to: ``naive``, the labels as they are; ``ipw``, labels weighted by
        the inverse of the probability that the log shows them; ``dr``, doubly robust
        pseudo-outcomes, which take two fits (docs/concepts/off-policy.md says when they pay)
    candidates : to route among, with a price each; default: all that served a request. One that has
        served none yet is taken for average, and a policy that explores finds out
    max_training_rows : requests that are learned from; of a longer log so many are drawn, each as
        likely as every other; 0: all
    detect_changes : leave out labels from before a candidate's quality changed
        (docs/how-to/close-the-loop.md)
    policy : as ``policy.json`` holds it, or ``{"name": "budget", "budget_usd": x}``, or ``{"name":
        "budget", "cost_share": s}``, a share of what the best constant costs, or ``{"name":
        "budget", "match": "today"}`` (the default; or ``best_constant``), one that is shown on
        held-out rows to hold the quality there is today. With ``direct: true``
        a budget policy also learns an offset for each candidate, by doubly robust value;
        ``{"name": "thompson"}`` gets each candidate's standard error from the log
    cascade : a cascade to learn as well; needs a log with answers
    loggers : versions that served the log, as ``policy_version`` names them, to their bundle
        folders; what others would have chosen is estimated
    cache : folder for encoders and embeddings
    """

    joined: Path
    output: Path
    tier: TierName = "fast"
    encoder_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    dims: int = 256
    max_tokens: int = 128
    quality: Mapping[str, Any] = field(default_factory=dict)
    learning: Literal["naive", "ipw", "dr"] = "ipw"
    candidates: tuple[str, ...] = ()
    max_training_rows: int = 1_000_000
    detect_changes: bool = False
    policy: Mapping[str, Any] = field(default_factory=lambda: {"name": "budget", "match": "today"})
    cascade: CascadeConfig | None = None
    loggers: Mapping[str, Path] = field(default_factory=dict)
    cache: Path = Path(".cache")

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.quality:
            object.__setattr__(self, "quality", dict(TIERS[self.tier].quality))
        if self.max_training_rows < 0:
            raise ConfigError(f"max_training_rows must be >= 0, got {self.max_training_rows}")
        for name in ("dims", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """How a trained router becomes a bundle.

    Parameters
    ----------
    trained : folder that ``train`` wrote
    joined : folder that ``join`` wrote; its queries are what parity is checked on
    output : folder to write ``bundle/`` and ``parity.json`` to
    parity_queries : queries of the log to check, odd ones come on top
    """

    trained: Path
    joined: Path
    output: Path
    parity_queries: int = 1_000

    def __post_init__(self) -> None:
        check_fields(self)
