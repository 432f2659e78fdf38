"""Print the numbers pinned in test_evaluation.py; plain Python loops, no project code, no numpy.

Run ``python tests/golden/generate_evaluation.py``. Data come from a linear congruential generator,
so that the test can rebuild them exactly.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from itertools import pairwise


def show(name: str, value: float) -> None:
    """One line of output."""
    sys.stdout.write(f"{name} {value!r}\n")


def uniforms(seed: int, n: int) -> list[float]:
    """Numerical Recipes' generator, in [0, 1)."""
    out, state = [], seed
    for _ in range(n):
        state = (1664525 * state + 1013904223) % 2**32
        out.append(state / 2**32)
    return out


def data(n: int = 203) -> tuple[list[float], list[int], list[int]]:
    """Score, weak and strong outcomes: the strong candidate helps more where the score is high."""
    score, u, v = uniforms(1, n), uniforms(2, n), uniforms(3, n)
    weak = [int(a < 0.7 - 0.4 * s) for a, s in zip(u, score, strict=True)]
    strong = [int(b < 0.8) for b in v]
    return score, weak, strong


def interpolate(x: float, xs: list[float], ys: list[float]) -> float:
    """First bracketing pair by bisection, as numpy does, for xs that ascend almost."""
    if x > xs[-1]:
        return ys[-1]
    if x < xs[0]:
        return ys[0]
    low, high = 0, len(xs)
    while low < high:
        mid = (low + high) // 2
        if x >= xs[mid]:
            low = mid + 1
        else:
            high = mid
    j = low - 1
    if j == len(xs) - 1 or xs[j] == x:
        return ys[j]
    return (ys[j + 1] - ys[j]) / (xs[j + 1] - xs[j]) * (x - xs[j]) + ys[j]


def routellm() -> None:
    """APGR and CPT of the published protocol."""
    score, weak, strong = data()
    n, ordered = len(score), sorted(score)
    points = []
    for i in range(11):
        position = i / 10 * (n - 1)
        below = min(int(position), n - 2)
        edge = ordered[below] + (position - below) * (ordered[below + 1] - ordered[below])
        routed = [s >= edge if i < 10 else s > edge for s in score]
        right = sum(b if r else a for r, a, b in zip(routed, weak, strong, strict=True))
        points.append((sum(routed) / n, right / n))
    points.sort(key=lambda point: point[0])
    share, quality = [p[0] for p in points], [p[1] for p in points]
    auc = sum(
        (share[i + 1] - share[i]) * (quality[i] + quality[i + 1]) / 2 for i in range(len(share) - 1)
    )
    w, s = sum(weak) / n, sum(strong) / n
    show("apgr", (auc - w) / (s - w))
    for level in (0.2, 0.5, 0.8):
        show(f"cpt{round(100 * level)}", interpolate(w + level * (s - w), quality, share))


def calibration() -> None:
    """ECE with ten equal-mass bins, and Brier; exact fractions of the doubles."""
    p, u = [Fraction(x) for x in uniforms(4, 200)], uniforms(5, 200)
    y = [int(b < float(a) ** 1.5) for a, b in zip(p, u, strict=True)]
    order = sorted(range(200), key=lambda i: p[i])
    zero = Fraction(0)
    bins = [order[b * 20 : b * 20 + 20] for b in range(10)]
    error = sum((abs(sum((p[i] - y[i] for i in rows), zero)) for rows in bins), zero)
    show("ece", float(error / 200))
    show("brier", float(sum(((a - b) ** 2 for a, b in zip(p, y, strict=True)), zero) / 200))


def hull() -> None:
    """AIQ by brute force: the hull at c is the best segment between two points around c."""
    points = [(Fraction(c), Fraction(q)) for c, q in ((1, 4), (2, 7), (3, 7), (5, 6), (6, 9))]

    def height(c: Fraction) -> Fraction:
        best = max(q for x, q in points if x <= c)
        for x1, q1 in points:
            for x2, q2 in points:
                if x1 <= c < x2:
                    best = max(best, q1 + (q2 - q1) * (c - x1) / (x2 - x1))
        return best

    steps = 700
    grid = [Fraction(1) + Fraction(7 * i, steps) for i in range(steps + 1)]
    area = sum((height(a) + height(b)) / 2 * (b - a) for a, b in pairwise(grid))
    show("aiq to 8", float(area / 8))


if __name__ == "__main__":
    routellm()
    calibration()
    hull()
