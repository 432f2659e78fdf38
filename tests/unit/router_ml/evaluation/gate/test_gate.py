from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from router_ml.errors import ConfigError, DataError
from router_ml.evaluation.gate.gate import Gate, Mode, Peeking
from router_ml.evaluation.gate.traffic import traffic_shift
from router_ml.types.arrays import FloatArray


def differences(n: int, gain: float, seed: int, churn: float = 0.16) -> FloatArray:
    up, down = (churn + gain) / 2, (churn - gain) / 2
    return np.random.default_rng(seed).choice([1.0, 0.0, -1.0], n, p=[up, 1 - churn, down])


def test_save_needs_both_quality_and_cost() -> None:
    quality = differences(20_000, 0.0, seed=0)
    cheaper, dearer = np.full(20_000, -0.001), np.full(20_000, 0.001)
    assert Gate().judge(quality, cheaper).passed
    report = Gate().judge(quality, dearer)
    assert not report.passed
    assert [check.passed for check in report.checks] == [True, False]
    assert not Gate().judge(differences(20_000, -0.02, seed=1), cheaper).passed


def test_superior_weighs_cost_in() -> None:
    quality, cost = differences(20_000, -0.01, seed=2), np.full(20_000, -0.001)
    assert not Gate(mode="superior").judge(quality, cost).passed
    assert Gate(mode="superior", cost_weight=50.0).judge(quality, cost).passed


def test_a_gate_that_cannot_see_says_so() -> None:
    report = Gate().judge(differences(300, 0.0, seed=3), np.full(300, -0.001), labelled_rows=120)
    assert not report.passed
    assert report.underpowered
    assert report.required_rows > 1_000
    assert "collect more labels" in report.text
    assert f"{report.required_rows:,}" in report.text
    assert report.as_dict()["checks"][0]["estimate"]["n"] == 300


@pytest.mark.parametrize("mode", ["save", "superior"])
def test_the_stated_power_and_size_hold(mode: Mode) -> None:
    """At the required rows the gate passes about as often as it says."""
    gain = 0.0 if mode == "save" else 0.02
    gate = Gate(mode=mode)
    cost = np.full(2_000, -0.001)
    rows = gate.judge(differences(2_000, gain, seed=4), cost).required_rows
    trials = 400
    cost = np.full(rows, -0.001)
    passed = sum(
        gate.judge(differences(rows, gain, seed=10 + i), cost).passed for i in range(trials)
    )
    # Five standard errors of a binomial, and three points for the estimated variance in `rows`.
    assert abs(passed / trials - 0.8) < 5 * np.sqrt(0.8 * 0.2 / trials) + 0.03


@pytest.mark.parametrize("peeking", ["sequence", "spending"])
def test_peeking_after_every_round_keeps_the_error_rate(peeking: Peeking) -> None:
    gate = Gate(mode="superior", peeking=peeking)
    trials, wrong = 400, 0
    for i in range(trials):
        quality = differences(4_000, 0.0, seed=1_000 + i)
        looks = ((n, k + 1) for k, n in enumerate(range(400, 4_001, 400)))
        wrong += any(gate.judge(quality[:n], np.zeros(n), look=k).passed for n, k in looks)
    assert binomtest(wrong, trials, 0.025, alternative="greater").pvalue > 1e-4


def test_looking_repeatedly_without_correction_does_not() -> None:
    gate = Gate(mode="superior")
    trials, wrong = 400, 0
    for i in range(trials):
        quality = differences(4_000, 0.0, seed=1_000 + i)
        wrong += any(gate.judge(quality[:n], np.zeros(n)).passed for n in range(400, 4_001, 400))
    assert binomtest(wrong, trials, 0.025, alternative="greater").pvalue < 1e-4


def test_clusters_count_once() -> None:
    quality = differences(3_000, 0.02, seed=5)
    cost = np.zeros(3_000)
    alone = Gate(mode="superior").judge(quality, cost)
    tripled = Gate(mode="superior").judge(
        np.repeat(quality, 3), np.repeat(cost, 3), group_id=np.repeat(np.arange(3_000), 3)
    )
    assert tripled.checks[0].estimate.low == pytest.approx(alone.checks[0].estimate.low)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="mode must be"):
        Gate(mode="best")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="margin and gain > 0"):
        Gate(margin=0.0)
    with pytest.raises(DataError, match="finite"):
        Gate().judge(np.array([np.nan, 1.0]), np.zeros(2))
    with pytest.raises(DataError, match="at least two groups"):
        Gate().judge(np.ones(2), np.zeros(2), group_id=np.zeros(2, dtype=int))


def test_traffic_shift_counts_moved_requests() -> None:
    shift = traffic_shift(np.eye(3)[[0, 0, 1, 2]], np.eye(3)[[0, 1, 1, 1]])
    assert shift.before.tolist() == [0.5, 0.25, 0.25]
    assert shift.after.tolist() == [0.25, 0.75, 0.0]
    assert shift.moved == 0.5


@pytest.mark.parametrize(
    ("gain", "n", "verdict", "says"),
    [
        (0.03, 20_000, "better", "verdict: better"),
        (0.0, 20_000, "not worse", "verdict: not worse"),
        (-0.065, 4_000, "shown to be worse", "more labels of this router will not change that"),
        (0.0, 300, "can't tell", "collect more labels"),
    ],
)
def test_four_things_are_told_apart(gain: float, n: int, verdict: str, says: str) -> None:
    report = Gate().judge(differences(n, gain, seed=7), np.full(n, -0.001))
    assert report.verdict == report.as_dict()["verdict"] == verdict
    assert says in report.text
    assert ("collect more labels" in report.text) == (verdict == "can't tell")
    assert report.passed == (verdict in ("better", "not worse"))


def test_better_at_a_higher_cost_is_said_so() -> None:
    report = Gate().judge(differences(20_000, 0.03, seed=8), np.full(20_000, 0.001))
    assert (report.passed, report.verdict) == (False, "better")
    assert "but not at a lower cost" in report.text


@pytest.mark.parametrize("gain", [0.0, -0.011])
def test_wrong_verdicts_are_as_rare_as_stated(gain: float) -> None:
    """No better where nothing is gained, no worse where nothing is lost: 2.5 % each."""
    trials, cost = 600, np.full(1_500, -0.001)
    said = [Gate().judge(differences(1_500, gain, seed=100 + i), cost) for i in range(trials)]
    limit = 0.025 + 4.0 * np.sqrt(0.025 * 0.975 / trials)
    assert sum(one.verdict == "better" for one in said) / trials < limit
    if gain == 0.0:
        assert sum(one.verdict == "shown to be worse" for one in said) / trials < limit
    else:  # beyond the margin of a point: not worse would be wrong
        assert sum(one.passed for one in said) / trials < limit
