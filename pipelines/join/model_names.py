"""Names of models, as logs and price lists write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_DATE: Final = re.compile(r"[-_@](\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|\d{6}|latest|preview|v\d+(:\d+)?)$")
_FAMILY: Final = re.compile(
    r"gpt|claude|llama|mistral|mixtral|gemini|gemma|qwen|deepseek|command|phi|nova|grok|sonnet|"
    r"haiku|opus|o[134]\b|palm|titan|jamba|yi-|davinci",
    re.IGNORECASE,
)


def looks_like_model(name: object) -> bool:
    """Whether a value names a family of language models."""
    return isinstance(name, str) and len(name) < 120 and _FAMILY.search(name) is not None


def match_price(name: str, listed: Sequence[str]) -> tuple[str | None, str]:
    """The price that a candidate has under another name, and how the names differ.

    Examples
    --------
    >>> match_price("gpt-4o-2024-08-06", ["openai/gpt-4o-2024-08-06", "openai/gpt-4o"])
    ('openai/gpt-4o-2024-08-06', 'by a provider prefix')
    >>> match_price("claude-3-haiku", ["anthropic/claude-3-haiku-20240307"])
    ('anthropic/claude-3-haiku-20240307', 'by a provider prefix and a date')
    """
    if name in listed:
        return name, ""
    steps = (
        ("by upper and lower case", lambda text: text.lower()),
        ("by a provider prefix", _bare),
        ("by a date", lambda text: _dateless(text.lower())),
        ("by a provider prefix and a date", lambda text: _dateless(_bare(text))),
        ("by signs between words", lambda text: re.sub(r"[^a-z0-9]", "", _dateless(_bare(text)))),
        ("by a deployment's alias", lambda text: _squeezed(_bare(text))),
    )
    for how, form in steps:
        found = [entry for entry in listed if form(entry) == form(name)]
        if len(found) == 1:
            return found[0], how
    return None, ""


def _bare(text: str) -> str:
    """Without provider, region or account before the name."""
    return re.split(r"[/:]", text.lower())[-1] if "/" in text else re.sub(
        r"^(openai|anthropic|azure|bedrock|google|vertex_ai|mistral|us\.|eu\.)[.:_-]?(anthropic\.)?",
        "",
        text.lower(),
    )  # fmt: skip


def _dateless(text: str) -> str:
    while (shorter := _DATE.sub("", text)) != text:
        text = shorter
    return text


def _squeezed(text: str) -> str:
    """Letters and digits, without the words that deployments add to a name."""
    words = [w for w in re.split(r"[^a-z0-9]+", _dateless(text))
             if w not in ("prod", "dev", "staging", "eu", "us", "east", "west", "deployment",
                          "team", "my")]  # fmt: skip
    return "".join(words)
