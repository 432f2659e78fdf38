"""The load client, against a real service: every request is accounted for, swaps are made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.benchmarks.http_load import http, service
from pipelines.benchmarks.open_loop import open_loop
from pipelines.benchmarks.service_trials import reload, sized_bodies
from tests.bundles import make_bundle

BODIES = [
    json.dumps(
        {"messages": [{"role": "user", "content": f"mix {i} blue and yellow paint"}]}
    ).encode()
    for i in range(50)
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    make_bundle(folder)
    return folder


def test_every_request_is_accounted_for(bundle: Path) -> None:
    wrong = http("/v1/route", b'{"query": ""}')
    requests = [wrong if i % 5 == 0 else http("/v1/route", BODIES[i % 50]) for i in range(100)]
    with service(bundle) as (port, _):
        found = open_loop(port, requests, [0.002 * i for i in range(100)], connections=4)
    assert len(found.latencies_ms) == 80
    assert found.failures == {422: 20}
    assert min(found.latencies_ms) > 0


def test_new_versions_go_in_service_under_load(bundle: Path) -> None:
    found = reload(bundle, BODIES, seconds=6.0, rate=20.0)
    assert found["loads"]["value"] >= 1
    assert found["errors"]["value"] == found["calm_errors"]["value"] == 0


def test_prompts_have_the_lengths_of_the_trace() -> None:
    sizes = [8, 80, 800]
    texts = [json.loads(b)["messages"][0]["content"] for b in sized_bodies(BODIES, sizes)]
    assert [len(text.split()) for text in texts] == pytest.approx([7, 61, 601], abs=1)
