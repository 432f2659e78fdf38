"""``POST /v1/health-events``: how calls of candidates went, without a decision."""

from __future__ import annotations

import msgspec

from router_ml.errors import InvalidRequestError
from serving.control.control import Control
from serving.http.bodies import read_json
from serving.http.call import Call
from serving.schemas import HealthAnswer, HealthEvent


class HealthEvents:
    """Takes events into the health of the candidates.

    Parameters
    ----------
    control : keeps it, and knows the candidates
    """

    def __init__(self, control: Control) -> None:
        self.control = control
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(HealthEvent).decode

    async def take(self, call: Call) -> bytes:
        """Answer one call.

        Raises
        ------
        InvalidRequestError
            If no router in service knows the candidate.
        """
        given = read_json(self._decode, call.body)
        names = self.control.names()
        if given.candidate not in names:
            raise InvalidRequestError(f"unknown candidate; there are {list(names)}")
        outcome = self.control.health_event(given.candidate, given)
        state = self.control.health.state(given.candidate)
        return self._encode(HealthAnswer(given.candidate, outcome, state))
