"""Onboarding a candidate that the scores of the sample know and the router does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import router_ml as rm
from pipelines.api import onboarding
from router_ml.errors import ConfigError
from router_ml.evaluation.sample_size import (
    difference_variance,
    labels_for_level,
    rows_for_difference,
)

HIDDEN, KNOWN = "delta-max", ["atlas-nano", "atlas-medium"]
PRICE = (3.0, 12.0)


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return rm.sample_scores().head(240)


@pytest.fixture(scope="module")
def router(scores: pd.DataFrame, encoder_cache: Path) -> rm.Router:
    costs = {name: float(scores[f"usd {name}"].mean()) for name in KNOWN}
    return rm.fit_scores(
        scores["prompt"], scores[KNOWN], costs,
        policy=rm.CostAware(cost_weight=20.0), estimator="linear", cache=encoder_cache,
    )  # fmt: skip


@pytest.fixture(scope="module")
def few(scores: pd.DataFrame) -> pd.DataFrame:
    told = scores.sample(100, random_state=0)
    return pd.DataFrame({"prompt": told["prompt"], "quality": told[HIDDEN]})


@pytest.fixture(scope="module")
def found(router: rm.Router, few: pd.DataFrame, encoder_cache: Path) -> rm.Onboarding:
    return rm.onboard(
        router, HIDDEN, price=PRICE, labels=few, cost_weight=20.0, cache=encoder_cache
    )


def test_its_quality_is_within_the_stated_error(found: rm.Onboarding, scores: pd.DataFrame) -> None:
    assert abs(found.quality - scores[HIDDEN].mean()) < 3.0 * found.std
    assert found.traffic_low <= found.traffic <= found.traffic_high
    overall = found.segments.iloc[0]
    assert overall["newcomer"] == pytest.approx(found.traffic)
    by_length = found.segments[found.segments["kind"] == "length"]
    assert np.average(by_length["newcomer"], weights=by_length["rows"]) == pytest.approx(
        found.traffic, abs=1e-9
    )


def test_a_card_alone_leaves_it_wide_open(
    router: rm.Router, found: rm.Onboarding, encoder_cache: Path
) -> None:
    unsure = rm.onboard(
        router, HIDDEN, price=PRICE, card=(0.85, 0.1), cost_weight=20.0, cache=encoder_cache
    )
    assert unsure.labels == 0
    assert unsure.std > 1.5 * found.std
    width = unsure.traffic_high - unsure.traffic_low
    assert width >= found.traffic_high - found.traffic_low
    needed = unsure.plan["labels"][0]
    assert needed > found.plan["labels"][0] > 0


def test_the_bundle_explores_with_exact_propensities(
    found: rm.Onboarding, tmp_path: Path, scores: pd.DataFrame
) -> None:
    bundle = found.save(tmp_path / "out")
    served = rm.load(bundle)
    told = served.predict(scores["prompt"].head(20))
    share = told.loc[told["candidate"] == HIDDEN, "probability"]
    assert share.min() >= 0.05 - 1e-12
    assert told["probability"].min() >= 0.01 - 1e-12
    decisions = [served.route(scores["prompt"][0]) for _ in range(200)]
    given = np.mean([decision.candidate == HIDDEN for decision in decisions])
    p = share.iloc[0]
    assert abs(given - p) < 4.0 * np.sqrt(p * (1.0 - p) / 200) + 1e-9
    stated = told[told["query"] == 0].set_index("candidate")["probability"]
    assert all(abs(d.propensity - stated[d.candidate]) < 1e-9 for d in decisions)
    written = json.loads((tmp_path / "out" / "onboarding.json").read_text())
    assert written["exploring_policy"]["trial"][HIDDEN] == 0.05


def test_a_policy_without_a_price_of_quality_is_refused(router: rm.Router) -> None:
    floored = router.with_policy(rm.QualityFloor(min_quality=0.5))
    with pytest.raises(ConfigError, match="pass cost_weight"):
        rm.onboard(floored, HIDDEN, price=PRICE)
    with pytest.raises(ConfigError, match="share must be"):
        rm.onboard(router, HIDDEN, price=PRICE, share=1.5)


def test_a_budget_of_the_cheapest_alone_has_room_for_costs_predicted_anew(
    router: rm.Router,
) -> None:
    least = router.with_policy(rm.Budget(cost_share=1e-9))
    asked = onboarding._same_dollars(least)
    assert "cost_share" not in asked
    assert asked["budget_usd"] == pytest.approx(1.1 * least.policy["budget_usd"])
    same = onboarding._same_dollars(router.with_policy(rm.Budget(usd=1.0)))
    assert same["budget_usd"] == pytest.approx(1.0)


def test_the_stated_rows_give_the_stated_power() -> None:
    rng = np.random.default_rng(0)
    assert labels_for_level(0.25, 0.01, 0.05) == 0
    k, margin = 2, 0.05
    quality = np.tile([0.6, 0.6 + margin], (2_000, 1))
    logging = np.full((2_000, k), 0.5)
    old, new = np.tile([1.0, 0.0], (2_000, 1)), np.tile([0.0, 1.0], (2_000, 1))
    n = rows_for_difference(difference_variance(new, old, logging, quality), margin)
    action = rng.integers(0, 2, (400, n))
    reward = rng.random((400, n)) < np.where(action == 1, 0.6 + margin, 0.6)
    model = np.where(action == 1, 0.6 + margin, 0.6)
    values = margin + np.where(action == 1, 2.0, -2.0) * (reward - model)
    seen = values.mean(axis=1) - 1.96 * values.std(axis=1) / np.sqrt(n) > 0
    assert abs(seen.mean() - 0.8) < 4 * np.sqrt(0.16 / 400)
