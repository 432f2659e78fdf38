"""Token ids word by word, for tokenizers whose words do not know of each other.

A BERT tokenizer splits at white space and punctuation and looks each word up on its own, so the ids
of a text are the concatenation of its words' ids. Prompts repeat their words: a cache of words
takes a fifth of the time of tokenising afresh.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORDS: Final = 65_536
_WORD: Final = re.compile(r"[A-Za-z0-9]+|[^\sA-Za-z0-9]")
_LONG_WORD: Final = re.compile(r"[A-Za-z0-9]{33}")  # few, and they would fill the memory
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]")  # dropped by the normaliser


class WordCache:
    """Ids of plain ASCII text; ``None`` for any other, which the tokenizer itself must read.

    Parameters
    ----------
    tokenizer : one for which :meth:`suits` holds
    """

    def __init__(self, *, tokenizer: Tokenizer) -> None:
        spec = json.loads(tokenizer.to_str())
        self._lowercase = bool(spec["normalizer"]["lowercase"])
        self._special = tuple(token["content"].lower() for token in spec["added_tokens"])

        @lru_cache(_WORDS)
        def word_ids(word: str) -> tuple[int, ...]:
            return tuple(tokenizer.encode(word, add_special_tokens=False).ids)

        self._word_ids = word_ids

    @staticmethod
    def suits(tokenizer: Tokenizer) -> bool:
        """Whether it is a BERT tokenizer: its normaliser, its splitting, and WordPiece."""
        spec: dict[str, Any] = json.loads(tokenizer.to_str())
        normalizer = spec["normalizer"] or {}
        return (
            normalizer.get("type") == "BertNormalizer"
            and bool(normalizer.get("clean_text"))
            and (spec["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
            and spec["model"]["type"] == "WordPiece"
        )

    def ids(self, text: str) -> list[int] | None:
        """Ids as ``tokenizer.encode(text, add_special_tokens=False)`` gives them, or ``None``."""
        if not text.isascii() or _CONTROL.search(text) or _LONG_WORD.search(text):
            return None
        lower = text.lower()
        for special in self._special:
            if special in lower:
                return None
        ids: list[int] = []
        for word in _WORD.findall(lower if self._lowercase else text):
            ids += self._word_ids(word)
        return ids
