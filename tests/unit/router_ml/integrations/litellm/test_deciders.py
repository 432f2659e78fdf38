"""Who is asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from router_ml.errors import ConfigError
from router_ml.features.query import parse_query
from router_ml.integrations.litellm.deciders import BundleDecider, RandomDecider, ServiceDecider
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle

CHAT = {"messages": [{"role": "user", "content": "Write code."}]}


def test_at_random_everybody_gets_the_same_share() -> None:
    decider = RandomDecider(["a", "b", "c", "d"], random_state=3)

    async def many() -> Counter[str]:
        choices = [await decider.choose(CHAT) for _ in range(2_000)]
        assert {c.propensity for c in choices if c} == {0.25}
        assert len({c.decision_id for c in choices if c}) == 2_000
        return Counter(c.candidate for c in choices if c)

    counts = asyncio.run(many())
    assert all(abs(n - 500) < 5 * (2_000 * 0.25 * 0.75) ** 0.5 for n in counts.values())
    with pytest.raises(ConfigError, match="at least one"):
        RandomDecider([])


def test_a_bundle_in_process_decides_as_the_runtime(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    choice = asyncio.run(BundleDecider(tmp_path / "bundle").choose(CHAT))
    expected = Runtime.from_folder(tmp_path / "bundle").decide(parse_query("Write code."))
    assert choice is not None
    assert (choice.candidate, choice.propensity) == (expected.candidate, expected.propensity)
    assert choice.version == Runtime.from_folder(tmp_path / "bundle").manifest.bundle_id
    assert asyncio.run(BundleDecider(tmp_path / "bundle").choose({"messages": [7]})) is None


def test_a_service_that_is_down_has_no_opinion() -> None:
    decider = ServiceDecider(url="http://127.0.0.1:9", timeout_s=0.2)
    assert asyncio.run(decider.choose(CHAT)) is None
    asyncio.run(decider.tell("d", {"status": "success"}))
