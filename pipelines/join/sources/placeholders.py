"""Text that is no prompt: what a logger puts in its place, or cuts out of its middle."""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = (
    "redacted-by-litellm",
    "redacted by litellm",
    "redacted",
    "[redacted]",
    "<redacted>",
    "(redacted)",
    "{redacted}",
    "__redacted__",
    "**redacted**",
    "***",
    "[filtered]",
    "[masked]",
    "<masked>",
    "[hidden]",
    "[removed]",
    "[omitted]",
    "<omitted>",
    "content redacted",
    "[content redacted]",
    "[redacted content]",
    "[redacted by admin]",
)
"""Whole texts, in lower case, that stand for a prompt which was not logged."""
CUT_MARK: Final = "litellm_truncated"
"""What LiteLLM's spend log writes where it cut."""

_REDACTED: Final = re.compile(
    r"[\W_]*(?:redacted[\W_]*by[\W_]*litellm.{0,80}|(?:content|message|prompt|input|text)?"
    r"[\W_]*redacted(?:[\W_]+(?:content|message|prompt|input|text))?)[\W_]*|\*{3,}"
    r"|[\[<({]+[\W_]*(?:filtered|masked|hidden|removed|omitted|scrubbed)[\W_]*[\])>}]+",
    re.IGNORECASE | re.DOTALL,
)
_CUT: Final = re.compile(
    r"litellm_truncated|\(truncated \d+ char|\[(?:\.{3}|…)?\s?truncated[^\]\n]{0,60}\]\s*\Z"
    r"|<truncated[^>\n]{0,60}>\s*\Z|(?:\.{3}|…)\s?\(?truncated\)?\s*\Z",
    re.IGNORECASE,
)
_MESSAGES_CUT: Final = re.compile(r'\A\s*\[?\s*\{\s*"(?:role|type|content|parts|messages)"')


def is_redacted(text: str) -> bool:
    """Whether a text is a placeholder for one that was not logged.

    Examples
    --------
    >>> is_redacted("redacted-by-litellm"), is_redacted("Why was this redacted?")
    (True, False)
    """
    return len(text) <= 160 and _REDACTED.fullmatch(text.strip()) is not None


def is_cut(text: str) -> bool:
    """Whether a logger cut a text short and said so, or cut messages in the middle of their JSON.

    Examples
    --------
    >>> is_cut("Check this. (litellm_truncated skipped 41234 chars.) Thanks")
    True
    """
    return _CUT.search(text) is not None or _MESSAGES_CUT.match(text) is not None
