"""``POST /v1/feedback``: acknowledged once it is written, and written once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from serving.clock import now
from serving.http.bodies import read_json
from serving.http.call import Call
from serving.http.errors import HttpError, OverloadError
from serving.log.decision_log import DecisionLog
from serving.log.rows import FeedbackRow
from serving.log.text import LoggedText
from serving.schemas import FeedbackRequest, FeedbackResponse
from serving.telemetry import Telemetry

_REMEMBERED: Final = 100_000
"""Feedback whose repetition this process recognises; readers of the log recognise the rest."""
_WRITTEN_S: Final = 5.0
"""A disk that takes longer counts as failing."""


class Feedback:
    """Takes feedback into the decision log.

    Parameters
    ----------
    telemetry : counts
    text : what is kept of answers
    told : is given what was recorded

    Attributes
    ----------
    log : ``None`` = there is none, and feedback is refused
    """

    def __init__(
        self,
        *,
        telemetry: Telemetry,
        text: LoggedText,
        told: Callable[[FeedbackRequest, Call], None] = lambda given, call: None,
    ) -> None:
        self.telemetry = telemetry
        self.text = text
        self.told = told
        self.log: DecisionLog | None = None
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(FeedbackRequest).decode
        # Hashes, because feedback may carry an answer as long as a body.
        self._seen: OrderedDict[bytes, bytes] = OrderedDict()

    async def take(self, call: Call) -> bytes:
        """Answer one call; its row is in the file when it is recorded.

        Raises
        ------
        HttpError
            503 where there is no log, or it cannot be written now.
        """
        if self.log is None:
            raise HttpError(
                503, "this service keeps no decision log; set ROUTER_SERVE_DECISION_LOG"
            )
        given = read_json(self._decode, call.body)
        labels_others = call.key is None or call.key.allows("label")
        row = FeedbackRow(
            time=now(),
            key=call.key_name,
            labels_others=labels_others,
            **{k: v for k, v in msgspec.structs.asdict(given).items() if k != "answer"},
        )
        # Of a caller: a stranger who says the same first makes no repetition of the owner's word.
        key = _hash(self._encode([given.decision_id, given.name, call.key_name, labels_others]))
        content = _hash(self._encode(given))
        unchanged = self._seen.get(key) == content
        if not unchanged:
            await self._write(row, self.text.keep(answer=given.answer), len(call.body))
            self._seen[key] = content
            self._seen.move_to_end(key)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        answer = FeedbackResponse(
            given.decision_id, given.name, "unchanged" if unchanged else "recorded"
        )
        self.telemetry.feedback[answer.status] += 1
        if not unchanged:
            self.telemetry.learned("quality", given.quality)
            self.telemetry.learned("cost_usd", given.cost_usd)
            self.told(given, call)
        return self._encode(answer)

    async def _write(self, row: FeedbackRow, text: dict[str, Any], size: int) -> None:
        loop = asyncio.get_running_loop()
        written: asyncio.Future[bool] = loop.create_future()

        def settle(outcome: bool) -> None:
            if not written.done():
                written.set_result(outcome)

        def told(outcome: bool) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(settle, outcome)

        if self.log is None or not self.log.append(row, text, size=size, told=told):
            raise OverloadError("log_queue", "the log's queue is full; try again")
        try:
            outcome = await asyncio.wait_for(written, _WRITTEN_S)
        except TimeoutError:
            outcome = False
        if not outcome:
            raise OverloadError("log", "the decision log cannot be written now; try again")


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
