"""Logs of several versions as one: the mixture's propensities, and how versions are known."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_ml.data.loggers import Loggers
from router_ml.data.outcomes import TrainingTable
from router_ml.evaluation.off_policy.balance import misses, with_loggers
from router_ml.evaluation.off_policy.estimators import snips
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.log_feedback import feedback
from router_ml.evaluation.off_policy.weighting import inverse_probability_weight
from router_ml.features.query import Query
from router_ml.policies.cost_aware import CostAwarePolicy
from router_ml.policies.exploration import EpsilonGreedyPolicy
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray, IntArray
from tests.bundles import make_bundle

UNIFORM = np.full(3, 1 / 3)
WORDS = ["code", "prove", "paint", "weather", "hello"]


def table_of(
    asks: list[str], probs: FloatArray, own: IntArray, rng: np.random.Generator
) -> TrainingTable:
    """A log of one request a row, served by version ``own`` with its probabilities, shape (n, K).

    The right answer of a request is that of candidate 0 where its text is even in length.
    """
    n, k = probs.shape
    action = (rng.random((n, 1)) > probs.cumsum(axis=1)[:, :-1]).sum(axis=1)
    Y = np.full((n, k), np.nan)
    Y[np.arange(n), action] = (action == np.array([len(a) % k for a in asks])).astype(float)
    ids = tuple(f"{zlib.crc32(a.encode()):08x}" for a in asks)
    ones = np.ones(n)
    return TrainingTable(
        request_id=tuple(map(str, range(n))),
        queries=tuple(map(Query, asks)),
        candidates=tuple(f"candidate-{j}" for j in range(k)),
        Y=Y,
        weight=ones,
        chosen=action,
        served=action,
        propensity=probs[np.arange(n), action],
        action_probs=probs,
        eligible=np.ones((n, k), dtype=bool),
        outdated=np.zeros((n, k), dtype=bool),
        query_id=ids,
        group_id=ids,
        time=np.arange(n).astype("datetime64[us]"),
        input_tokens=ones,
        output_tokens=ones,
        latency_ms=ones,
        cost_usd=ones,
        succeeded=np.ones(n, dtype=bool),
        answer=(None,) * n,
        finish_reason=("",) * n,
        split=("test",) * n,
        policy_version=tuple(f"v{j}" for j in own),
    )


def random_asks(n: int, rng: np.random.Generator) -> list[str]:
    """Distinct prompts that tell nothing of their number."""
    return [
        f"q{number:08d}" + "x" * int(more)
        for number, more in zip(rng.permutation(10**6)[:n], rng.integers(3, size=n), strict=True)
    ]


@settings(max_examples=30, deadline=None)
@given(
    shares=st.lists(st.floats(0.1, 1.0), min_size=2, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_weights_of_the_mixture_add_up_whatever_the_versions_are(
    shares: list[float], seed: int
) -> None:
    """Summed over versions and choices, share times probability over the mixture is one each."""
    rng = np.random.default_rng(seed)
    j, k = len(shares), 3
    policies = rng.dirichlet(np.ones(k), size=j)
    share = np.array(shares) / sum(shares)
    total = np.zeros(k)
    for version in range(j):
        for choice in range(k):
            one = Loggers(
                names=tuple(map(str, range(j))),
                own=np.array([version]),
                probs=policies[:, choice][None],
                share=share[None],
                balanced=np.ones(j, dtype=bool),
                sources=("",) * j,
            )
            total[choice] += share[version] * policies[version, choice] / one.propensity[0]
    np.testing.assert_allclose(total, 1.0)


def test_versions_that_are_unknown_keep_their_own_propensities() -> None:
    loggers = Loggers(
        names=("a", "b", "c"),
        own=np.array([0, 1, 2]),
        probs=np.array([[0.5, 0.1, np.nan], [0.3, 0.3, np.nan], [0.4, 0.2, 0.9]]),
        share=np.tile([0.5, 0.25, 0.25], (3, 1)),
        balanced=np.array([True, True, False]),
        sources=("", "", "unknown elsewhere"),
    )
    np.testing.assert_allclose(loggers.propensity, [(0.5 * 0.5 + 0.25 * 0.1) / 0.75, 0.3, 0.9])
    # A part without version b has only version a to mix.
    part = loggers.take(np.array([0, 2]))
    np.testing.assert_allclose(part.propensity, [0.5, 0.9])
    assert "2 versions" in part.text
    assert loggers.take(np.array([True, True, True])).propensity == pytest.approx(
        loggers.propensity
    )


def test_fixed_policies_are_read_off_and_the_estimate_is_the_better_for_it() -> None:
    """One version explored, the other hardly: mixed, its few explored requests weigh no more."""
    rng = np.random.default_rng(0)
    n = 600
    errors: dict[str, list[float]] = {"own": [], "balanced": []}
    own = rng.integers(2, size=n)
    probs = np.where(own[:, None] == 0, UNIFORM, [0.96, 0.02, 0.02])
    table = with_loggers(table_of(random_asks(n, rng), probs, own, rng))
    assert table.loggers is not None
    assert table.loggers.balanced.all()
    assert set(table.loggers.sources) == {"the same for every request"}
    last = np.tile([0.0, 0.0, 1.0], (n, 1))
    loggers = replace(table.loggers, share=np.tile(np.bincount(own) / n, (n, 1)))
    for _ in range(300):
        action = (rng.random((n, 1)) > probs.cumsum(axis=1)[:, :-1]).sum(axis=1)
        both = np.stack([UNIFORM, [0.96, 0.02, 0.02]])[:, action].T
        outcome = (rng.random(n) < 0.7).astype(float)
        mixed = replace(loggers, probs=both)
        for name, p in (("own", mixed.logged), ("balanced", mixed.propensity)):
            log = LoggedFeedback(action, p, outcome)
            errors[name].append(float(snips(log, last).value) - 0.7)
    square = {name: np.square(e) for name, e in errors.items()}
    gain = square["own"] - square["balanced"]
    assert gain.mean() > 2.0 * gain.std() / np.sqrt(len(gain))
    bias = np.array(errors["balanced"])
    assert abs(bias.mean()) < 3.0 * bias.std() / np.sqrt(len(bias))


def test_bundles_replay_their_versions(tmp_path: Path) -> None:
    policies = (
        EpsilonGreedyPolicy(epsilon=0.3, cost_weight=10.0),
        EpsilonGreedyPolicy(epsilon=0.1, cost_weight=1_000.0),
    )
    routers = {}
    for version, policy in enumerate(policies):
        make_bundle(tmp_path / f"{version}", policy=policy, random_state=version)
        routers[f"v{version}"] = Runtime.from_folder(tmp_path / f"{version}")
    rng = np.random.default_rng(1)
    asks = [
        " ".join(rng.choice(["code", "prove", "paint", "weather", "hello"], 5)) for _ in range(300)
    ]
    queries = tuple(map(Query, asks))
    own = rng.integers(2, size=300)
    played = [r.policy.action_probs(r.predict(queries), r.candidates) for r in routers.values()]
    probs = np.stack(played)[own, np.arange(300)]
    plain = table_of(asks, probs, own, rng)
    table = with_loggers(plain, routers)
    assert table.loggers is not None
    assert all("replayed by its bundle" in source for source in table.loggers.sources)
    rows = np.arange(300)
    np.testing.assert_allclose(
        table.loggers.probs, np.stack([p[rows, plain.chosen] for p in played], axis=1), atol=1e-6
    )
    # A bundle that did not do what the log says is not believed.
    make_bundle(tmp_path / "other", policy=CostAwarePolicy(cost_weight=0.0), random_state=9)
    wrong = routers | {"v1": Runtime.from_folder(tmp_path / "other")}
    source = with_loggers(plain, wrong).loggers
    assert source is not None
    assert "replayed" not in source.sources[1]


def test_a_candidate_that_only_the_later_version_had_is_not_weighed_up_twice() -> None:
    rng = np.random.default_rng(2)
    n = 2_000
    asks = random_asks(n, rng)
    own = np.repeat([0, 1], n // 2)
    probs = np.where(own[:, None] == 0, [0.5, 0.5, 0.0], [0.25, 0.25, 0.5])
    table = table_of(asks, probs, own, rng)
    eligible = np.ones((n, 3), dtype=bool)
    eligible[: n // 2, 2] = False
    table = with_loggers(replace(table, eligible=eligible))
    quality, _ = feedback(table)
    weights = quality.weights(np.tile([0.0, 0.0, 1.0], (n, 1)))
    assert weights.sum() / n == pytest.approx(1.0, abs=0.1)


def test_shares_follow_the_traffic() -> None:
    """Versions one after the other while prompts change: flat shares would be biased."""
    rng = np.random.default_rng(3)
    n = 2_000
    own = np.repeat([0, 1], n // 2)
    long = rng.random(n) < np.where(own == 0, 0.1, 0.9)
    asks = [f"q{i}" + " why is that so" * (30 * int(one)) for i, one in enumerate(long)]
    probs = np.where(own[:, None] == 0, [0.8, 0.1, 0.1], [0.1, 0.1, 0.8])
    table = with_loggers(table_of(asks, probs, own, rng))
    assert table.loggers is not None
    assert table.loggers.balanced.all()
    share = table.loggers.share[:, 1]
    assert share[long].mean() > 0.85 > 0.15 > share[~long].mean()
    flat = replace(table.loggers, share=np.full((n, 2), 0.5))
    last = table.chosen == 2
    right, wrong = ((last / one.propensity)[long].mean() for one in (table.loggers, flat))
    assert right == pytest.approx(1.0, abs=0.1)
    assert abs(wrong - 1.0) > 0.3


def test_weights_that_do_not_add_up_are_found() -> None:
    rng = np.random.default_rng(4)
    chosen = rng.integers(2, size=3_000)
    right = np.full(3_000, 0.5)
    assert misses(right, chosen, np.zeros((3_000, 0))) < 1.0
    assert misses(np.where(chosen == 1, 0.7, 0.5), chosen, np.zeros((3_000, 0))) > 1.0


def test_learning_weighs_by_the_mixture() -> None:
    rng = np.random.default_rng(5)
    asks = random_asks(500, rng)
    own = rng.integers(2, size=500)
    probs = np.where(own[:, None] == 0, UNIFORM, [0.98, 0.01, 0.01])
    plain = table_of(asks, probs, own, rng)
    apart, mixed = (inverse_probability_weight(t) for t in (plain, with_loggers(plain)))
    rare = (plain.chosen > 0) & (own == 1)
    assert mixed[rare].max() < apart[rare].max()
    assert mixed.std() < apart.std()


def test_one_version_or_unknown_propensities_are_left_alone() -> None:
    rng = np.random.default_rng(6)
    asks = [f"q{i}" for i in range(50)]
    own = np.zeros(50, dtype=np.int64)
    table = table_of(asks, np.tile(UNIFORM, (50, 1)), own, rng)
    assert with_loggers(table) is table
    unknown = replace(
        table,
        propensity=np.full(50, np.nan),
        policy_version=tuple(str(i % 2) for i in range(50)),
    )
    assert with_loggers(unknown) is unknown


def test_estimated_versions_are_checked_and_said() -> None:
    """A version whose preference is in the text is learned from what it logged."""
    rng = np.random.default_rng(7)
    n = 1_500
    asks = [f"q{i}" + " why is that so" * (20 * int(rng.random() < 0.5)) for i in range(n)]
    long = np.array([len(a) > 50 for a in asks])
    own = rng.integers(2, size=n)
    mine = np.where(long[:, None], [0.05, 0.05, 0.9], [0.9, 0.05, 0.05])
    probs = np.where(own[:, None] == 0, UNIFORM, mine)
    table = with_loggers(table_of(asks, probs, own, rng))
    assert table.loggers is not None
    assert table.loggers.sources == ("the same for every request", "estimated elsewhere")
    assert table.loggers.balanced.all()
    rows = np.flatnonzero(own == 0)
    expected = mine[rows, table.chosen[rows]]
    assert np.mean(np.abs(table.loggers.probs[rows, 1] - expected) < 0.05) > 0.95


def test_a_log_of_one_outcome_keeps_its_identity() -> None:
    """Balanced over two versions that are the same, nothing changes."""
    rng = np.random.default_rng(8)
    asks = random_asks(400, rng)
    own = rng.integers(2, size=400)
    table = with_loggers(table_of(asks, np.tile([0.5, 0.3, 0.2], (400, 1)), own, rng))
    np.testing.assert_allclose(table.balanced_propensity, table.propensity)
    quality, _ = feedback(table)
    assert isinstance(quality, LoggedFeedback)
    np.testing.assert_allclose(quality.propensity, table.propensity)
