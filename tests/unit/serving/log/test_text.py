"""What people wrote is logged only where the setting says so."""

from __future__ import annotations

from serving.log.text import LoggedText

TURN = {
    "candidate": "a",
    "text": "four",
    "tool_calls": None,
    "function_call": None,
    "cost_usd": 1.0,
}


def test_text_is_kept_or_left_out_as_a_whole() -> None:
    kept, out = LoggedText(True), LoggedText(False)
    assert kept.keep(query="hello", tools=None) == {"query": "hello"}
    assert out.keep(query="hello") == {}
    assert kept.turns([TURN]) == ({"candidate": "a", "cost_usd": 1.0},)
    said = {"text": "four", "tool_calls": None, "function_call": None}
    assert (kept.said([TURN]), kept.said([])) == ([said], None)
    assert (kept.size(b"1234"), out.size(b"1234")) == (4, 0)
