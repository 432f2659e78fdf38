"""Tool calls written as JSON in the text of an answer."""

from __future__ import annotations

from typing import ClassVar

from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.calls.call import MAX_CHARS, Call, ParsedCalls
from router_ml.cascade.answers.calls.code import FENCE
from router_ml.cascade.answers.calls.objects import calls_in, load_json
from router_ml.cascade.answers.calls.reader import CallsReader
from router_ml.types.answers import Answer


class JsonCallsReader(CallsReader):
    """``[{"name": "f", "arguments": {...}}]``, ``[{"f": {...}}]`` and their like.

    All of the text is JSON, or what its first fence holds. Where no tools were on offer, only
    objects with a name and arguments count.
    """

    name: ClassVar[str] = "json_calls"

    def parse(self, asked: Asked, answer: Answer) -> ParsedCalls | None:
        """The text's calls."""
        source = answer.text.strip()
        if len(source) > MAX_CHARS or '"' not in source or "{" not in source:
            return None
        if calls := _calls(source, asked):
            return ParsedCalls(calls, clean=True)
        fence = FENCE.search(source)
        calls = _calls(fence.group(1).strip(), asked) if fence is not None else ()
        return ParsedCalls(calls) if calls else None


def _calls(source: str, asked: Asked) -> tuple[Call, ...]:
    if source[:1] not in ("[", "{"):
        return ()
    return calls_in(load_json(source), explicit=not asked.query.tools)
