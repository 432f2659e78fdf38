"""What was decided for one query."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RankedCandidate:
    """One line of a decision's ranking, best first.

    Not frozen: a dozen are made for every request, and freezing trebles the time that takes.
    """

    candidate: str
    quality: float
    cost_usd: float
    latency_ms: float
    utility: float


@dataclass(slots=True)
class Removal:
    """A candidate that may not answer, and the first limit that ruled it out."""

    candidate: str
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The candidate drawn for one query, and what it was drawn from.

    Parameters
    ----------
    candidate : name of the chosen candidate
    ranking : every eligible candidate, best first
    action_probs : probability of each candidate of the table, shape (K,), sums to one
    propensity : ``action_probs`` of the chosen one
    policy : name of the policy
    reason : one sentence for a person
    removed : every candidate that is not in ``ranking``, with its reason
    unchecked : what the request needs and no candidate of the catalogue declares
    expected_tokens : predicted input and output tokens of the chosen one
    draw : uniform number in [0, 1) that the candidate was drawn with; ``None`` = nothing was drawn
    """

    candidate: str
    ranking: tuple[RankedCandidate, ...]
    action_probs: tuple[float, ...]
    propensity: float
    policy: str
    reason: str
    removed: tuple[Removal, ...] = ()
    unchecked: tuple[str, ...] = ()
    draw: float | None = None
    expected_tokens: tuple[float, float] | None = None
