"""Whom to ask: a scoring service, a bundle in this process, or at random while there is neither."""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from router_ml.client import AsyncRouterClient, Choice
from router_ml.errors import ConfigError, RouterError

_KEPT: Final = 64


class Decider(Protocol):
    """Chooses among candidates, and hears what came of it."""

    async def choose(self, chat: Mapping[str, Any]) -> Choice | None:
        """A choice, or ``None`` where there is no opinion; never raises.

        Parameters
        ----------
        chat : ``messages`` or ``query``, ``tools``, and limits, as ``POST /v1/route`` takes them
        """
        ...

    async def tell(self, decision_id: str, outcome: Mapping[str, Any]) -> None:
        """Say what became of a decision, as ``POST /v1/feedback`` takes it; never raises."""
        ...


def among(choice: Choice | None, allowed: Collection[str] | None) -> Choice | None:
    """The choice, if it may be asked, else the best of its ranking that may.

    A router may know candidates that a gateway does not have, and the other way round. Who was not
    drawn has no propensity.

    Examples
    --------
    >>> choice = Choice("new", ("new", "old"), "d", "router", "", propensity=1.0)
    >>> among(choice, {"old"}).candidate, among(choice, {"old"}).propensity
    ('old', None)
    >>> among(choice, {"other"}) is None
    True
    """
    if choice is None or allowed is None or choice.candidate in allowed:
        return choice
    ranking = tuple(name for name in choice.ranking if name in allowed)
    if not ranking:
        return None
    return replace(choice, candidate=ranking[0], ranking=ranking, propensity=None)


class ServiceDecider:
    """Asks a scoring service. A service that is down, slow or of another version has no opinion.

    Parameters
    ----------
    url, api_key, timeout_s : as :class:`router_ml.client.AsyncRouterClient` takes them
    """

    def __init__(self, *, url: str, api_key: str | None = None, timeout_s: float = 0.25) -> None:
        # The fallback is LiteLLM's own; its name is never looked at.
        self.client = AsyncRouterClient(
            url=url, fallback="litellm", api_key=api_key, timeout_s=timeout_s, connections=_KEPT
        )

    async def choose(self, chat: Mapping[str, Any]) -> Choice | None:
        """The service's choice."""
        choice = await self.client.route(**chat)
        return choice if choice.source == "router" else None

    async def tell(self, decision_id: str, outcome: Mapping[str, Any]) -> None:
        """Feedback without a quality: tokens, cost, latency, who served."""
        await self.client.feedback(decision_id, **outcome)


class BundleDecider:
    """Scores a bundle in this process; the spend log is then the only record of its decisions.

    Parameters
    ----------
    folder : of the bundle
    """

    def __init__(self, folder: Path | str, **options: Any) -> None:
        from router_ml.runtime.runtime import Runtime

        self.runtime = Runtime.from_folder(Path(folder), **options)

    async def choose(self, chat: Mapping[str, Any]) -> Choice | None:
        """The runtime's decision, under the limits that it knows."""
        from router_ml.features.query import parse_query
        from router_ml.runtime.constraints import Constraints

        limits = {k: v for k, v in chat.items() if k == "max_output_tokens"}
        try:
            query = parse_query(chat.get("messages", chat.get("query")), chat.get("tools"))
            decision = self.runtime.decide(query, Constraints.from_dict(limits))
        except RouterError:
            return None
        return Choice(
            candidate=decision.candidate,
            ranking=tuple(line.candidate for line in decision.ranking),
            decision_id=str(uuid.uuid4()),
            source="router",
            reason=decision.reason,
            propensity=decision.propensity,
            policy=decision.policy,
            version=self.runtime.manifest.bundle_id,
        )

    async def tell(self, decision_id: str, outcome: Mapping[str, Any]) -> None:
        """Nobody listens."""


class RandomDecider:
    """Each candidate with the same probability: the first log of a gateway without a router.

    Parameters
    ----------
    candidates : names
    random_state : seed; ``None`` = fresh entropy
    """

    def __init__(self, candidates: Sequence[str], *, random_state: int | None = None) -> None:
        if not candidates:
            raise ConfigError("expected at least one candidate to draw from, got none")
        self.candidates = tuple(candidates)
        self._rng = random.Random(random_state)

    async def choose(self, chat: Mapping[str, Any]) -> Choice | None:
        """One of them; the others in random order."""
        allowed = [*self.candidates]
        self._rng.shuffle(allowed)
        return Choice(
            candidate=allowed[0],
            ranking=tuple(allowed),
            decision_id=str(uuid.UUID(int=self._rng.getrandbits(128), version=4)),
            source="router",
            reason=f"one of {len(allowed)}, each with the same probability",
            propensity=1 / len(allowed),
            policy="random",
        )

    async def tell(self, decision_id: str, outcome: Mapping[str, Any]) -> None:
        """Nobody listens."""
