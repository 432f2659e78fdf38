"""Comparisons: honest folds, the log against the truth, and what figures and tables hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import router_ml as rm
from router_ml.errors import ConfigError


@pytest.fixture(scope="module", autouse=True)
def _cache(encoder_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROUTER_ML_CACHE", str(encoder_cache))
        yield


@pytest.fixture(scope="module")
def both() -> tuple[rm.Comparison, rm.Comparison]:
    """Judged by the truth, and by the log alone."""
    logs = (rm.sample_log(matrix=True), rm.sample_log())
    truth, log = (rm.compare(one, ["constant", "knn"], folds=3) for one in logs)
    return truth, log


def test_the_log_tells_what_the_truth_is(both: tuple[rm.Comparison, rm.Comparison]) -> None:
    truth, log = (found.table() for found in both)
    shared = log.merge(truth, on=["method", "budget"], suffixes=("", "_true"))
    assert len(shared) == len(truth) - 1  # the oracle
    judged = shared[shared["judged"]]
    inside = (judged["quality_low"] <= judged["quality_true"] + 0.02) & (
        judged["quality_true"] - 0.02 <= judged["quality_high"]
    )
    assert inside.mean() >= 0.8
    cost = (judged["cost_usd"] / judged["cost_usd_true"]).to_numpy()
    assert np.all((cost > 0.7) & (cost < 1.4))


def test_constants_lie_on_or_below_the_hull(both: tuple[rm.Comparison, rm.Comparison]) -> None:
    for found in both:
        table = found.table()
        assert (table.loc[table["kind"] == "constant", "hull_gain"] <= 1e-9).all()
        assert np.allclose(table.loc[table["kind"] == "hull", "hull_gain"], 0.0, atol=1e-9)


def test_a_router_that_knows_the_queries_leads_the_constant(
    both: tuple[rm.Comparison, rm.Comparison],
) -> None:
    for found in both:
        assert found.best == "knn"
        lead = found.summary.set_index("method").loc["constant"]
        assert lead["lead_low"] > 0.0


def test_today_is_no_estimate_of_itself(both: tuple[rm.Comparison, rm.Comparison]) -> None:
    table = both[1].table().set_index("method")
    assert table.loc["today", "today_difference"] == pytest.approx(0.0, abs=1e-12)
    logged = rm.sample_log().outcomes["cost_usd"].mean()
    assert table.loc["today", "cost_usd"] == pytest.approx(logged, rel=1e-6)


def test_the_figure_names_whom_it_shows(both: tuple[rm.Comparison, rm.Comparison]) -> None:
    figure = both[0].plot(baseline="delta-max")
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"today", "oracle", "delta-max"} <= texts
    with pytest.raises(ConfigError, match="no baseline nobody"):
        both[0].plot(baseline="nobody")
    assert "above hull" in both[0]._repr_html_()


def test_nothing_is_gained_on_outcomes_of_other_prompts() -> None:
    table = rm.sample_scores()
    names = ["atlas-nano", "atlas-medium", "delta-max"]
    order = np.random.default_rng(0).permutation(len(table))
    costs = table[[f"usd {name}" for name in names]].set_axis(names, axis=1)
    log = rm.read_scores(
        table["prompt"],
        table[names].iloc[order].reset_index(drop=True),
        costs.iloc[order].reset_index(drop=True),
    )
    summary = rm.compare(log, ["knn"], folds=3).summary
    assert summary["hull_gain_low"].iloc[0] <= 0.005
    assert "today" not in set(rm.compare(log, ["constant"], folds=2).table()["method"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folds": 1}, "folds >= 2"),
        ({"train_share": 0.0}, "train_share must be in"),
        ({"learning": "dr"}, "ipw or naive"),
    ],
)
def test_wrong_options_are_told(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rm.compare(rm.sample_log(), ["knn"], **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="estimator name must be one of"):
        rm.compare(rm.sample_log(), ["oracle of Delphi"])


def test_rows_are_those_of_the_table(both: tuple[rm.Comparison, rm.Comparison]) -> None:
    rows = both[0].rows("knn", budget=0.25)
    table = both[0].table().query("method == 'knn' and budget == 0.25")
    assert rows["quality"].mean() == pytest.approx(table["quality"].iloc[0])
    assert isinstance(rows, pd.DataFrame)
    with pytest.raises(ConfigError, match="no method nobody"):
        both[0].rows("nobody")
