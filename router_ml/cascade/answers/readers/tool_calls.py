"""Native tool calls: the ``tool_calls`` of a message."""

from __future__ import annotations

from typing import ClassVar, Final

from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.calls.call import ParsedCalls
from router_ml.cascade.answers.calls.objects import calls_in
from router_ml.cascade.answers.calls.reader import CallsReader
from router_ml.types.answers import Answer

_MAX_CALLS: Final = 64


class ToolCallsReader(CallsReader):
    """Calls that the provider gives apart from the text, in OpenAI's or Anthropic's shape.

    They count as the same answer as the same calls written as JSON.
    """

    name: ClassVar[str] = "tool_calls"

    def parse(self, asked: Asked, answer: Answer) -> ParsedCalls | None:
        """The message's calls."""
        if not answer.tool_calls:
            return None
        return ParsedCalls(calls_in(answer.tool_calls[:_MAX_CALLS]), clean=not answer.text.strip())
