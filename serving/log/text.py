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

    def keep(self, value: Any) -> Any:
        """The value where text is logged, else ``None``."""
        return value if self.logged else None

    def turns(self, answers: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
        """A cascade's answers; what they say only where text is logged."""
        left_out = () if self.logged else ANSWER_FIELDS
        return tuple({k: v for k, v in answer.items() if k not in left_out} for answer in answers)

    def size(self, body: bytes) -> int:
        """Bytes that a row's text takes in the queue."""
        return len(body) if self.logged else 0
