"""A local server that speaks the protocols of three providers, built from their SDKs' own types.

``python -m tests.litellm.mock.providers PORT`` in the environment of LiteLLM. The name of the model
says what happens: ``…-rate-limit``, ``…-overloaded``, ``…-content-filter``, ``…-too-long``,
``…-wrong-key`` fail in the provider's own way, late where the question says "slowly"; any other
answers ``MODEL: the last words it was asked``. The path ``/asked`` gives the requests so far.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from anthropic.types import Message, TextBlock, Usage
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice
from openai.types.chat.chat_completion_chunk import Choice as ChunkChoice
from openai.types.chat.chat_completion_chunk import ChoiceDelta
from openai.types.chat.chat_completion_message_function_tool_call import (
    ChatCompletionMessageFunctionToolCall,
    Function,
)
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
)

from tests.litellm.mock.bedrock import as_events, checked_converse, converse_error

FAULTS = ("rate-limit", "overloaded", "content-filter", "too-long", "wrong-key")
SLOW_S = 12.0
ASKED: list[dict[str, Any]] = []
LOCK = threading.Lock()


def fault_of(model: str) -> str:
    return next((fault for fault in FAULTS if model.endswith(fault)), "")


def reply(model: str, words: str) -> str:
    """Repeats the words; a ``small`` model cannot prove anything."""
    verdict = "wrong" if words.startswith("Prove") and "small" in model else "right"
    return (
        f"{model}: {words} ({verdict})"
        if words.startswith(("Prove", "Translate"))
        else (f"{model}: {words}")
    )


def last_words(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        content = message.get("content")
        if isinstance(content, str):
            return content
        for part in content if isinstance(content, list) else []:
            if isinstance(part, dict) and part.get("text"):
                return str(part["text"])
    return ""


def openai_error(fault: str) -> tuple[int, dict[str, Any]]:
    """As OpenAI's API writes them: ``error`` with message, type, param and code."""
    status, kind, code, message = {
        "rate-limit": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests"),
        "overloaded": (503, "server_error", None, "The server is overloaded or not ready yet."),
        "content-filter": (
            400,
            "invalid_request_error",
            "invalid_prompt",
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
        ),
        "too-long": (
            400,
            "invalid_request_error",
            "context_length_exceeded",
            "This model's maximum context length is 8192 tokens. However, your messages resulted "
            "in 9000 tokens. Please reduce the length of the messages.",
        ),
        "wrong-key": (
            401,
            "invalid_request_error",
            "invalid_api_key",
            "Incorrect API key provided: sk-no.",
        ),
    }[fault]
    return status, {"error": {"message": message, "type": kind, "param": None, "code": code}}


def openai_answer(body: dict[str, Any], text: str) -> ChatCompletion:
    """A call of the first tool where tools are given, else text."""
    calls = None
    if body.get("tools"):
        name = body["tools"][0]["function"]["name"]
        call = Function(name=name, arguments=json.dumps({"from": body["model"]}))
        calls = [ChatCompletionMessageFunctionToolCall(id="call_1", function=call, type="function")]
    message = ChatCompletionMessage(
        role="assistant", content=None if calls else text, tool_calls=calls
    )
    return ChatCompletion(
        id=f"chatcmpl-{time.monotonic_ns()}",
        object="chat.completion",
        created=int(time.time()),
        model=body["model"],
        choices=[Choice(index=0, finish_reason="tool_calls" if calls else "stop", message=message)],
        usage=_usage(body, text),
    )


def openai_chunks(body: dict[str, Any], text: str) -> Iterator[bytes]:
    fixed = {
        "id": f"chatcmpl-{time.monotonic_ns()}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": body["model"],
    }
    words = text.split(" ")
    deltas = [ChoiceDelta(role="assistant", content="")]
    deltas += [
        ChoiceDelta(content=w + (" " if i < len(words) - 1 else "")) for i, w in enumerate(words)
    ]
    for delta in deltas:
        yield _event(ChatCompletionChunk(choices=[ChunkChoice(index=0, delta=delta)], **fixed))
    end = ChunkChoice(index=0, delta=ChoiceDelta(), finish_reason="stop")
    yield _event(ChatCompletionChunk(choices=[end], **fixed))
    yield _event(ChatCompletionChunk(choices=[], usage=_usage(body, text), **fixed))
    yield b"data: [DONE]\n\n"


def response_answer(body: dict[str, Any], text: str) -> Response:
    said = ResponseOutputText(type="output_text", text=text, annotations=[])
    message = ResponseOutputMessage(
        id="msg_1", type="message", role="assistant", status="completed", content=[said]
    )
    return Response(
        id=f"resp_{time.monotonic_ns()}",
        object="response",
        created_at=int(time.time()),
        status="completed",
        model=body["model"],
        output=[message],
        parallel_tool_calls=False,
        tool_choice="auto",
        tools=[],
        usage={  # pydantic builds it
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": len(text) // 4 + 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 10 + len(text) // 4,
        },
    )


def response_events(body: dict[str, Any], text: str) -> Iterator[bytes]:
    delta = ResponseTextDeltaEvent(
        type="response.output_text.delta",
        content_index=0,
        delta=text,
        item_id="msg_1",
        logprobs=[],
        output_index=0,
        sequence_number=0,
    )
    end = ResponseCompletedEvent(
        type="response.completed", response=response_answer(body, text), sequence_number=1
    )
    for event in (delta, end):
        yield f"event: {event.type}\n".encode() + _event(event)


def _usage(body: dict[str, Any], text: str) -> CompletionUsage:
    asked = sum(len(str(message.get("content") or "")) for message in body["messages"]) // 4 + 3
    said = len(text) // 4 + 1
    return CompletionUsage(prompt_tokens=asked, completion_tokens=said, total_tokens=asked + said)


def _event(chunk: Any) -> bytes:
    text: str = chunk.model_dump_json(exclude_none=True)
    return f"data: {text}\n\n".encode()


def anthropic_error(fault: str) -> tuple[int, dict[str, Any]]:
    """As Anthropic's API writes them: ``{"type": "error", "error": {"type", "message"}}``."""
    status, kind, message = {
        "rate-limit": (429, "rate_limit_error", "Number of requests has exceeded your rate limit"),
        "overloaded": (529, "overloaded_error", "Overloaded"),
        "content-filter": (
            400,
            "invalid_request_error",
            "Output blocked by content filtering policy",
        ),
        "too-long": (
            400,
            "invalid_request_error",
            "prompt is too long: 9000 tokens > 8192 maximum",
        ),
        "wrong-key": (401, "authentication_error", "invalid x-api-key"),
    }[fault]
    return status, {"type": "error", "error": {"type": kind, "message": message}}


def anthropic_answer(body: dict[str, Any], text: str) -> Message:
    return Message(
        id=f"msg_{time.monotonic_ns()}",
        type="message",
        role="assistant",
        model=body["model"],
        content=[TextBlock(type="text", text=text)],
        stop_reason="end_turn",
        usage=Usage(input_tokens=12, output_tokens=len(text) // 4 + 1),
    )


def anthropic_events(body: dict[str, Any], text: str) -> Iterator[bytes]:
    """The events of a streamed message, in order."""
    message = anthropic_answer(body, text).model_dump(mode="json", exclude_none=True)
    begin = message | {"content": [], "usage": {"input_tokens": 12, "output_tokens": 0}}
    begin["stop_reason"] = None
    events: list[tuple[str, dict[str, Any]]] = [
        ("message_start", {"message": begin}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    ]
    events += [
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": part}})
        for part in (text[:4], text[4:])
    ]
    events += [
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
        ("message_stop", {}),
    ]
    for name, value in events:
        yield f"event: {name}\ndata: {json.dumps({'type': name, **value})}\n\n".encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/asked"):
            with LOCK:
                self._send(200, {"asked": ASKED})
        else:
            self._send(200, {"status": "ok"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        parts = unquote(self.path).split("/")
        if "model" in parts:  # Bedrock names it in the path
            body["model"] = parts[parts.index("model") + 1]
        with LOCK:
            ASKED.append({"path": self.path, "body": body})
        model = body["model"]
        asked = body["messages"] if "messages" in body else body["input"]
        if isinstance(asked, str):
            asked = [{"role": "user", "content": asked}]
        words, fault = last_words(asked), fault_of(model)
        if fault and "slowly" in words:
            time.sleep(SLOW_S)
        text = reply(model, words)
        if self.path.endswith("/chat/completions"):
            self._answer(body, fault and openai_error(fault), openai_answer, openai_chunks, text)
        elif self.path.endswith("/responses"):
            failure = fault and openai_error(fault)
            self._answer(body, failure, response_answer, response_events, text)
        elif self.path.endswith("/messages"):
            failure = fault and anthropic_error(fault)
            self._answer(body, failure, anthropic_answer, anthropic_events, text)
        elif self.path.endswith(("/converse", "/converse-stream")):
            self._bedrock(fault, text)
        else:
            self._send(404, {"error": {"message": f"no such path: {self.path}"}})

    def _answer(self, body: Any, failure: Any, answer: Any, stream: Any, text: str) -> None:
        if failure:
            self._send(*failure)
        elif body.get("stream"):
            self._stream("text/event-stream", stream(body, text))
        else:
            self._send(200, answer(body, text).model_dump(mode="json", exclude_none=True))

    def _bedrock(self, fault: str, text: str) -> None:
        if fault:
            status, name, value = converse_error(fault)
            self._send(status, value, {"x-amzn-errortype": name})
        elif self.path.endswith("-stream"):
            self._stream("application/vnd.amazon.eventstream", as_events(text))
        else:
            self._send(200, checked_converse(text))

    def _send(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        payload = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _stream(self, media: str, parts: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("content-type", media)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
