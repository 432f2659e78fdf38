"""The document says what is accepted: a body is valid by its schema as for the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from tests.serving.conftest import serve


def valid(document: dict[str, Any], body: object) -> bool:
    schema = {"$ref": "#/components/schemas/RouteRequest", "components": document["components"]}
    return not [*jsonschema.Draft202012Validator(schema).iter_errors(body)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": None},
        {"query": "a"},
        {"query": " \n\x1f"},
        {"query": "a", "messages": []},
        {"query": "a", "messages": None},
        {"messages": []},
        {"messages": [{"role": "user", "content": "a"}]},
        {"messages": [{"role": "user", "content": "  "}]},
        {"messages": [{"role": "system", "content": "a"}]},
        {"messages": [{"role": "system", "content": "a"}, {"role": "human", "content": ["a"]}]},
        {"messages": [{"content": "b"}, {"role": "user", "content": "a"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"messages": [{"role": "user", "content": [7]}]},
        {"messages": [{"role": "user", "content": 7}]},
        {"query": "a", "tools": [{"name": "f"}]},
        {"query": "a", "tools": {"function": {"name": "f"}}},
        {"query": "a", "tools": [{"function": None}]},
        {"query": "a", "tools": [7]},
        {"query": "a", "candidates": ["candidate-1"]},
        {"query": "a", "candidates": ["nobody"]},
        {"query": "a", "candidates": []},
        {"query": "a", "constraints": {"candidates": ["nobody"]}},
        {"query": "a", "response_format": {"type": "json_schema"}},
        {"query": "a", "response_format": {"type": "xml"}},
        {"query": "a", "typo": 1},
        {"query": "a", "session": {"id": "a"}},
        {"query": "a", "session": {"id": "a"}, "session_id": "a"},
        {"query": "a", "session": {"cached_tokens": 7}, "session_id": "a"},
        {"query": "a", "session": {"id": None}, "session_id": "a"},
        {"query": "a", "session": {"cached_tokens": -1}},
        {"query": "a", "max_ttft_ms": 100.0, "tenant": "acme"},
        {"query": "a", "max_output_tokens": 5.0},
        {"query": "a", "max_output_tokens": 5.5},
        {"query": "a", "router": "nobody"},
        {"query": "a", "router": None},
        {"query": "a", "explain": True},
    ],
)
def test_valid_by_the_schema_is_accepted(client: httpx.Client, body: dict[str, Any]) -> None:
    document = client.get("/openapi.json").json()
    accepted = client.post("/v1/route", json=body).status_code == 200
    assert valid(document, body) == accepted


def test_keys_stand_in_the_document_where_they_are_needed(
    client: httpx.Client, tmp_path: Path, bundle: Path
) -> None:
    document = client.get("/openapi.json").json()
    assert "security" not in document["paths"]["/v1/route"]["post"]
    assert {"/healthz", "/metrics", "/readyz"} <= set(document["paths"])
    with serve(tmp_path / "log", bundle=bundle, api_keys="key") as keyed:
        document = keyed.get("/openapi.json").json()
        assert document["paths"]["/v1/route"]["post"]["security"] == [{"bearer": []}]
