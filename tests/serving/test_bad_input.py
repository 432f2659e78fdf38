"""Whatever comes in: a problem document with the right status, never a 500, never the prompt."""

from __future__ import annotations

import codecs
import gzip
import json

import httpx
import pytest

SECRET = "my-secret-prompt"
JSON = {"content-type": "application/json"}
TOO_DEEP = b'{"messages":' + b"[" * 3000 + b"]" * 3000 + b"}"
DEEP_PARTS = (
    b'{"messages":[{"role":"user","content":'
    + b'[{"type":"x","content":' * 200
    + b'"x"'
    + b"}]" * 200
    + b"}]}"
)


def problem(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["status"] == status
    assert SECRET not in response.text
    return str(body["detail"])


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b'{"query": "\\ud800"}', 400, "not JSON"),
        (b'{"query": NaN}', 400, "not JSON"),
        (b'{"query": "\xff"}', 400, "not JSON"),
        (b'{"\xff": 1}', 400, "not JSON"),
        (b'{"query": "a", "tags": {"a": "\xc3("}}', 400, "not JSON"),
        (b'{"query": "a", "tools": [{"name": "\xff"}]}', 400, "not JSON"),
        (b'{"query": "a", "tools": [{"name": "\\ud800"}]}', 400, "not JSON"),
        (b'{"query": "a", "tools": ' + b"[" * 3000 + b"]" * 3000 + b"}", 422, "nested"),
        (b"[]", 422, "object"),
        (b"{}", 422, "either query or messages"),
        (b'{"query": ""}', 422, "non-empty"),
        (b'{"query": "   \\n"}', 422, "non-empty"),
        (b'{"messages": []}', 422, "non-empty"),
        (b'{"messages": [{"role": "system", "content": "my-secret-prompt"}]}', 422, "role user"),
        (b'{"query": 7}', 422, "$.query"),
        (b'{"query": "a", "messages": []}', 422, "either query or messages"),
        (b'{"query": "a", "my_typo": 1}', 422, "my_typo"),
        (b'{"messages": ["my-secret-prompt"]}', 422, "messages[0]"),
        (b'{"messages": [{"role": "user", "content": {"a": "my-secret-prompt"}}]}', 422, "content"),
        (b'{"messages": [{"role": "user", "content": [["my-secret-prompt"]]}]}', 422, "part"),
        (
            b'{"messages": [{"role": "user", "content": [{"type": [], "text": "a"}]}]}',
            422,
            "non-empty",
        ),
        (b'{"messages": [{"role": "user", "content": [{"type": {}}]}]}', 422, "non-empty"),
        (b'{"query": "a", "tools": ["my-secret-prompt"]}', 422, "tools[0]"),
        (b'{"query": "a", "tools": "my-secret-prompt"}', 422, "$.tools"),
        (
            b'{"query": "a", "tools": [{"type": "function", "function": null}]}',
            422,
            "tools[0].function must be an object, got null",
        ),
        (b'{"query": "a", "tools": [{"name": "f"}, 7]}', 422, "tools[1] must be an object, got"),
        (
            b'{"messages": [{"role": "user", "content": "a"}, {"content": "b"}]}',
            422,
            "messages[1].role must be a string, got nothing",
        ),
        (
            b'{"messages": [{"role": null, "content": "b"}]}',
            422,
            "messages[0].role must be a string, got null",
        ),
        (b'{"query": "a", "tools": [' + b"{}," * 300_000 + b"{}]}", 422, "at most 1024 tools"),
        (
            b'{"messages": [' + b'{"role":"user"},' * 50_000 + b'{"role":"user"}]}',
            422,
            "at most 10000 messages",
        ),
        (
            b'{"messages": [{"role":"user","content":[' + b'"",' * 200_000 + b'""]}]}',
            422,
            "at most 10000 messages and content parts",
        ),
        (codecs.BOM_UTF16_LE + '{"query": "a"}'.encode("utf-16-le"), 400, "it is UTF-16"),
        (codecs.BOM_UTF32_LE + '{"query": "a"}'.encode("utf-32-le"), 400, "it is UTF-32"),
        ('{"query": "a"}'.encode("utf-16-le"), 400, "looks like UTF-16"),
        (gzip.compress(b'{"query": "a"}', mtime=0), 415, "compressed (gzip)"),
        (b'{"query": "a", "candidates": []}', 422, "at least one"),
        (b'{"query": "a", "candidates": ["nobody"]}', 422, "nobody"),
        (b'{"query": "a", "candidates": ["a"], "constraints": {"candidates": ["b"]}}', 422, "once"),
        (b'{"query": "a", "constraints": {"max_cost_usd": 0}}', 409, "max_cost_usd"),
        (b'{"query": "a", "constraints": {"max_cost_usd": -1}}', 422, "max_cost_usd"),
        (b'{"query": "a", "constraints": {"max_latency_ms": 1}}', 409, "max_latency_ms"),
        (b'{"query": "a", "constraints": {"min_quality": 1.5}}', 422, "min_quality"),
        (b'{"query": "a", "cost_weight": -1}', 422, "cost_weight"),
        (b'{"query": "a", "cost_weight": 1e999}', 4, "range"),
        (b'{"query": "a", "max_output_tokens": 0}', 422, "max_output_tokens"),
        (b'{"query": "a", "max_output_tokens": 1.5}', 422, "max_output_tokens"),
        (b'{"query": "a", "max_output_tokens": 1' + b"0" * 400 + b"}", 4, ""),
        (b'{"query": "a", "max_cost_usd": 1' + b"0" * 400 + b"}", 4, ""),
        (TOO_DEEP, 4, ""),
        (DEEP_PARTS, 422, "non-empty"),
    ],
    ids=lambda value: repr(value)[:60],
)  # fmt: skip
def test_route(client: httpx.Client, body: bytes, status: int, says: str) -> None:
    response = client.post("/v1/route", content=body, headers=JSON)
    if status == 4:
        status = response.status_code
        assert 400 <= status < 500
    assert says in problem(response, status)
    assert len(response.content) < 1_000
    assert response.elapsed.total_seconds() < 2


def test_a_long_name_is_not_echoed(client: httpx.Client) -> None:
    body = b'{"query": "a", "' + b"x" * 900_000 + b'": 1}'
    response = client.post("/v1/route", content=body, headers=JSON)
    problem(response, 422)
    assert len(response.content) < 1_000
    names = ["x" * 250] * 3_000
    response = client.post("/v1/route", json={"query": "a", "candidates": names})
    problem(response, 422)
    assert len(response.content) < 1_000


def test_a_byte_order_mark_is_skipped(client: httpx.Client) -> None:
    body = codecs.BOM_UTF8 + b'{"query": "a"}'
    assert client.post("/v1/route", content=body, headers=JSON).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "x-gzip", "identity, gzip"])
def test_a_compressed_body_is_named(client: httpx.Client, encoding: str) -> None:
    headers = JSON | {"content-encoding": encoding}
    response = client.post("/v1/route", content=gzip.compress(b'{"query":"a"}'), headers=headers)
    assert "Content-Encoding" in problem(response, 415)
    assert response.headers["accept-encoding"] == "identity"
    headers = JSON | {"content-encoding": "identity"}
    assert client.post("/v1/route", content=b'{"query":"a"}', headers=headers).status_code == 200


def test_a_megabyte_is_refused_and_the_connection_lives(client: httpx.Client) -> None:
    for size in (1_000_000, 3_000_000):
        body = json.dumps({"query": SECRET + "x" * size}).encode()
        problem(client.post("/v1/route", content=body, headers=JSON), 413)
        # without a length, in pieces
        pieces = (body[i : i + 65536] for i in range(0, len(body), 65536))
        problem(client.post("/v1/route", content=pieces, headers=JSON), 413)
    assert client.post("/v1/route", json={"query": "x" * 900_000}).status_code == 200


def test_hostile_markup_takes_no_time(client: httpx.Client) -> None:
    response = client.post("/v1/route", json={"query": "<system-reminder " * 50_000}, timeout=2)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/v1/nowhere", 404),
        ("GET", "/v1/route", 405),
        ("DELETE", "/v1/route", 405),
        ("POST", "/v1/router", 405),
        ("POST", "/healthz", 405),
        ("GET", "/v1/route/", 404),
    ],
)
def test_paths_and_methods(client: httpx.Client, method: str, path: str, status: int) -> None:
    problem(client.request(method, path), status)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
        "application/json; charset=utf-16",
    ],
)
def test_media_type(client: httpx.Client, kind: str) -> None:
    response = client.post("/v1/route", content=b'{"query":"a"}', headers={"content-type": kind})
    assert "application/json" in problem(response, 415)


def test_batch(client: httpx.Client) -> None:
    bad: dict[str, list[dict[str, object]]]
    bad = {"requests": [{"query": "a"}, {"query": ""}]}
    assert "requests[1]" in problem(client.post("/v1/route/batch", json=bad), 422)
    bad = {"requests": [{"query": "a"}, {"query": "b", "max_cost_usd": 0}]}
    assert "requests[1]" in problem(client.post("/v1/route/batch", json=bad), 409)
    problem(client.post("/v1/route/batch", json={"requests": []}), 422)
    many = {"requests": [{"query": "a"}] * 257}
    assert "256" in problem(client.post("/v1/route/batch", json=many), 422)


@pytest.mark.parametrize(
    "body",
    [{}, {"decision_id": ""}, {"decision_id": "x", "quality": 2}, {"decision_id": "x", "oops": 1}],
)
def test_feedback(client: httpx.Client, body: dict[str, object]) -> None:
    problem(client.post("/v1/feedback", json=body), 422)
