"""The promotion gate's statistics: paired, clustered, honest about power and about peeking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from router_ml.errors import ConfigError
from router_ml.evaluation.intervals import Estimate, cluster_mean, skewness
from router_ml.evaluation.off_policy.tails import MIN_TAIL
from router_ml.types.arrays import FloatArray, IntArray

if TYPE_CHECKING:  # it needs SciPy, and configs read the defaults here
    from router_ml.evaluation.off_policy.tail_guards import TailGuard

Mode = Literal["save", "superior", "refresh"]
Peeking = Literal["once", "sequence", "spending"]
Verdict = Literal["better", "not worse", "shown to be worse", "can't tell"]

DEFAULT_MARGIN: Final = 0.01
"""Quality that may be lost: of the gate, of its config, and in the sentence that is printed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of the gate.

    Parameters
    ----------
    name : what is compared
    estimate : paired difference, challenger minus champion, with its two one-sided bounds
    threshold : the number that the bound must clear
    passed : whether it does
    reason : the comparison in words
    """

    name: str
    estimate: Estimate
    threshold: float
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate said and why.

    Parameters
    ----------
    passed : all checks passed
    mode : ``save``, ``superior`` or ``refresh``
    checks : the conditions, quality or utility first
    effect : true difference for which ``power`` is stated
    power : probability with which the first check passes if that is the truth
    labelled_rows : labelled rows behind the decision
    required_rows : labelled rows at which that power reaches ``target_power``
    """

    passed: bool
    mode: Mode
    checks: tuple[Check, ...]
    effect: float
    power: float
    target_power: float
    labelled_rows: int
    required_rows: int

    @property
    def verdict(self) -> Verdict:
        """What the bounds of the first check show, whatever became of the others.

        ``better``: the lower bound is above zero. ``not worse``: it is above the threshold.
        ``shown to be worse``: the upper bound is below zero.
        """
        if not self.checks:
            return "can't tell"
        check = self.checks[0]
        if check.estimate.low > 0.0:
            return "better"
        if check.passed:
            return "not worse"
        return "shown to be worse" if check.estimate.high < 0.0 else "can't tell"

    @property
    def underpowered(self) -> bool:
        """Whether a "no" may only mean that the data cannot show it."""
        return not self.passed and self.power < self.target_power

    @property
    def text(self) -> str:
        """Readable report, one line per check and one about power."""
        if not self.checks:
            return f"Gate ({self.mode}): NOT JUDGED"
        lines = [f"Gate ({self.mode}): {'PASSED' if self.passed else 'NOT PASSED'}"]
        lines += [f"  [{'ok' if c.passed else 'no'}] {c.reason}" for c in self.checks]
        lines.append(
            f"  power: {self.power:.0%} to pass at a true difference of {self.effect:+.3g}, from "
            f"{self.labelled_rows:,} labelled rows; {self.target_power:.0%} needs about "
            f"{self.required_rows:,}"
        )
        lines.append(f"  verdict: {self._said()}")
        return "\n".join(lines)

    def _said(self) -> str:
        """The verdict, and what follows from it."""
        check, verdict = self.checks[0], self.verdict
        if verdict == "shown to be worse":
            return (
                f"shown to be worse: the upper bound of the {check.name} difference is "
                f"{check.estimate.high:+.3g}; more labels of this router will not change that"
            )
        if verdict == "can't tell":
            needs = (
                f"about {self.required_rows:,} labelled rows would tell"
                if self.required_rows > self.labelled_rows
                else "a larger difference, or another margin, would tell"
            )
            said = "can't tell: " + needs
            return said + "; collect more labels" if self.underpowered else said
        if not self.passed:
            lacking = [
                "not at a lower cost"
                if one.name == "cost_usd"
                else f"{one.name} is not shown to be within its limit"
                for one in self.checks[1:]
                if not one.passed
            ]
            return f"{verdict} in {check.name}, but {' and '.join(lacking)}"
        return verdict

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able dictionary, for tags and reports."""
        return {
            "passed": self.passed,
            "verdict": self.verdict,
            "mode": self.mode,
            "checks": [
                {
                    "name": c.name,
                    "estimate": c.estimate.as_dict(),
                    "threshold": c.threshold,
                    "passed": c.passed,
                    "reason": c.reason,
                }
                for c in self.checks
            ],
            "effect": self.effect,
            "power": self.power,
            "labelled_rows": self.labelled_rows,
            "required_rows": self.required_rows,
        }


class Gate:
    r"""Paired comparison of a challenger with the champion on the same rows.

    *save*: the lower one-sided bound of the quality difference is above ``-margin`` and the upper
    bound of the cost difference below zero. Both must hold, so each is tested at ``alpha``.
    *superior*: the lower bound of the difference of :math:`q - \lambda c` is above zero.
    *refresh*: that lower bound is above ``-margin`` and the estimate itself not below zero, for the
    same recipe learned from more log, whose gains are too small to be shown one by one. Many
    refreshes may add up to a loss that none of them shows, so watch the champion beside its
    predecessor.

    Bounds are :math:`\bar d \mp m \cdot \mathrm{se}` with the cluster-robust standard error, and
    the multiplier :math:`m` says how often one looks:

    - ``once``: Student's quantile at ``alpha``, one look.
    - ``sequence``: the same pair of routers judged again and again while rows accumulate. The
      one-sided asymptotic confidence sequence [1]_ holds at all times at once:

      .. math:: m = \sqrt{\frac{2(G\rho^2 + 1)}{G\rho^2}
                \log\left(1 + \frac{\sqrt{G\rho^2 + 1}}{2\alpha}\right)}

      with :math:`G` clusters, and :math:`\rho` such that it is tightest near ``plan_groups``.
    - ``spending``: a new challenger each round. Round :math:`r` may spend
      :math:`\alpha / (r (r + 1))`; over any number of rounds these sum to less than ``alpha``.

    Parameters
    ----------
    mode : {"save", "superior", "refresh"}, default="save"
    margin : float, default=0.01
        Quality that may be lost in mode ``save``, utility in mode ``refresh``, > 0.
    alpha : float, default=0.025
        One-sided error rate, in (0, 0.5).
    cost_weight : float, default=0.0
        :math:`\lambda` of the other modes, quality per dollar, fixed beforehand.
    gain : float, default=0.02
        True utility gain for which mode ``superior`` states its power.
    target_power : float, default=0.8
    peeking : {"once", "sequence", "spending"}, default="once"
    plan_groups : int, default=2000
        Clusters at which a confidence sequence is tightest.

    References
    ----------
    .. [1] Waudby-Smith et al., "Time-uniform central limit theory and asymptotic confidence
       sequences", Annals of Statistics, 2024, one-sided form.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> quality = rng.choice([-1.0, 0.0, 1.0], size=20_000, p=[0.02, 0.96, 0.02])
    >>> report = Gate().judge(quality, cost_difference=np.full(20_000, -0.001))
    >>> report.passed
    True
    """

    def __init__(
        self,
        *,
        mode: Mode = "save",
        margin: float = DEFAULT_MARGIN,
        alpha: float = 0.025,
        cost_weight: float = 0.0,
        gain: float = 0.02,
        target_power: float = 0.8,
        peeking: Peeking = "once",
        plan_groups: int = 2000,
    ) -> None:
        if mode not in get_args(Mode):
            raise ConfigError(f"mode must be one of {', '.join(get_args(Mode))}, got {mode!r}")
        if peeking not in ("once", "sequence", "spending"):
            raise ConfigError(f"peeking must be once, sequence or spending, got {peeking!r}")
        if not 0.0 < alpha < 0.5 or margin <= 0.0 or gain <= 0.0:
            raise ConfigError(
                "alpha must be in (0, 0.5), margin and gain > 0, got "
                f"alpha={alpha}, margin={margin}, gain={gain}"
            )
        self.mode = mode
        self.margin = margin
        self.alpha = alpha
        self.cost_weight = cost_weight
        self.gain = gain
        self.target_power = target_power
        self.peeking = peeking
        self.plan_groups = plan_groups

    def judge(
        self,
        quality_difference: FloatArray,
        cost_difference: FloatArray,
        *,
        group_id: IntArray | None = None,
        labelled_rows: int | None = None,
        look: int = 1,
        guards: Sequence[TailGuard] = (),
    ) -> GateReport:
        """Judge a challenger.

        Parameters
        ----------
        quality_difference, cost_difference : float arrays, shape (n,)
            Challenger minus champion on every row: the outcomes' difference where both are known,
            or the difference of doubly robust row values (whose mean is the policy value) of a log.
        group_id : int array, shape (n,), the independent unit
        labelled_rows : rows with a quality label; default: n
        look : round, from 1; used by ``spending`` alone
        guards : tails that may not be worse by more than their limits. All checks must pass, so
            each is tested at ``alpha`` and all together err no more often
        """
        from scipy.special import ndtr, ndtri  # not at the top: configs read the defaults here

        labelled = len(quality_difference) if labelled_rows is None else labelled_rows
        if self.mode == "save":
            values, threshold = quality_difference, -self.margin
            effect, distance = 0.0, self.margin
        else:
            values, threshold = quality_difference - self.cost_weight * cost_difference, 0.0
            effect, distance = self.gain, self.gain
        if self.mode == "refresh":
            threshold, effect, distance = -self.margin, 0.0, self.margin
        name = "quality" if self.mode == "save" else "utility"
        checks = [_check(name, self._bounds(values, group_id, look), threshold, above=True)]
        if self.mode == "save":
            cost = self._bounds(cost_difference, group_id, look)
            checks.append(_check("cost_usd", cost, 0.0, above=False))
        if self.mode == "refresh":
            checks.append(_at_least(name, checks[0].estimate))
        checks += [self._guarded(guard, group_id, look) for guard in guards]
        _, error, groups = cluster_mean(values, group_id)
        multiplier = self.multiplier(groups, look)
        needed = (multiplier + float(ndtri(self.target_power))) * error / distance
        return GateReport(
            passed=all(check.passed for check in checks),
            mode=self.mode,
            checks=tuple(checks),
            effect=effect,
            power=float(ndtr(distance / error - multiplier)) if error > 0 else 1.0,
            target_power=self.target_power,
            labelled_rows=labelled,
            required_rows=max(1, math.ceil(labelled * needed**2)),
        )

    def multiplier(self, groups: int, look: int = 1) -> float:
        """Standard errors between the mean and a one-sided bound."""
        from scipy.special import stdtrit

        if self.peeking == "sequence":
            # Near-optimal rho for a two-sided sequence at 2 alpha, tightest at plan_groups.
            log = -2.0 * math.log(2.0 * self.alpha)
            scaled = groups * (log + math.log(log + 1.0)) / self.plan_groups
            growth = math.log1p(math.sqrt(scaled + 1.0) / (2.0 * self.alpha))
            return math.sqrt(2.0 * (scaled + 1.0) / scaled * growth)
        alpha = self.alpha / (look * (look + 1)) if self.peeking == "spending" else self.alpha
        return float(stdtrit(groups - 1, 1.0 - alpha))

    def _guarded(self, guard: TailGuard, group_id: IntArray | None, look: int) -> Check:
        """Whether a tail is shown to be within its limit."""
        tail = guard.tail
        mean, error, groups = cluster_mean(guard.difference, group_id)
        rows = max(2, min(groups, int(guard.rows)))
        harm = skewness(guard.difference, group_id) * (1.0 if tail.as_ratio else -1.0)
        m = self.multiplier(rows, look)
        # A studentised mean of rows skewed towards the harm strays further (first Edgeworth term).
        reach = (m + max(harm, 0.0) * (2.0 * m**2 + 1.0) / 6.0) * error
        bounds = Estimate(mean, mean - reach, mean + reach, len(guard.difference))
        passed = bounds.high < guard.threshold if tail.as_ratio else bounds.low > guard.threshold
        said = f"{tail.name} {guard.new:.4g} against {guard.old:.4g}"
        if guard.rows < MIN_TAIL:
            reason = f"{said}: {guard.rows:.1f} effective requests in the tail, {MIN_TAIL:g} needed"
            return Check(tail.name, bounds, guard.threshold, False, reason)
        if tail.as_ratio:
            ratio, sign = math.exp(bounds.high), "<" if passed else ">="
            reason = f"{said}: upper bound of the ratio {ratio:.3g} {sign} {guard.limit:g}"
        else:
            sign = ">" if passed else "<="
            reason = (
                f"{said}: lower bound of the difference {bounds.low:+.3g} {sign} {-guard.limit:+g}"
            )
        return Check(tail.name, bounds, guard.threshold, bool(passed), reason)

    def _bounds(self, values: FloatArray, group_id: IntArray | None, look: int) -> Estimate:
        mean, error, groups = cluster_mean(values, group_id)
        reach = self.multiplier(groups, look) * error
        return Estimate(mean, mean - reach, mean + reach, len(values))


def _at_least(name: str, estimate: Estimate) -> Check:
    """The estimate itself is not below zero."""
    passed = estimate.value >= 0.0
    reason = f"estimated {name} difference {estimate.value:+.3g} {'>=' if passed else '<'} 0"
    return Check(f"estimated {name}", estimate, 0.0, passed, reason)


def _check(name: str, estimate: Estimate, threshold: float, *, above: bool) -> Check:
    """Lower bound above the threshold, or upper bound below it."""
    bound = estimate.low if above else estimate.high
    passed = bound > threshold if above else bound < threshold
    sign = (">" if above else "<") if passed else ("<=" if above else ">=")
    reason = (
        f"{name} difference {estimate.value:+.3g}, {'lower' if above else 'upper'} bound "
        f"{bound:+.3g} {sign} {threshold:+.3g}"
    )
    return Check(name, estimate, threshold, bool(passed), reason)
