"""Policies as one asks for them: a budget is solved when a router is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router_ml.errors import ConfigError
from router_ml.policies.base import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The highest quality at a mean price of a request.

    Parameters
    ----------
    cost_share : share of what the best constant costs, > 0
    usd : or US dollars a request, > 0
    direct : whether an offset for each candidate is learned as well, by doubly robust value

    Raises
    ------
    ConfigError
        If not exactly one of ``cost_share`` and ``usd`` is given, or it is not above zero.

    References
    ----------
    .. [1] Dekoninck et al., "A Unified Approach to Routing and Cascading for LLMs", ICML 2025: the
       cost weight at which a budget is met.

    Examples
    --------
    >>> import router_ml as rm
    >>> rm.Budget(cost_share=0.25).to_dict()
    {'name': 'budget', 'cost_share': 0.25}
    """

    cost_share: float | None = None
    usd: float | None = None
    direct: bool = False

    def __post_init__(self) -> None:
        if (self.cost_share is None) == (self.usd is None):
            raise ConfigError(
                "Budget takes cost_share (of what the best constant costs) or usd (dollars a "
                f"request), one of them; got {self.cost_share} and {self.usd}"
            )
        amount = self.usd if self.cost_share is None else self.cost_share
        if amount is None or not amount > 0.0:
            raise ConfigError(f"a budget must be > 0, got {amount}")

    def to_dict(self) -> dict[str, Any]:
        """As the training's ``policy`` takes it."""
        amount = {"budget_usd": self.usd} if self.cost_share is None else {
            "cost_share": self.cost_share
        }  # fmt: skip
        return {"name": "budget", **amount, **({"direct": True} if self.direct else {})}


AnyPolicy = Budget | Policy | Mapping[str, Any]


def policy_spec(policy: AnyPolicy) -> dict[str, Any]:
    """What ``policy.json`` or a training's config holds."""
    if isinstance(policy, Budget | Policy):
        return policy.to_dict()
    return dict(policy)
