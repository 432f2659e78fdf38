"""One request on its way from a decision to its feedback."""

from __future__ import annotations

from dataclasses import dataclass

from serving.control.budgets import Booking


@dataclass(slots=True)
class Turn:
    """What is kept of it.

    Parameters
    ----------
    candidate : that was chosen; ``""`` before
    caller : name of the key that asked
    conversation : key of the conversation, where it is priced
    probed : candidates that it might have probed
    bookings, usd : accounts, and the dollars that stand on each for it
    """

    candidate: str = ""
    caller: str | None = None
    conversation: bytes | None = None
    probed: tuple[str, ...] = ()
    bookings: tuple[Booking, ...] = ()
    usd: float = 0.0
