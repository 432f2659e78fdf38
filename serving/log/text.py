"""Whether what people wrote is logged: the one place that decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

ANSWER_FIELDS: Final = ("text", "tool_calls", "function_call")
"""What an answer says, of a cascade's turn."""


@dataclass(frozen=True, slots=True)
class LoggedText:
    """Queries, messages, tools and answers as rows of the decision log may hold them.

    They are personal data: unless ``logged``, none of them is written, and the log is joined with
    the application's own by ``request_id``.

    Parameters
    ----------
    logged : the setting ``log_text``
    """

    logged: bool

    def keep(self, **values: Any) -> dict[str, Any]:
        """What there is of the values where text is logged, else nothing.

        Examples
        --------
        >>> LoggedText(True).keep(query="Hello", messages=None)
        {'query': 'Hello'}
        """
        if not self.logged:
            return {}
        return {name: value for name, value in values.items() if value is not None}

    def turns(self, answers: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
        """A cascade's answers without what they say."""
        return tuple(
            {k: v for k, v in answer.items() if k not in ANSWER_FIELDS} for answer in answers
        )

    def said(self, answers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
        """What a cascade's answers say, in their order."""
        return [{k: answer[k] for k in ANSWER_FIELDS} for answer in answers] or None

    def size(self, body: bytes) -> int:
        """Bytes that a row's text takes in the queue."""
        return len(body) if self.logged else 0
