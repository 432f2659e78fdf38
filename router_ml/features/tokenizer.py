"""Token ids of a query, the same offline and online."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.features.fast_tokenizer import FastTokenizer
from router_ml.features.query import Query
from router_ml.types.arrays import IntArray

_TOOL_TEXTS: Final = 1_024
"""Texts of at most ``MAX_TOOLS_CHARS`` each: some 10 MB when all are that long."""
_NONE: Final = np.zeros(0, dtype=np.int64)

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class TokenLayout:
    """How text and tools become one row of ids: ``[prefix] text [separator tools] [suffix]``.

    Parameters
    ----------
    pad_id : fills rows up; the graph masks it
    separator_id : between text and tools; a static encoder uses ``pad_id``, so it weighs nothing
    prefix_id, suffix_id : such as ``[CLS]`` and ``[SEP]``; ``None`` = none
    max_tokens : rows are cut to this many ids, the suffix included
    """

    pad_id: int
    separator_id: int
    prefix_id: int | None = None
    suffix_id: int | None = None
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        if self.max_tokens < 4:
            raise ConfigError(f"max_tokens must be at least 4, got {self.max_tokens}")

    def row(self, text: IntArray, tools: IntArray) -> IntArray:
        """One row of ids, int64; never empty, so that a mean over it exists."""
        parts = [text] if self.prefix_id is None else [_one(self.prefix_id), text]
        if len(tools):
            parts += [_one(self.separator_id), tools]
        ids = np.concatenate(parts)[: self.max_tokens - (self.suffix_id is not None)]
        if self.suffix_id is not None:
            return np.concatenate([ids, _one(self.suffix_id)])
        return ids if len(ids) else _one(self.pad_id)


class QueryTokenizer:
    """A ``tokenizers`` tokenizer with a layout.

    Parameters
    ----------
    tokenizer_json : the tokenizer as ``tokenizer.json`` holds it
    layout : how its ids are laid out
    """

    def __init__(self, *, tokenizer_json: str, layout: TokenLayout) -> None:
        from tokenizers import Tokenizer

        self.layout = layout
        self._tokenizer: Tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._fast = FastTokenizer.of(self._tokenizer)
        # An application sends the same tools again and again.
        self._tool_ids = lru_cache(_TOOL_TEXTS)(self.encode)

    @property
    def is_fast(self) -> bool:
        """Whether texts are tokenised by the fast library."""
        return self._fast is not None

    def to_json(self) -> str:
        """The tokenizer alone; the layout belongs to the bundle's manifest."""
        text: str = self._tokenizer.to_str()
        return text

    def encode(self, text: str) -> IntArray:
        """Ids of one piece of text, without special tokens; nobody may change them."""
        if self._fast is not None:
            try:
                return self._fast.ids(text)
            except UnicodeEncodeError:  # half a surrogate pair
                pass
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)

    def row(self, query: Query) -> IntArray:
        """Ids of one query, int64."""
        tools = query.tools_text
        return self.layout.row(self.encode(query.text), self._tool_ids(tools) if tools else _NONE)

    def rows(self, queries: Iterable[Query]) -> list[IntArray]:
        """Ids of many queries; without cached words, tokenises on all cores."""
        if self._fast is not None:
            return [self.row(query) for query in queries]
        pairs = [(query.text, query.tools_text) for query in queries]
        encodings: list[Any] = self._tokenizer.encode_batch(
            [part for pair in pairs for part in pair], add_special_tokens=False
        )
        return [
            self.layout.row(np.array(text.ids, dtype=np.int64), np.array(tools.ids, dtype=np.int64))
            for text, tools in zip(encodings[::2], encodings[1::2], strict=True)
        ]


def _one(token: int) -> IntArray:
    return np.array([token], dtype=np.int64)
