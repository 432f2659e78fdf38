"""What a chat request holds besides text, and the least that its text can cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

NEEDS_OF_PARTS: Final[Mapping[str, str]] = {
    "image": "vision",
    "image_url": "vision",
    "image_file": "vision",
    "input_image": "vision",
    "audio": "audio",
    "audio_url": "audio",
    "input_audio": "audio",
    "video": "video",
    "video_url": "video",
    "input_video": "video",
    "document": "documents",
    "file": "documents",
    "input_file": "documents",
}
"""Type of a content part, in the manner of OpenAI, Anthropic or LangChain, to what it needs."""

LEAST_TOKEN_CHARS: Final = 16
"""No more characters of one word go into a token, runs of one sign apart."""
SHORT: Final = 8_000
"""Characters that fit every context window."""


def part_needs(part: Mapping[str, Any]) -> str | None:
    """Capability that a content part needs; ``None`` for text.

    Examples
    --------
    >>> part_needs({"type": "image_url"}), part_needs({"type": "media", "mime_type": "audio/wav"})
    ('vision', 'audio')
    """
    kind = part.get("type")
    if not isinstance(kind, str):
        return None
    if kind == "media":
        family = str(part.get("mime_type", "")).partition("/")[0]
        return {"image": "vision", "audio": "audio", "video": "video"}.get(family, "documents")
    return NEEDS_OF_PARTS.get(kind)


def least_tokens(texts: Iterable[str]) -> int:
    """A lower bound of the tokens of texts, by any candidate's tokenizer; 0 for short ones.

    Tokenizers of LLMs split at white space first, so a word takes a token at least, and a long one
    a token for every :data:`LEAST_TOKEN_CHARS` characters. Counted only where it can matter.

    Examples
    --------
    >>> least_tokens(["word " * 10_000]), least_tokens(["Hello"])
    (10000, 0)
    """
    long = list(texts)
    if sum(map(len, long)) <= SHORT:
        return 0
    total = 0
    for text in long:
        words = text.split()
        total += len(words)
        if len(text) > 12 * len(words):
            total += sum((len(word) - 1) // LEAST_TOKEN_CHARS for word in words)
    return total
