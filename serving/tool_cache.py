"""Tools read once: an application sends the same ones with every request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final

import msgspec

from router_ml.errors import InvalidRequestError
from router_ml.features.tools import ToolList, parse_tools
from serving.http.bodies import read_json

KEPT_BYTES: Final = 32_000_000
MAX_TOOLS: Final = 1_024
_VALUE_BYTES: Final = 100
"""What a value takes in memory beside its text: an empty object is two characters of JSON."""

Tools = tuple[Any, ToolList]
"""As they were given, and as features see them."""
_NONE: Final[Tools] = (None, ToolList())
_decode: Final = msgspec.json.Decoder(dict[str, Any] | list[Any] | None).decode


class ToolCache:
    """Tools by the bytes of their JSON, the least recently used dropped first.

    Parameters
    ----------
    kept_bytes : of memory, together, as estimated from texts and numbers of values
    max_tools : in one list
    """

    def __init__(self, *, kept_bytes: int = KEPT_BYTES, max_tools: int = MAX_TOOLS) -> None:
        self.kept_bytes = kept_bytes
        self.max_tools = max_tools
        self.size = 0
        self._lock = threading.Lock()  # batches are read in a thread
        self._known: OrderedDict[bytes, tuple[Tools, int]] = OrderedDict()

    def read(self, raw: msgspec.Raw) -> Tools:
        """The tools that ``raw`` holds; equal bytes give the same objects, which nobody may change.

        Raises
        ------
        HttpError
            If they are no JSON, or neither an object nor a list.
        InvalidRequestError
            If one of them is no tool, or there are too many.
        """
        key = bytes(raw)
        if not key:
            return _NONE
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known[0]
        given = read_json(_decode, key, " - at `$.tools`")
        if isinstance(given, list) and len(given) > self.max_tools:
            raise InvalidRequestError(
                f"expected at most {self.max_tools} tools, got {len(given)}; offer fewer"
            )
        tools = (given, parse_tools(given))
        self._keep(key, tools, 2 * len(key) + _VALUE_BYTES * _count(given))
        return tools

    def _keep(self, key: bytes, tools: Tools, size: int) -> None:
        if size > self.kept_bytes // 2:  # one long list may not drive out everybody's
            return
        with self._lock:
            if key not in self._known:
                self.size += size
            self._known[key] = (tools, size)
            while self.size > self.kept_bytes:
                self.size -= self._known.popitem(last=False)[1][1]


def _count(value: Any) -> int:
    """Values in it, at any depth, itself included."""
    n, stack = 0, [value]
    while stack:
        item = stack.pop()
        n += 1
        if type(item) is dict:
            stack.extend(item.values())
        elif type(item) is list:
            stack.extend(item)
    return n
