from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from pipelines.simulation.config import SimulateConfig
from pipelines.simulation.ledger import LOOP, NEVER, ORACLE, Ledger
from pipelines.simulation.operator import PriceList
from pipelines.simulation.traffic import Served
from pipelines.simulation.world import (
    Event,
    World,
    constants_by_utility,
    default_cost_weight,
)
from pipelines.truth import read_truth
from router_ml.data.synthetic_log import write_world
from router_ml.errors import ConfigError


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = write_world(tmp_path_factory.mktemp("world"), n_queries=400, n_requests=1)
    truth = read_truth(folder)
    weight = default_cost_weight(truth)
    best, second, third, *_ = constants_by_utility(truth, weight)
    events = (
        Event(1, "added", second),
        Event(2, "degraded", best, 0.4),
        Event(3, "repriced", third, 4.0),
    )
    return World(truth=truth, events=events)


def test_events_happen_when_they_are_due_and_stay(world: World) -> None:
    added, degraded, repriced = (world.candidates.index(e.candidate) for e in world.events)
    assert len({added, degraded, repriced}) == 3
    moments = [world.at(number) for number in range(-1, 4)]
    assert [bool(m.available[added]) for m in moments] == [False, False, True, True, True]
    means = [m.quality[:, degraded].mean() for m in moments]
    assert means[0] == means[1] == means[2]
    assert means[3] == means[4] == pytest.approx(0.4 * means[0], abs=0.06)
    costs = [m.cost_usd[:, repriced].mean() for m in moments]
    assert costs[3] == costs[0]
    assert costs[4] == pytest.approx(4.0 * costs[0])
    others = [k for k in range(len(world.candidates)) if k not in (degraded, added)]
    assert np.array_equal(moments[0].quality[:, others], moments[4].quality[:, others])


def test_the_oracle_never_picks_who_is_not_there(world: World) -> None:
    added = world.candidates.index(world.events[0].candidate)
    assert world.at(0).oracle(10.0)[:, added].sum() == 0
    assert world.at(1).oracle(0.0).sum() == len(world.truth)


def test_regret_counts_what_the_oracle_would_have_earned(world: World) -> None:
    ledger = Ledger(world=world, cost_weight=5.0)
    best = int(world.at(-1).utility(5.0).mean(axis=0).argmax())
    never = np.tile(np.eye(len(world.candidates))[best], (len(world.truth), 1))
    rows = np.arange(100)
    for number in range(4):
        action = world.at(number).utility(5.0)[rows].argmax(axis=1)
        ledger.stand(number - 1, "1", world.at(number).oracle(5.0))
        ledger.stand(number, "1", world.at(number).oracle(5.0))
        ledger.played(number, Served(rows, action, ("1",) * 100), never)
    assert ledger.cumulative_regret(LOOP) == pytest.approx(0.0)
    state = world.at(3)
    lost = state.utility(5.0)[rows].max(axis=1) - state.utility(5.0)[rows, best]
    assert ledger.rounds[3][NEVER]["regret"] == pytest.approx(lost.mean())
    assert ledger.rounds[3][ORACLE]["regret"] == 0.0
    summary = ledger.summary()
    assert summary["recovered"] is None  # it lost too little to speak of
    assert summary["recovery_requests"] is None
    assert summary["returned"] == 1.0
    assert summary["regret_share_of_never_retraining"] == pytest.approx(0.0)


def test_who_never_learns_never_recovers(world: World) -> None:
    ledger = Ledger(world=world, cost_weight=5.0)
    degraded = world.candidates.index(world.events[1].candidate)
    probs = np.tile(np.eye(len(world.candidates))[degraded], (len(world.truth), 1))
    for number in range(4):
        for state in (number - 1, number):
            ledger.stand(state, "1", probs)
        served = Served(np.arange(50), np.full(50, degraded), ("1",) * 50)
        ledger.played(number, served, probs)
    summary = ledger.summary()
    assert (summary["recovered"], summary["recovery_requests"]) == (0.0, 100.0)
    assert (summary["utility_recovered"], summary["utility_recovery_requests"]) == (0.0, 100.0)
    assert summary["regret_share_of_never_retraining"] == pytest.approx(1.0)
    before, after = summary["quality_before"], summary["quality_degraded"]
    assert before is not None
    assert after is not None
    assert after < before - 0.2


def test_a_new_price_ends_the_window_of_the_old_one(world: World, tmp_path: Path) -> None:
    prices = PriceList(tmp_path / "prices.csv")
    first, second = datetime(2026, 3, 1), datetime(2026, 3, 2)
    before, after = world.at(-1), world.at(3)
    prices.update(before.candidates, before.names, first)
    prices.update(after.candidates, after.names, second)
    prices.update(after.candidates, after.names, datetime(2026, 3, 3))  # nothing new
    with prices.path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(world.candidates) + 1
    repriced = [row for row in rows if row["candidate"] == world.events[2].candidate]
    assert [(row["valid_from"], row["valid_to"]) for row in repriced] == [
        ("", second.isoformat()),
        (second.isoformat(), ""),
    ]
    newcomer = [row for row in rows if row["candidate"] == world.events[0].candidate]
    assert [row["valid_from"] for row in newcomer] == [""]


def test_what_cannot_be_played_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="degraded_at must be a round from 0 to 4, got 7"):
        SimulateConfig(rounds=5, added_at=1, degraded_at=7, repriced_at=2)
    with pytest.raises(ConfigError, match=r"lacks matrix.parquet, prices.json"):
        read_truth(tmp_path)
    few = world.truth.select(world.candidates.names[:2])
    with pytest.raises(ConfigError, match="needs 4 candidates"):
        constants_by_utility(few, 1.0)
