"""Routers and what becomes of them: prices, policies, outages, newcomers, folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import router_ml as rm
from router_ml.bundle.files import read_bundle
from router_ml.errors import ConfigError, SchemaError

TEXTS = ["Basic hints on dough will do.", "Prove rigorously that yeast is necessary."]


@pytest.fixture(scope="module")
def router(encoder_cache: Path) -> rm.Router:
    return rm.fit(
        rm.sample_log(), estimator="knn", policy=rm.Budget(cost_share=0.25), cache=encoder_cache
    )


def test_predictions_are_tidy(router: rm.Router) -> None:
    frame = router.predict(pd.Series(TEXTS, index=["first", "second"]))
    assert frame["query"].tolist() == ["first"] * 3 + ["second"] * 3
    assert frame.groupby("query")["probability"].sum().to_numpy() == pytest.approx(1.0)
    assert frame.groupby("query")["chosen"].sum().tolist() == [1, 1]
    assert frame["quality"].between(0.0, 1.0).all()
    with pytest.raises(ConfigError, match="a list of queries"):
        router.predict("one text")


def test_what_is_predicted_is_what_is_routed(router: rm.Router) -> None:
    frame = router.predict(TEXTS)
    for i, text in enumerate(TEXTS):
        decision = router.route(text)
        mine = frame[frame["query"] == i].set_index("candidate")
        assert mine["probability"][decision.candidate] > 0.0
        for line in decision.ranking:
            assert mine["quality"][line.candidate] == pytest.approx(line.quality, abs=1e-6)
            assert mine["cost_usd"][line.candidate] == pytest.approx(line.cost_usd, rel=1e-5)


def test_a_budget_is_solved_anew_at_other_prices(router: rm.Router) -> None:
    dear = router.with_prices({"atlas-nano": (50.0, 200.0)})
    assert dear.policy["budget_usd"] != router.policy["budget_usd"]
    assert router.prices["input_usd_per_mtok"].min() < 1.0  # the first is as it was
    before, after = (one.traffic().set_index("candidate")["router"] for one in (router, dear))
    assert after["atlas-nano"] < before["atlas-nano"]
    assert before.sum() == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="no candidate 'nobody'"):
        router.with_prices({"nobody": (1.0, 1.0)})


def test_a_higher_budget_spends_more(router: rm.Router) -> None:
    spent = []
    for share in (0.1, 0.5, 1.0):
        frame = router.with_policy(rm.Budget(cost_share=share)).traffic()
        spent.append((frame["router"] * frame["cost_usd"].fillna(0.0)).sum())
    assert spent == sorted(spent)


def test_an_outage_moves_traffic_and_is_not_saved(router: rm.Router, tmp_path: Path) -> None:
    down = router.without("atlas-nano")
    assert down.traffic().set_index("candidate")["router"]["atlas-nano"] == 0.0
    assert down.route(TEXTS[0]).candidate != "atlas-nano"
    assert down.explain(TEXTS[0]).decision.candidate != "atlas-nano"
    with pytest.raises(ConfigError, match="holds no outage"):
        down.save(tmp_path / "bundle")
    with pytest.raises(ConfigError, match="no candidate is left"):
        down.without("atlas-medium", "delta-max")


def test_a_saved_router_is_the_same_and_says_what_it_lacks(
    router: rm.Router, tmp_path: Path
) -> None:
    loaded = rm.load(router.save(tmp_path / "bundle"))
    pd.testing.assert_frame_equal(loaded.predict(TEXTS), router.predict(TEXTS))
    assert router.save(tmp_path / "bundle").is_dir()  # over an older one
    with pytest.raises(ConfigError, match="trained= and log="):
        loaded.with_policy(rm.Budget(cost_share=0.5))
    with pytest.raises(ConfigError, match="pass log="):
        loaded.add_candidate("new", price=(1.0, 1.0))
    whole = rm.load(tmp_path / "bundle", trained=router.trained, log=router.log)
    quarter = rm.Budget(cost_share=0.25)
    assert whole.with_policy(quarter).policy == router.with_policy(quarter).policy
    # One way: what training solved is what is solved anew, floor and all.
    anew = router.with_policy(quarter).policy
    numbers = ("budget_usd", "cost_weight_low", "cost_weight_high", "floor_share")
    assert [anew[key] for key in numbers] == pytest.approx(
        [router.policy[key] for key in numbers], rel=1e-3, abs=1e-3
    )
    assert anew["floor"] == pytest.approx(router.policy["floor"], abs=1e-3)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(ConfigError, match="holds no bundle"):
        router.save(tmp_path / "used")


def test_a_rewritten_bundle_keeps_its_proof(router: rm.Router) -> None:
    other = router.with_policy(rm.CostAware(cost_weight=10.0))
    assert (
        read_bundle(other.bundle).manifest.bundle_id
        != read_bundle(router.bundle).manifest.bundle_id
    )
    assert (other.bundle.parent / "parity.json").is_file()


def test_a_newcomer_is_learned_from_few_labels(router: rm.Router) -> None:
    scores = rm.sample_scores()
    few = pd.DataFrame({"prompt": scores["prompt"][:150], "quality": np.ones(150)})
    wider = router.add_candidate("new-model", labels=few, price=(0.05, 0.2))
    shares = wider.traffic(router.log).set_index("candidate")["router"]
    assert shares["new-model"] > 0.5  # always right, and the cheapest
    with pytest.raises(ConfigError, match="there is a candidate delta-max already"):
        router.add_candidate("delta-max", price=(1.0, 1.0))
    with pytest.raises(SchemaError, match="prompt is missing"):
        router.add_candidate("new", labels=few[["quality"]], price=(1.0, 1.0))
    with pytest.raises(SchemaError, match=r"must be in \[0, 1\]"):
        router.add_candidate("new", labels=few.assign(quality=4.0), price=(1.0, 1.0))
