"""What cascade ``train`` learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from router_ml.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeConfig:
    """What cascade to learn; exactly one target.

    Parameters
    ----------
    name : ``cascade_routing`` (asks whoever is worth it) or ``cascade`` (FrugalGPT: a fixed order)
    budget_usd : mean dollars a request may cost, all answers of it together
    cost_share : the same, as a share of what the best constant costs
    min_quality : mean quality to reach at least cost; ``cascade`` only
    cost_weight : quality per dollar; ``cascade_routing`` only
    max_depth : most answers a request; default 3 for ``cascade``, 5 for ``cascade_routing``
    max_queries : queries that the policy is searched on, at random; the scorer too
    scorer : arguments of :class:`router_ml.cascade.scorer.AnswerScorer`
    readers : names of answer readers, in the order in which they are asked; default: all of this
        release
    """

    name: Literal["cascade", "cascade_routing"]
    budget_usd: float | None = None
    cost_share: float | None = None
    min_quality: float | None = None
    cost_weight: float | None = None
    max_depth: int | None = None
    max_queries: int = 20_000
    scorer: Mapping[str, Any] = field(default_factory=dict)
    readers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        targets = ["budget_usd", "cost_share"]
        targets.append("min_quality" if self.name == "cascade" else "cost_weight")
        given = [
            key
            for key in ("budget_usd", "cost_share", "min_quality", "cost_weight")
            if getattr(self, key) is not None
        ]
        if len(given) != 1 or given[0] not in targets:
            raise ConfigError(
                f"a {self.name} policy needs one of {', '.join(targets)}, got {given or 'none'}"
            )
