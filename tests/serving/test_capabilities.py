"""Masks over HTTP, with what only a request can say: answer format, reasoning, the key's list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from serving.keys import digest
from tests.bundles import make_bundle
from tests.serving.conftest import serve
from tests.unit.router_ml.runtime.test_capabilities import ABLE, NAMES, TOOL, part


@pytest.fixture(scope="module")
def able(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("able")
    make_bundle(folder / "bundle", capabilities=ABLE, context_window={"candidate-0": 4_096})
    keys: list[dict[str, Any]] = [
        {"name": "all", "sha256": digest("all"), "scopes": ["route"]},
        {"name": "two", "sha256": digest("two"), "scopes": ["route"], "candidates": [*NAMES[:2]]},
        {"name": "none", "sha256": digest("none"), "scopes": ["route"], "candidates": ["other"]},
    ]
    keys[0]["sets_tenant"] = keys[1]["sets_tenant"] = True
    tenants = {"acme": {"candidates": ["candidate-1", "candidate-2"]}}
    (folder / "keys.json").write_text(json.dumps({"keys": keys, "tenants": tenants}))
    options = {"bundle": folder / "bundle", "keys_file": folder / "keys.json"}
    with serve(folder / "log", **options) as client:
        yield client


def route(client: httpx.Client, body: dict[str, Any], key: str = "all") -> httpx.Response:
    return client.post("/v1/route", json=body, headers={"authorization": f"Bearer {key}"})


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"query": "Mix."}, set(NAMES)),
        ({"query": "Mix.", "tools": [TOOL]}, {"candidate-1"}),
        ({"messages": part("image_url")}, {"candidate-1", "candidate-2"}),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
         {"candidate-1", "candidate-2"}),
        ({"query": "Mix.", "response_format": {"type": "json_object"}}, {"candidate-1"}),
        ({"query": "Mix.", "response_format": {"type": "json_schema", "json_schema": {}}},
         {"candidate-1"}),
        ({"query": "Mix.", "response_format": {"type": "text"}}, set(NAMES)),
        ({"query": "Mix.", "reasoning_effort": "high"}, {"candidate-2"}),
        ({"query": "Mix.", "requires": ["region:eu"]}, {"candidate-1"}),
        ({"query": "Mix.", "constraints": {"requires": ["retention:none"]}}, {"candidate-2"}),
        ({"query": "word " * 190_000}, {"candidate-1", "candidate-2"}),
    ],
)  # fmt: skip
def test_masks(able: httpx.Client, body: dict[str, Any], left: set[str]) -> None:
    answer = route(able, body).json()
    assert {line["candidate"] for line in answer["ranking"]} == left
    assert {line["candidate"] for line in answer["removed"]} == set(NAMES) - left
    assert all(line["reason"] for line in answer["removed"])
    assert answer["unchecked"] == []
    headers = {"authorization": "Bearer all"}
    batch = able.post("/v1/route/batch", json={"requests": [body]}, headers=headers).json()
    assert batch["decisions"][0]["removed"] == answer["removed"]
    step = able.post("/v1/cascade/next", json=body, headers=headers).json()
    assert step["candidate"] in left


def test_a_key_is_routed_to_its_own_candidates(able: httpx.Client) -> None:
    answer = route(able, {"query": "Mix."}, "two").json()
    assert answer["removed"] == [
        {"candidate": "candidate-2", "reason": "not permitted to the caller"}
    ]
    refused = route(able, {"query": "Mix.", "requires": ["audio"]}, "two")
    assert refused.status_code == 409
    assert route(able, {"query": "Mix."}, "none").status_code == 409


def test_a_tenant_is_routed_to_its_own_candidates_whoever_calls(able: httpx.Client) -> None:
    def left(key: str, tenant: str) -> set[str]:
        answer = route(able, {"query": "Mix.", "tenant": tenant}, key).json()
        removed = {line["reason"] for line in answer["removed"]}
        assert removed <= {"not permitted to the caller"}
        return {line["candidate"] for line in answer["ranking"]}

    assert left("all", "acme") == {"candidate-1", "candidate-2"}
    assert left("two", "acme") == {"candidate-1"}
    assert left("all", "other") == set(NAMES)
    body = {"requests": [{"query": "Mix.", "tenant": "acme"}]}
    headers = {"authorization": "Bearer all"}
    batch = able.post("/v1/route/batch", json=body, headers=headers).json()
    assert {r["candidate"] for r in batch["decisions"][0]["removed"]} == {"candidate-0"}
    step = able.post("/v1/cascade/next", json=body["requests"][0], headers=headers).json()
    assert step["candidate"] != "candidate-0"


def test_what_is_not_declared_is_said(client: httpx.Client) -> None:
    answer = client.post("/v1/route", json={"messages": part("image_url"), "tools": [TOOL]}).json()
    assert answer["removed"] == []
    assert answer["unchecked"] == ["tools", "vision"]
    assert "no candidate declares" in answer["reason"]
