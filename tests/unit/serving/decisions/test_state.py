"""States of the decision protocols, as their clients write them."""

from __future__ import annotations

from serving.decisions.state import chat_of

SYSTEM = "\nCaller system prompt, quoted as task context:\nBe brief.\nAlways."
TURNS = (
    "\nRecent conversation (context only, do not classify these):\n[1] Hello\nyou\n[2] And [3] now?"
)
DEPTH = "\nConversation so far: ~120 tokens across the request"
ASK = "\nClassify this message:\nMix blue.\n\nClassify this message:\nand red."


def test_litellms_quoted_conversation_becomes_messages() -> None:
    messages, tools = chat_of("\n".join([SYSTEM, TURNS, DEPTH, ASK]))
    assert tools is None
    assert messages == [
        {"role": "system", "content": "Be brief.\nAlways."},
        {"role": "user", "content": "Hello\nyou"},
        {"role": "user", "content": "And [3] now?"},
        {"role": "user", "content": "Mix blue.\n\nClassify this message:\nand red."},
    ]


def test_turns_with_roles_and_without_a_system_prompt() -> None:
    turns = TURNS.replace("[1] ", "[1] user: ").replace("[2] ", "[2] assistant: ")
    messages, _ = chat_of("\n".join([turns, ASK]))
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    only_system, _ = chat_of("\n".join([SYSTEM, ASK]))
    assert [message["role"] for message in only_system] == ["system", "user"]
    depth, _ = chat_of("\n".join([SYSTEM, DEPTH, ASK]))
    assert depth == only_system


def test_a_person_who_writes_like_it_is_not_cut() -> None:
    text = "Please help.\nClassify this message:\nhello"
    assert chat_of(text)[0] == [{"role": "user", "content": text}]


def test_json_that_is_no_conversation_is_text() -> None:
    assert chat_of({"ticket": 7})[0] == [{"role": "user", "content": '{"ticket": 7}'}]
    assert chat_of("[1, 2]")[0] == [{"role": "user", "content": "[1, 2]"}]
    assert chat_of("[" * 100_000)[0] == [{"role": "user", "content": "[" * 100_000}]
