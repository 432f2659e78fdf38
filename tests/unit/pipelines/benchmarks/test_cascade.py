"""The cascade benchmark: what its metrics mean, where its choices are made, what it reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.benchmarks import cascade
from pipelines.benchmarks.cascade_methods import Fold, Option, Points, _planned
from pipelines.benchmarks.cascade_metrics import summarise
from pipelines.benchmarks.workloads import GSM8K, read_cascade_workload
from router_ml.cascade.policies.cascade import CascadePolicy
from router_ml.data.full_information import FullInformation
from router_ml.features.query import Query
from router_ml.types.candidates import CandidateTable
from tests.cascades import arithmetic_world

METHODS = ("router", "frugal_gpt", "cascade", "cascade_routing")


def example(n: int = 400) -> FullInformation:
    """Cheap (0.6 right, $1) and dear (0.9 right, $10)."""
    rng = np.random.default_rng(0)
    quality = (rng.random((n, 2)) < [0.6, 0.9]).astype(float)
    cost = np.tile([1.0, 10.0], (n, 1))
    return FullInformation(
        queries=tuple(Query(str(i)) for i in range(n)),
        answers=(("a", "b"),) * n,
        quality=quality,
        cost_usd=cost,
        latency_ms=cost,
        input_tokens=cost,
        output_tokens=cost,
        candidates=CandidateTable.from_prices({"cheap": (1.0, 1.0), "dear": (10.0, 10.0)}),
    )


def fold(data: FullInformation, points: dict[str, Points]) -> Fold:
    n = len(data)
    return Fold(np.arange(n), points, np.linspace(0, 1, n), np.full(n, np.nan))


def test_metrics_of_known_curves() -> None:
    data = example()
    weak, strong = ((data.quality[:, k], data.cost_usd[:, k]) for k in range(2))
    perfect = (data.quality.max(axis=1), np.full(len(data), 4.0))
    points: dict[str, Points] = {method: [weak, strong] for method in METHODS}
    points["cascade_routing"] = [weak, perfect]
    points["frugal_gpt"] = [weak, weak]
    got = summarise(data, [fold(data, points)], random_state=0)
    ours, router = got["cascade_routing"], got["router"]
    assert router["cost_share_at_best_single"].value == pytest.approx(1.0)
    # A method that never reaches the quality buys the best single candidate instead.
    assert got["frugal_gpt"]["cost_share_at_best_single"].value == pytest.approx(1.0)
    q = [float(data.quality[:, 0].mean()), float(data.quality[:, 1].mean())]
    top = float(perfect[0].mean())
    share = (1.0 + 3.0 * (q[1] - q[0]) / (top - q[0])) / 10.0
    assert ours["cost_share_at_best_single"].value == pytest.approx(share)
    assert ours["cost_share_at_best_single"].low <= share <= ours["cost_share_at_best_single"].high
    assert ours["quality_at_best_single_cost"].value == pytest.approx(top)
    lead = ours["quality_at_best_single_cost_less_better_of_both"]
    assert lead.value == pytest.approx(top - q[1])
    assert lead.low > 0
    assert got["oracle"]["quality"].value == pytest.approx(top)
    assert got["oracle"]["cost_usd"].value < 10.0
    assert "answer_auc_after_two" not in got["answer_scorer"]
    assert all(np.isfinite(e.value) for metrics in got.values() for e in metrics.values())


def test_operating_points_are_chosen_on_training_rows_alone() -> None:
    data = example()
    train = np.arange(200)
    one, two, three = (
        CascadePolicy(order=order, thresholds=limits)
        for order, limits in (((0,), ()), ((0, 1), (0.5,)), ((0, 1), (0.9,)))
    )
    floor = float(data.quality[train, 1].mean())
    options: list[Option] = [(one, 0.6, 1.0), (two, floor + 0.01, 5.0), (three, 0.97, 11.0)]
    assert _planned(options, data, train) == {"at_budget": two, "at_floor": two}
    none: list[Option] = [(one, 0.1, 1.0)]
    assert _planned(none, data, train) == {"at_budget": one, "at_floor": one}


def write_gsm8k(folder: Path, n: int, random_state: int) -> None:
    """Weak and strong answers to arithmetic questions, with calculator marks."""
    queries, answers, quality, _ = arithmetic_world(n, random_state=random_state)
    (folder / "routellm").mkdir(parents=True)
    columns: dict[str, object] = {"prompt": [query.ask for query in queries]}
    for name, k in (("weak", 0), ("strong", 2)):
        columns[name] = (quality[:, k] > 0.5).tolist()
        columns[f"{name}:response"] = [row[k] + " <<1+1=2>>" for row in answers]
    pq.write_table(pa.table(columns), folder / "routellm" / "gsm8k.parquet")


def test_calculator_marks_are_stripped(tmp_path: Path) -> None:
    write_gsm8k(tmp_path, 20, 0)
    data = read_cascade_workload(GSM8K, tmp_path)
    assert data.candidates.names == ("weak", "strong")
    assert not any("<<" in text for row in data.answers or () for text in row)
    assert data.cost_usd.mean(axis=0).tolist() == [0.0, 1.0]


@pytest.mark.slow
def test_trained_on_one_folder_and_tested_once_on_another(
    tmp_path: Path, encoder_cache: Path
) -> None:
    write_gsm8k(tmp_path / "known", 300, 0)
    write_gsm8k(tmp_path / "fresh", 120, 1)
    out = cascade.run(
        tmp_path / "known",
        tmp_path / "c.json",
        tmp_path / "fresh",
        workloads=[GSM8K],
        cache=encoder_cache,
        plots=tmp_path / "plots",
        router={"name": "linear"},
    )
    methods = json.loads(out.read_text())["workloads"][GSM8K]["methods"]
    assert methods["weak"]["quality"]["n"] == 120
    share = {name: methods[name]["strong_share_at_95pct"]["value"] for name in METHODS}
    # Queries tell nothing here and answers nearly everything.
    assert share["cascade_routing"] < 0.7 * share["router"]
    assert methods["answer_scorer"]["answer_auc_own"]["value"] > 0.8
    assert (tmp_path / "plots" / f"cascades-{GSM8K}.png").stat().st_size > 10_000
