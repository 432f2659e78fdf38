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
    match : or whose quality is held, by a budget that held-out rows show to do so: ``today`` (the
        log's traffic) or ``best_constant``
    direct : whether an offset for each candidate is learned as well, by doubly robust value

    Raises
    ------
    ConfigError
        If not exactly one of ``cost_share``, ``usd`` and ``match`` is given, or it is not above
        zero.

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
    match: str | None = None
    direct: bool = False

    def __post_init__(self) -> None:
        if len(self._amount) != 1:
            raise ConfigError(
                "Budget takes cost_share (of what the best constant costs), usd (dollars a "
                "request) or match (whose quality is held), one of them; got "
                f"{self._amount or 'none'}"
            )
        if self.match is None and not next(iter(self._amount.values())) > 0.0:
            raise ConfigError(f"a budget must be > 0, got {self._amount}")

    @property
    def _amount(self) -> dict[str, Any]:
        given = {"cost_share": self.cost_share, "budget_usd": self.usd, "match": self.match}
        return {key: value for key, value in given.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """As the training's ``policy`` takes it."""
        return {"name": "budget", **self._amount, **({"direct": True} if self.direct else {})}


AnyPolicy = Budget | Policy | Mapping[str, Any]


def policy_spec(policy: AnyPolicy) -> dict[str, Any]:
    """What ``policy.json`` or a training's config holds."""
    if isinstance(policy, Budget | Policy):
        return policy.to_dict()
    return dict(policy)
