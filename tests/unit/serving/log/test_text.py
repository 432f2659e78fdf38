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
    assert kept.keep("hello") == "hello"
    assert out.keep("hello") is None
    assert kept.turns([TURN]) == (TURN,)
    assert out.turns([TURN]) == ({"candidate": "a", "cost_usd": 1.0},)
    assert (kept.size(b"1234"), out.size(b"1234")) == (4, 0)
