"""What the readers of tool calls have in common: columns, and what calls say."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.calls.call import ParsedCalls
from router_ml.cascade.answers.calls.checks import CALL_NAMES, call_checks
from router_ml.cascade.answers.calls.key import calls_statement
from router_ml.cascade.answers.calls.offer import ToolOffer
from router_ml.cascade.answers.reader import AnswerReader
from router_ml.cascade.answers.reading import Reading
from router_ml.types.answers import Answer


class CallsReader(AnswerReader):
    """Reads tool calls of one notation; the columns are those of all notations.

    ``clean_calls``: nothing but calls. ``python_calls``: written as code, or, without calls, text
    with brackets in which none was found. The rest: ``checks``.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "clean_calls",
        "python_calls",
        "calls_less_joints",
        "has_tools",
        "text_despite_tools",
        *CALL_NAMES,
    )

    @abstractmethod
    def parse(self, asked: Asked, answer: Answer) -> ParsedCalls | None:
        """The answer's calls; ``None`` where it has none in this notation."""

    def read(self, asked: Asked, answer: Answer) -> Reading | None:
        """See :meth:`AnswerReader.read`."""
        parsed = self.parse(asked, answer)
        if parsed is None:
            return None
        if not parsed.calls:
            clean, _, *rest = self.absent(asked)
            return Reading([clean, float(parsed.code), *rest])
        says = calls_statement(parsed.calls, asked.recall(ToolOffer).tools)
        return Reading(_values(asked, parsed), says, final=True)

    def absent(self, asked: Asked) -> Sequence[float]:
        """What the query and its tools say where nothing is called."""
        return asked.recall(_without_calls)


def _without_calls(asked: Asked) -> Sequence[float]:
    return _values(asked, ParsedCalls())


def _values(asked: Asked, parsed: ParsedCalls) -> list[float]:
    offer = asked.recall(ToolOffer)
    return [
        float(parsed.clean),
        float(parsed.code),
        len(parsed.calls) - asked.joints - 1.0,
        float(bool(offer.tools)),
        float(bool(offer.tools) and not parsed.calls),
        *call_checks(parsed.calls, offer, asked.vocabulary),
    ]
