"""Equal bytes are read once; what is kept is bounded; what is no list of tools is refused."""

from __future__ import annotations

import json

import msgspec
import pytest

from router_ml.errors import InvalidRequestError
from router_ml.features.tools import parse_tools
from serving.http.errors import HttpError
from serving.tool_cache import ToolCache

TOOL = {"type": "function", "function": {"name": "mix", "description": "Mix two colours."}}


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def test_reads_as_parse_tools_does_and_once() -> None:
    cache = ToolCache()
    given, tools = cache.read(raw([TOOL]))
    assert (given, tools) == ([TOOL], parse_tools([TOOL]))
    assert cache.read(raw([TOOL]))[1] is tools
    assert cache.size > len(json.dumps([TOOL]))


@pytest.mark.parametrize("value", [msgspec.Raw(), msgspec.Raw(b"null"), msgspec.Raw(b"[]")])
def test_no_tools(value: msgspec.Raw) -> None:
    assert ToolCache().read(value)[1] == ()


def test_the_least_recently_used_goes_first() -> None:
    lists = [raw([{"name": f"tool-{i}"}]) for i in range(3)]
    cache = ToolCache()
    cache.read(lists[0])
    size = cache.size
    cache = ToolCache(kept_bytes=2 * size)
    first, second = (cache.read(item)[1] for item in lists[:2])
    assert cache.read(lists[0])[1] is first
    cache.read(lists[2])
    assert cache.size == 2 * size
    assert cache.read(lists[0])[1] is first
    assert cache.read(lists[1])[1] is not second


def test_a_list_as_long_as_half_of_all_is_not_kept() -> None:
    small, long = raw([{"name": "a"}]), raw([{"name": "b" * 1000}])
    cache = ToolCache(kept_bytes=2_000)
    kept = cache.read(small)[1]
    assert cache.read(long)[1] is not cache.read(long)[1]
    assert cache.read(small)[1] is kept


def test_what_is_wrong_is_refused_each_time() -> None:
    cache = ToolCache()
    for _ in range(2):
        with pytest.raises(HttpError, match=r"as declared.*\$\.tools"):
            cache.read(msgspec.Raw(b'"mix"'))
        with pytest.raises(InvalidRequestError, match=r"tools\[0\]"):
            cache.read(msgspec.Raw(b"[7]"))
        with pytest.raises(HttpError, match=r"not JSON.*\$\.tools"):
            cache.read(msgspec.Raw(b'["\xff"]'))
    assert cache.size == 0


def test_many_empty_values_count_for_what_they_take() -> None:
    cache = ToolCache()
    cache.read(raw([{"name": "a", "parameters": {"enum": [{}] * 10_000}}]))
    assert cache.size > 10_000 * 64  # an empty dictionary takes 64 bytes


def test_too_many_tools_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at most 2 tools, got 3"):
        ToolCache(max_tools=2).read(raw([TOOL] * 3))
