"""The e-detector: its error rate, that it is the same however fed, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.monitoring.detector import ShiftDetector, log_sum
from router_ml.monitoring.signals import Kind, make_detector
from router_ml.types.arrays import FloatArray

KINDS: tuple[Kind, ...] = ("binary", "rare", "score", "amount", "share")


def outcomes(kind: Kind, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Predictions, and outcomes that are as predicted."""
    if kind in ("binary", "share"):
        predicted = rng.uniform(0.3, 0.95, n)
        return predicted, (rng.random(n) < predicted).astype(float)
    if kind == "rare":
        return np.full(n, 0.5), (rng.random(n) < 0.02).astype(float)
    if kind == "score":
        return np.full(n, 0.7), np.clip(0.7 + 0.2 * rng.standard_t(4, n), 0.0, 1.0)
    return np.full(n, 800.0), 700.0 * np.exp(0.4 * rng.standard_t(4, n))


@pytest.mark.parametrize("kind", KINDS)
def test_quiet_streams_rarely_show_much(kind: Kind) -> None:
    peaks = []
    for seed in range(40):
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        peaks.append(make_detector(kind).update(*outcomes(kind, 400, rng)).max())
    # Ville: at most a share 0.1 above log 10; 10 of 40 is three standard errors more.
    assert (np.array(peaks) > np.log(10.0)).sum() <= 10
    assert (np.array(peaks) > np.log(1_000.0)).sum() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_knows_does_not_depend_on_how_it_is_fed(kind: Kind) -> None:
    predicted, observed = outcomes(kind, 330, np.random.default_rng(1))
    whole = make_detector(kind).update(predicted, observed)
    parts = make_detector(kind)
    path = []
    for begin, end in ((0, 7), (7, 100), (100, 101), (101, 330)):
        path.append(parts.update(predicted[begin:end], observed[begin:end]))
        again = make_detector(kind)
        again.load(parts.state())  # as after a restart of the process
        parts = again
    np.testing.assert_allclose(np.concatenate(path), whole, rtol=1e-9)


def test_a_miscalibrated_router_is_not_a_change() -> None:
    rng, predicted = np.random.default_rng(2), np.full(3_000, 0.9)
    detector = make_detector("binary")
    path = detector.update(predicted, (rng.random(3_000) < 0.85).astype(float))
    assert path.max() < np.log(100.0)


@pytest.mark.parametrize(
    ("kind", "spoil", "within"),
    [
        ("binary", lambda y, rng: y * (rng.random(len(y)) < 0.4), 60),
        ("rare", lambda y, rng: (rng.random(len(y)) < 0.4).astype(float), 60),
        ("score", lambda y, rng: 0.5 * y, 60),
        ("amount", lambda y, rng: 2.0 * y, 60),
    ],
)
def test_large_changes_are_found_soon(kind: Kind, spoil: object, within: int) -> None:
    delays = []
    for seed in range(5):
        rng = np.random.default_rng([seed, 9])
        detector = make_detector(kind)
        detector.update(*outcomes(kind, 1_000, rng))
        predicted, observed = outcomes(kind, 200, rng)
        path = detector.update(predicted, spoil(observed, rng))  # type: ignore[operator]
        delays.append(int(np.argmax(path > 8.0)) if path.max() > 8.0 else 200)
    assert np.median(delays) <= within


def test_a_restart_forgets_the_evidence_and_keeps_the_outcomes() -> None:
    detector = make_detector("binary")
    detector.update(*outcomes("binary", 300, np.random.default_rng(3)))
    detector.restart(20)
    assert isinstance(detector, ShiftDetector)
    assert (detector.n, len(detector.predicted)) == (20, 20)
    assert detector.log_e == -np.inf


def test_sums_of_exponentials() -> None:
    assert log_sum(np.log([1.0, 2.0, 5.0])) == pytest.approx(np.log(8.0))
    assert log_sum(np.array([-np.inf, 0.0])) == pytest.approx(0.0)
    assert log_sum(np.array([-np.inf])) < -1e299
