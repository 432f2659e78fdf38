"""Whom to ask when the chosen candidate fails."""

from __future__ import annotations

from collections.abc import Mapping

from router_ml.types.decisions import Decision


def fallback_chain(decision: Decision, provider_of: Mapping[str, str]) -> tuple[str, ...]:
    """The rest of the ranking, the best of every other provider first.

    A provider that is down takes all of its candidates with it, so the next to ask is somebody
    else's.

    Parameters
    ----------
    provider_of : candidate to provider; one without is a provider of its own

    Examples
    --------
    >>> from router_ml.types.decisions import RankedCandidate
    >>> names = ("a1", "a2", "b1", "b2")
    >>> lines = tuple(RankedCandidate(name, 0.9, 0.0, 0.0, 0.9) for name in names)
    >>> decision = Decision("a1", lines, (1.0, 0.0, 0.0, 0.0), 1.0, "cost_aware", "")
    >>> fallback_chain(decision, {"a1": "A", "a2": "A", "b1": "B", "b2": "B"})
    ('b1', 'a2', 'b2')
    """
    chosen, ranking = decision.candidate, decision.ranking
    if ranking[0].candidate == chosen:
        names = [line.candidate for line in ranking[1:]]
    else:
        names = [line.candidate for line in ranking if line.candidate != chosen]
    if not provider_of:
        return tuple(names)
    seen = {provider_of.get(chosen, chosen)}
    first, rest = [], []
    for name in names:
        provider = provider_of.get(name, name)
        if provider in seen:
            rest.append(name)
        else:
            seen.add(provider)
            first.append(name)
    return (*first, *rest)
