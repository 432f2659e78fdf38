"""One candidate's turn in a cascade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router_ml.types.answers import Answer


@dataclass(frozen=True, slots=True)
class Attempt:
    """One candidate's turn.

    Parameters
    ----------
    candidate : name
    text : the answer's content; ``None`` if there is none
    cost_usd, latency_ms : what it took, if known
    finish_reason : as the provider gave it, such as ``"length"``
    tool_calls : native calls of the answer's message; without them and without text, the candidate
        failed or timed out
    """

    candidate: str
    text: str | None
    cost_usd: float = 0.0
    latency_ms: float = 0.0
    finish_reason: str = ""
    tool_calls: Sequence[Mapping[str, Any]] = ()

    @property
    def answer(self) -> Answer | None:
        """What came; ``None`` if the candidate failed."""
        if self.text is None and not self.tool_calls:
            return None
        return Answer(self.text or "", tuple(self.tool_calls), self.finish_reason)
