"""Tools read once: an application sends the same ones with every request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final

import msgspec

from router_ml.features.tools import ToolList, parse_tools
from serving.http.bodies import read_json

KEPT_BYTES: Final = 8_000_000
"""Of JSON; what is made of it takes some five times as much."""

Tools = tuple[Any, ToolList]
"""As they were given, and as features see them."""
_NONE: Final[Tools] = (None, ToolList())
_decode: Final = msgspec.json.Decoder(dict[str, Any] | list[Any] | None).decode


class ToolCache:
    """Tools by the bytes of their JSON, the least recently used dropped first.

    Parameters
    ----------
    kept_bytes : of JSON, together
    """

    def __init__(self, *, kept_bytes: int = KEPT_BYTES) -> None:
        self.kept_bytes = kept_bytes
        self.size = 0
        self._lock = threading.Lock()  # batches are read in a thread
        self._known: OrderedDict[bytes, Tools] = OrderedDict()

    def read(self, raw: msgspec.Raw) -> Tools:
        """The tools that ``raw`` holds; equal bytes give the same objects, which nobody may change.

        Raises
        ------
        HttpError
            If they are no JSON, or neither an object nor a list.
        InvalidRequestError
            If one of them is no tool.
        """
        key = bytes(raw)
        if not key:
            return _NONE
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
        given = read_json(_decode, key, " - at `$.tools`")
        tools = (given, parse_tools(given))
        self._keep(key, tools)
        return tools

    def _keep(self, key: bytes, tools: Tools) -> None:
        if len(key) > self.kept_bytes // 2:  # one long list may not drive out everybody's
            return
        with self._lock:
            if key not in self._known:
                self.size += len(key)
            self._known[key] = tools
            while self.size > self.kept_bytes:
                self.size -= len(self._known.popitem(last=False)[0])
