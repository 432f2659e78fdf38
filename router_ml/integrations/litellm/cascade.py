"""A provider of LiteLLM that asks, judges and escalates inside one request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

from litellm.llms.custom_llm import CustomLLM, CustomLLMError
from litellm.types.utils import GenericStreamingChunk, ModelResponse

from router_ml.cascade.client import CascadeClient, CascadeResult, Decides
from router_ml.cascade.runtime.attempt import Attempt
from router_ml.errors import InvalidRequestError
from router_ml.features.query import Query, parse_query
from router_ml.integrations.litellm.chats import traceparent_of
from router_ml.integrations.litellm.records import KEY, NO_OPINION, record_in
from router_ml.types.answers import tool_calls

_LOG: Final = logging.getLogger(__name__)
_PIECE: Final = 64
"""Characters of a streamed piece."""
_GRACE_S: Final = 1.0
"""LiteLLM's own timeout of a turn comes first and is logged; a turn that is cut off is not."""
POLICY: Final = "cascade"


class CascadeProvider(CustomLLM):
    """Answers as a model; every turn is a call of a candidate's own model group.

    The answer is streamed once it is accepted: what may still be rejected is not sent. When the
    router cannot be asked, the default candidate answers.

    Parameters
    ----------
    decides : makes, of a chat request, what gives the next step
    default : candidate that answers when nothing can be decided
    max_depth, max_cost_usd, max_seconds : limits of one request, all turns together
    """

    def __init__(
        self,
        *,
        decides: Callable[[Mapping[str, Any]], Decides],
        default: str,
        max_depth: int = 3,
        max_cost_usd: float | None = None,
        max_seconds: float | None = None,
    ) -> None:
        super().__init__()
        self.decides = decides
        self.default = default
        self.max_depth = max_depth
        self.max_cost_usd = max_cost_usd
        self.max_seconds = max_seconds
        # By the identity of their records, while somebody reads them.
        self._streams: WeakValueDictionary[int, _Stream] = WeakValueDictionary()

    async def acompletion(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """The accepted answer."""
        return await self._answer(_Call.of(args, kwargs))

    def astreaming(self, *args: Any, **kwargs: Any) -> AsyncIterator[GenericStreamingChunk]:
        """The accepted answer in pieces. LiteLLM calls this in a thread, without a loop."""
        call = _Call.of(args, kwargs)
        stream = _Stream(lambda: self._answer(call))
        if call.record is not None:
            self._streams[id(call.record)] = stream
        return stream.pieces()

    async def settled(self, record: Mapping[str, Any]) -> None:
        """Wait until the stream of this record, if there is one, knows its answer."""
        stream = self._streams.get(id(record))
        if stream is not None:
            await stream.settled()

    async def _answer(self, call: _Call) -> ModelResponse:
        answers: dict[str, ModelResponse] = {}
        loop = asyncio.get_running_loop()

        def ask(candidate: str, query: Query, left_s: float | None) -> Attempt:
            future = asyncio.run_coroutine_threadsafe(call.ask(candidate, left_s), loop)
            try:
                answer = future.result(None if left_s is None else left_s + _GRACE_S)
            except TimeoutError:
                future.cancel()
                raise
            answers[candidate] = answer
            return _attempt(candidate, answer)

        try:
            query = parse_query(call.chat["messages"], call.chat.get("tools"))
            client = CascadeClient(
                decides=self.decides(call.chat),
                ask=ask,
                max_depth=self.max_depth,
                max_cost_usd=self.max_cost_usd,
                max_seconds=self.max_seconds,
            )
            result = await asyncio.to_thread(client.run, query)
        except Exception as error:  # the contract: our defect is no user's failed request
            return await self._default(call, answers, error)
        return _final(answers[result.candidate], call, result)

    async def _default(
        self, call: _Call, answers: Mapping[str, ModelResponse], error: Exception
    ) -> ModelResponse:
        """The best that there is without a decision: an answer that came, else the default's."""
        _LOG.warning("the cascade cannot go on (%s)", type(error).__name__)
        if answers:
            candidate, answer = list(answers.items())[-1]
            call.note(candidate=candidate, policy=POLICY)
            return answer
        if isinstance(error, InvalidRequestError) and "they raised" in str(error):
            raise CustomLLMError(status_code=503, message="no candidate answered") from error
        call.note(candidate=self.default, policy=NO_OPINION)
        return await call.ask(self.default, self.max_seconds)


class _Stream:
    """An answer that is worked out once, when it is first waited for, and then read in pieces."""

    def __init__(self, answer: Callable[[], Coroutine[Any, Any, ModelResponse]]) -> None:
        self._make = answer
        self._task: asyncio.Task[ModelResponse] | None = None

    async def settled(self) -> None:
        """Wait for the answer, or for its failure, which the reader of the pieces gets."""
        await asyncio.wait({self._started()})

    def _started(self) -> asyncio.Task[ModelResponse]:
        if self._task is None:
            self._task = asyncio.create_task(self._make())
        return self._task

    async def pieces(self) -> AsyncIterator[GenericStreamingChunk]:
        """Of the answer."""
        answer = await self._started()
        choice, usage = answer.choices[0], getattr(answer, "usage", None)
        text, calls = choice.message.content or "", choice.message.tool_calls or []
        for start in range(0, len(text), _PIECE):
            yield _piece(text=text[start : start + _PIECE])
        for index, call in enumerate(calls):
            yield _piece(tool={"id": call.id, "type": "function", "index": index,
                               "function": call.function.model_dump()})  # fmt: skip
        yield _piece(finish=choice.finish_reason or "stop", usage=usage)


class _Call:
    """One request to the provider, and how its candidates are called."""

    def __init__(
        self,
        messages: Sequence[Any],
        params: Mapping[str, Any],
        metadata: Mapping[str, Any],
        trace: str | None,
    ) -> None:
        self.params = {k: v for k, v in params.items() if k not in ("stream", "stream_options")}
        self.chat: dict[str, Any] = {"messages": list(messages)}
        if tools := self.params.get("tools"):
            self.chat["tools"] = tools
        self.metadata = metadata
        self.record = record_in(metadata)
        if trace is not None:
            self.chat["traceparent"] = trace

    @classmethod
    def of(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Call:
        """From the arguments that LiteLLM gives a custom provider, all of them by name."""
        if args:
            raise CustomLLMError(status_code=500, message="expected arguments by name")
        litellm_params = kwargs.get("litellm_params") or {}
        metadata = litellm_params.get("metadata") or litellm_params.get("litellm_metadata") or {}
        params = kwargs.get("optional_params") or {}
        return cls(kwargs["messages"], params, metadata, traceparent_of(litellm_params))

    def note(self, **found: Any) -> None:
        """Write into the record, where there is one."""
        if self.record is not None:
            self.record.update(found)

    async def ask(self, candidate: str, timeout_s: float | None) -> ModelResponse:
        """A call of a candidate's model group, logged as a call of its own."""
        from litellm.proxy.proxy_server import llm_router

        if llm_router is None:
            raise CustomLLMError(status_code=503, message="the proxy has no models")
        # The keys of the caller, so that spend is charged to it; not the outer call's record.
        metadata = {
            k: v for k, v in self.metadata.items() if k.startswith("user_api_key") or k == "tags"
        }
        metadata["spend_logs_metadata"] = {KEY: {"candidate": candidate, "policy": POLICY}}
        limits = {} if timeout_s is None else {"timeout": timeout_s}
        answer: ModelResponse = await llm_router.acompletion(
            model=candidate,
            messages=self.chat["messages"],
            metadata=metadata,
            num_retries=0,
            disable_fallbacks=True,
            **self.params,
            **limits,
        )
        return answer


def _attempt(candidate: str, answer: ModelResponse) -> Attempt:
    choice = answer.choices[0]
    message = choice.message.model_dump()
    return Attempt(
        candidate,
        message.get("content"),
        cost_usd=float(answer._hidden_params.get("response_cost") or 0.0),
        finish_reason=choice.finish_reason or "",
        tool_calls=tool_calls(message.get("tool_calls"), message.get("function_call")),
    )


def _final(answer: ModelResponse, call: _Call, result: CascadeResult) -> ModelResponse:
    """The accepted answer, with what led to it in the record."""
    call.note(
        candidate=result.candidate,
        policy=POLICY,
        turns=[attempt.candidate for attempt in result.attempts],
        quality=result.quality,
        cost_usd=result.cost_usd,
    )
    return answer


def _piece(
    *, text: str = "", tool: Any = None, finish: str = "", usage: Any = None
) -> GenericStreamingChunk:
    counts = None
    if usage is not None:
        names = ("prompt_tokens", "completion_tokens", "total_tokens")
        counts = {name: getattr(usage, name) for name in names}
    return GenericStreamingChunk(
        text=text,
        tool_use=tool,
        is_finished=bool(finish),
        finish_reason=finish,
        usage=counts,
        index=0,
    )
