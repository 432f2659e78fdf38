"""Traffic against its reference: quiet where it is the same, an alarm where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.learning.reference import known_tools
from router_ml.monitoring.monitor import Monitor
from router_ml.monitoring.traffic import OTHERS, UNSEEN, TrafficReference, cluster_reference

START = np.datetime64("2026-03-02T08:00:00", "us")
REFERENCE = {
    "quantile_levels": [0.1, 0.9, 0.99],
    "lexical": {"log_words": [1.0, 4.0, 5.0], "log_tools": [0.0, 0.0, 0.0]},
    "languages": {"en": 0.9, "de": 0.08},
    "tools": ["search"],
    "tools_unseen": 0.0,
}


def times(n: int, first: int = 0) -> np.ndarray:
    return START + 1_000_000 * np.arange(first, first + n)


def test_what_is_watched_is_what_the_reference_has() -> None:
    reference = TrafficReference(REFERENCE)
    assert reference.kinds == ("lexical", "language", "tools")
    assert reference.high == {"log_words": 4.0}  # a column that is always the same says nothing
    assert TrafficReference({}).kinds == ()


def test_a_language_that_grows_is_named() -> None:
    rng, reference = np.random.default_rng(0), TrafficReference(REFERENCE)
    monitor = Monitor(candidates={"a": 1.0})

    def day(first: int, shares: tuple[float, float, float], n: int = 500) -> list[str]:
        values = rng.choice(["en", "de", "fr"], n, p=shares).tolist()
        found = monitor.traffic("language", times(n, first), reference.of_languages(values), 3)
        return [alarm.segment[1] for alarm in found if alarm.segment]

    assert [day(500 * i, (0.9, 0.08, 0.02)) for i in range(6)] == [[]] * 6
    assert day(3_000, (0.5, 0.08, 0.42))[0] in (OTHERS, "en")


def test_an_unseen_tool_is_told_from_known_ones() -> None:
    reference = TrafficReference(REFERENCE)
    share, who = reference.of_tools([["search"], [], ["search", "pay"]])[UNSEEN]
    assert who.tolist() == [0.0, 0.0, 1.0]
    assert share < 0.01


def test_a_reference_without_a_rate_of_new_tools_watches_none() -> None:
    assert "tools" not in TrafficReference(REFERENCE | {"tools_unseen": None}).kinds


def test_tools_that_are_new_as_often_as_ever_are_no_change() -> None:
    rng, monitor = np.random.default_rng(0), Monitor(candidates={"a": 1.0})
    offered = [[f"tool-{number}"] for number in rng.zipf(1.5, 4_000).tolist()]
    later = np.arange(2_000) >= 1_600
    tools, share = known_tools(offered[:2_000], np.column_stack([~later, later]).astype(float))
    reference = TrafficReference({"tools": tools, "tools_unseen": share})
    found = reference.of_tools(offered[2_000:])
    observed = found[UNSEEN][1]
    assert share is not None
    assert share == pytest.approx(observed.mean(), abs=0.04)
    assert monitor.traffic("tools", times(2_000), found, 1) == []
    newer = {UNSEEN: (share, np.r_[observed, np.ones(60)])}
    assert monitor.traffic("tools", times(2_060, 2_000), newer, 1)


def test_every_tenant_with_tools_of_its_own_is_known_to_bring_new_ones() -> None:
    offered = [[f"crm-{tenant}"] for tenant in range(100) for _ in range(5)]
    later = np.arange(500) >= 400
    tools, share = known_tools(offered, np.column_stack([~later, later]).astype(float), most=50)
    assert share == 1.0
    assert len(tools) == 50
    assert known_tools(offered, np.column_stack([np.ones(500), np.zeros(500)]))[1] is None


def test_a_column_of_ties_is_held_against_its_own_share() -> None:
    above = {"lexical_above": {"log_words": 0.02}}
    reference = TrafficReference(REFERENCE | above)
    share, _ = reference.of_lexical(["log_words"], np.zeros((3, 1)))["log_words"]
    assert share == 0.02


def test_queries_fall_to_the_cluster_they_came_from() -> None:
    rng = np.random.default_rng(0)
    embedding = np.vstack([rng.normal(c, 0.1, (50, 3)) for c in (-1.0, 1.0)])
    clusters = cluster_reference(embedding, np.ones(100), n_clusters=2)
    reference = TrafficReference({"clusters": clusters})
    code = reference.clusters(embedding)
    assert len(set(code[:50])) == len(set(code[50:])) == 1
    assert sorted(clusters["shares"]) == [0.5, 0.5]
