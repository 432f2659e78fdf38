"""Whose fault a failed request is: the candidate's, or that of whoever called it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pipelines.join.sources.values import find
from router_ml.types.failures import KNOWN_ERRORS, bare

_NAME: Final = re.compile(r"\b(?:\w+\.)*([A-Z]\w*(?:Error|Exception|Exceeded|Disconnect\w*))\b")
_SAYS: Final = (
    (re.compile(r"insufficient[_ ]quota|budget has been exceeded|exceeded.{0,20}budget", re.I),
     "budgetexceedederror"),
    (re.compile(r"context[_ ]length[_ ]exceeded|maximum context length", re.I),
     "contextwindowexceedederror"),
    (re.compile(r"(?:error code|status(?: code)?)[:= ]+(\d{3})\b", re.I), ""),
)  # fmt: skip


def error_class(values: Mapping[str, Any], fields: Mapping[str, tuple[str, ...]]) -> str | None:
    """Class of a failure in lower case, or its HTTP status where the class tells nothing."""
    name = _bare(find(values, fields["error_class"]))
    code = _code(find(values, fields["error_code"]))
    if name in KNOWN_ERRORS:
        return name
    said = str(find(values, fields["error_text"]) or "")[:2_000]
    return _said(said) or code or name


def _bare(value: Any) -> str | None:
    """A class name without its module."""
    return bare(str(value)) or None if value else None


def _code(value: Any) -> str | None:
    """An HTTP status as text; other numbers are a provider's own."""
    text = str(value).strip().removesuffix(".0")
    return text if text.isdigit() and len(text) == 3 else None


def _said(text: str) -> str | None:
    """What the words of an error message name, if it is a class or status that is known."""
    for pattern, name in _SAYS[:2]:
        if pattern.search(text):
            return name
    for found in _NAME.finditer(text):
        if (name := found[1].lower()) in KNOWN_ERRORS:
            return name
    code = _SAYS[2][0].search(text)
    return code[1] if code else None
