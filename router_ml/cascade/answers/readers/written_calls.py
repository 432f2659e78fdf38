"""Tool calls written as code in the text of an answer."""

from __future__ import annotations

from typing import ClassVar

from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.calls.call import MAX_CHARS, ParsedCalls
from router_ml.cascade.answers.calls.code import code_calls
from router_ml.cascade.answers.calls.reader import CallsReader
from router_ml.types.answers import Answer


class WrittenCallsReader(CallsReader):
    """``[f(x=1), g(y='a')]``, or a Python dictionary that names a function."""

    name: ClassVar[str] = "written_calls"

    def parse(self, asked: Asked, answer: Answer) -> ParsedCalls | None:
        """The text's calls; none, though written as code, where there are only brackets."""
        source = answer.text.strip()
        if not source or len(source) > MAX_CHARS or not ("(" in source or "{" in source):
            return None
        return code_calls(source, explicit=not asked.query.tools)
