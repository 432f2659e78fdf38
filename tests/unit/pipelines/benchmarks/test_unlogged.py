"""The trials of estimated propensities draw what they say, and count verdicts as they are."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.benchmarks.company_logs import (
    LABELLED,
    LOGGING,
    RULES,
    SOURCES,
    Drawn,
    Traffic,
    logging_probs,
)
from pipelines.benchmarks.unlogged import count_verdicts, summarise, trial, verdicts


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    rng = np.random.default_rng(0)
    n = 400
    features = rng.normal(size=(n, 5))
    kind = np.digitize(features[:, 0], [-0.4, 0.4])
    hard = 1.0 / (1.0 + np.exp(-features[:, 1]))
    quality = (rng.random((n, 4)) < hard[:, None] + [0.1, -0.1, 0.1, 0.0]).astype(float)
    cost = np.tile([3e-3, 2e-4, 4e-3, 1e-4], (n, 1))
    return Traffic("small", features, kind, quality, cost)


def test_logs_follow_rules_and_labels_their_share(traffic: Traffic) -> None:
    rng = np.random.default_rng(1)
    behavior = logging_probs(traffic, "rules", rng)
    assert sorted(behavior[traffic.kind == 0][0]) == sorted(RULES[0])
    drawn = Drawn.of(traffic, behavior, 600, rng)
    log = drawn.logs["logged"]
    served = np.bincount(log.action, minlength=4) / 600
    np.testing.assert_allclose(served, behavior.mean(axis=0), atol=0.07)
    assert abs(log.labelled.mean() - LABELLED) < 0.07
    hidden = np.flatnonzero(RULES[0] == 0.0)
    assert len(hidden) == 1
    blocked = int(np.flatnonzero((behavior == 0.0).any(axis=0))[0])
    assert not drawn.supports(np.tile(np.eye(4)[blocked], (len(traffic), 1)))


def test_errors_and_verdicts_are_counted(traffic: Traffic) -> None:
    rng = np.random.default_rng(2)
    methods = summarise([trial(traffic, kind, 450, rng) for kind in LOGGING])
    assert set(methods) == set(SOURCES)
    for metrics in methods.values():
        assert metrics["value_rmse"]["n"] == 2
    assert methods["estimated"]["gate_rmse_ratio"]["value"] > 0.0
    said = verdicts(traffic, 450, rng)
    counted = count_verdicts(said)
    shares = [cell["value"] for name, cell in counted.items() if name != "wrong"]
    assert sum(shares) == pytest.approx(1.0)
