"""Bedrock's Converse API: answers held to botocore's own service model, events in its framing."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

_MODEL = botocore.session.get_session().get_service_model("bedrock-runtime")


def checked_converse(text: str) -> dict[str, Any]:
    """An answer of ``Converse``, valid by botocore's output shape."""
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 12, "outputTokens": 9, "totalTokens": 21},
        "metrics": {"latencyMs": 30},
    }
    _check(answer, _MODEL.operation_model("Converse").output_shape)
    return answer


def converse_error(fault: str) -> tuple[int, str, dict[str, Any]]:
    """Status, name and body; the names are exceptions of the operation in botocore's model."""
    name, status, message = {
        "rate-limit": ("ThrottlingException", 429, "Too many requests, please wait."),
        "overloaded": ("ServiceUnavailableException", 503, "The service is overloaded."),
        "content-filter": (
            "ValidationException",
            400,
            "The content was blocked: content filtering policy",
        ),
        "too-long": ("ValidationException", 400, "Input is too long for requested model."),
        "wrong-key": (
            "AccessDeniedException",
            403,
            "The security token included in the request is invalid.",
        ),
    }[fault]
    known = {shape.name for shape in _MODEL.operation_model("Converse").error_shapes}
    if name not in known:
        raise ValueError(f"botocore knows no {name} of Converse; it knows {sorted(known)}")
    return status, name, {"message": message}


def as_events(text: str) -> Iterator[bytes]:
    """The events of ``ConverseStream``, valid by botocore's shapes."""
    union = _MODEL.operation_model("ConverseStream").output_shape.members["stream"].members
    events: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"delta": {"text": text[:4]}, "contentBlockIndex": 0}),
        ("contentBlockDelta", {"delta": {"text": text[4:]}, "contentBlockIndex": 0}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        (
            "metadata",
            {
                "usage": {"inputTokens": 12, "outputTokens": 9, "totalTokens": 21},
                "metrics": {"latencyMs": 30},
            },
        ),
    ]
    for name, value in events:
        _check(value, union[name])
        yield _frame(name, json.dumps(value).encode())


def _check(value: Any, shape: Any) -> None:
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        raise ValueError(report.generate_report())


def _frame(name: str, payload: bytes) -> bytes:
    """One message of ``application/vnd.amazon.eventstream``: prelude, headers, payload, CRCs."""
    headers = b""
    for key, value in (
        (":event-type", name),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ):
        text = value.encode()
        headers += bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(text)) + text
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))
