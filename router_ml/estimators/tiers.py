"""Speed classes of routers: what each learns with, and what its encoder is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from router_ml.estimators.stacked import DEFAULT_MEMBERS

TierName = Literal["fast", "balanced", "best"]


@dataclass(frozen=True, slots=True)
class Tier:
    """What a tier is made of.

    Parameters
    ----------
    encoder : kind of encoder: ``static`` or ``sentence``
    quality : spec of the estimator of quality
    """

    encoder: Literal["static", "sentence"]
    quality: Mapping[str, Any]


_PRINCIPAL: Final[Mapping[str, Any]] = {"name": "extra_trees", "principal": True, "n_dims": 48}

TIERS: Final[Mapping[TierName, Tier]] = {
    "fast": Tier("static", {"name": "stacked"}),
    "balanced": Tier(
        "sentence",
        {"name": "stacked", "members": {**DEFAULT_MEMBERS, "extra_trees": _PRINCIPAL}},
    ),
    "best": Tier(
        "static",
        {
            "name": "stacked",
            "members": {"fast": {"name": "stacked"}, "fine_tuned": {"name": "fine_tuned"}},
            "n_folds": 6,
        },
    ),
}
"""Scoring takes microseconds with ``fast`` and milliseconds with the others. ``balanced`` trains in
minutes; ``best`` takes minutes a fold. Where there are many labels ``best`` fits its encoder once,
and weights come from one inner fold: two members have four weights, not fourteen."""
