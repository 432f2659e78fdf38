"""What a cascade does next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from router_ml.types.decisions import Decision


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do now.

    Parameters
    ----------
    action : ``"accept"`` or ``"escalate"``
    candidate : whose answer to accept, or whom to ask
    quality : estimated quality of the answer accepted; when escalating, of the best so far (0
        without any)
    expected_gain, expected_cost_usd : of going on; 0 when accepting
    estimates : estimated quality of each answer so far, by candidate
    reason : one sentence for a person
    decision : the router's, where it was the router that chose whom to ask; its ``action_probs``
        are the step's propensities. ``None`` where the cascade decided, which draws nothing.
    """

    action: Literal["accept", "escalate"]
    candidate: str
    quality: float
    expected_gain: float
    expected_cost_usd: float
    estimates: Mapping[str, float]
    reason: str
    decision: Decision | None = None
