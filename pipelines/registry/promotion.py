"""May a challenger replace the champion: parity, latency, support by the log, paired statistics."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from pipelines.config import PromoteConfig
from router_ml.errors import GateError
from router_ml.evaluation.gate.doubly_robust import Rival
from router_ml.evaluation.gate.gate import Gate, GateReport
from router_ml.evaluation.gate.pairing import PairedRows
from router_ml.evaluation.intervals import Estimate
from router_ml.export.parity import MIN_EQUAL_DECISIONS, TOLERANCE
from router_ml.features.query import Query
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray

_REPEATS: Final = 3


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that must hold besides the statistics."""

    name: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Beside:
    """The challenger beside today, the best constant or the hull; decides nothing.

    Parameters
    ----------
    name : of the rival
    quality : difference, challenger minus rival, with two-sided bounds at the gate's level
    cost_ratio : the challenger's cost over the rival's; ``None`` where that is nothing
    verdict : in quality
    """

    name: str
    quality: Estimate
    cost_ratio: float | None
    verdict: str

    @property
    def text(self) -> str:
        """One line."""
        value, low, high = (100 * x for x in (self.quality.value, self.quality.low,
                                              self.quality.high))  # fmt: skip
        cost = "" if self.cost_ratio is None else f", {self.cost_ratio:.0%} of its cost"
        return (
            f"against {self.name}: quality {value:+.1f} points ({low:+.1f} to {high:+.1f})"
            f"{cost}: {self.verdict}"
        )


@dataclass(frozen=True, slots=True)
class PromotionReport:
    """What was asked, what the gate said, and what would change.

    Parameters
    ----------
    challenger : version judged
    champion : version it was judged against; before the first, today or a constant candidate
    conditions : parity, latency and support by the log
    gate : the paired comparison
    look : how many challengers this champion has been compared with, this one included
    shift : candidate to its share of requests under champion and challenger
    moved : share of requests that would be served by another candidate
    basis : where the numbers come from, in words
    override_by, override_reason : who promoted against the gate, and why; ``""`` = nobody
    beside : comparisons with today, the best constant and the hull
    propensity_source : ``logged``, ``estimated``, or ``none`` on a matrix
    advice : the budget that would spend what the opponent does, where another one is called for
    pending : whether a version that passed waits before it is promoted
    """

    challenger: str
    champion: str
    conditions: tuple[Condition, ...]
    gate: GateReport
    look: int
    shift: Mapping[str, tuple[float, float]]
    moved: float
    basis: str
    override_by: str = ""
    override_reason: str = ""
    beside: tuple[Beside, ...] = ()
    propensity_source: str = "none"
    advice: str = ""
    pending: bool = False

    @classmethod
    def unjudged(
        cls, names: tuple[str, str], config: PromoteConfig, reason: str, look: int
    ) -> PromotionReport:
        """Of a comparison that the data cannot carry at all, for an override."""
        gate = GateReport(
            passed=False,
            mode=config.mode,
            checks=(),
            effect=0.0,
            power=0.0,
            target_power=config.target_power,
            labelled_rows=0,
            required_rows=0,
        )
        return cls(
            challenger=names[0],
            champion=names[1],
            conditions=(Condition("data", False, reason),),
            gate=gate,
            look=look,
            shift={},
            moved=0.0,
            basis="no data that can carry a comparison",
        )

    @property
    def passed(self) -> bool:
        """Whether every condition holds and the comparison passed."""
        return self.gate.passed and all(condition.passed for condition in self.conditions)

    @property
    def accepted(self) -> bool:
        """Whether the challenger may become champion: by the gate, or by override."""
        return self.passed or bool(self.override_by)

    @property
    def promoted(self) -> bool:
        """Whether it became champion."""
        return self.accepted and not self.pending

    @property
    def text(self) -> str:
        """Readable report."""
        lines = [
            f"Version {self.challenger} against {self.champion} on {self.basis}; comparison number "
            f"{self.look} with this champion",
            *(f"  [{'ok' if c.passed else 'no'}] {c.reason}" for c in self.conditions),
            self.gate.text,
            *(f"  {one.text}" for one in self.beside),
            *([f"  {self.advice}"] if self.advice else []),
            f"What would change: {self.moved:.1%} of requests go elsewhere. Shares:",
        ]
        moved = sorted(self.shift.items(), key=lambda item: item[1][0] - item[1][1])
        lines += [
            f"  {name}: {before:.1%} -> {after:.1%}"
            for name, (before, after) in moved
            if max(before, after) >= 0.001
        ]
        if self.promoted:
            lines.append(f"Version {self.challenger} is champion now.")
        elif self.accepted:
            lines.append(f"Version {self.challenger} may become champion.")
        if self.override_by:
            lines.append(f"Overridden by {self.override_by}: {self.override_reason}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able dictionary."""
        return {
            "passed": self.passed,
            "promoted": self.promoted,
            "challenger": self.challenger,
            "champion": self.champion,
            "basis": self.basis,
            "look": self.look,
            "conditions": {
                c.name: {"passed": c.passed, "reason": c.reason} for c in self.conditions
            },
            "gate": self.gate.as_dict(),
            "shift": {name: list(shares) for name, shares in self.shift.items()},
            "moved": self.moved,
            "verdict": self.gate.verdict,
            "beside": [
                {
                    "name": one.name,
                    "quality": one.quality.as_dict(),
                    "cost_ratio": one.cost_ratio,
                    "verdict": one.verdict,
                }
                for one in self.beside
            ],
            "propensity_source": self.propensity_source,
            "advice": self.advice,
            "override_by": self.override_by,
            "override_reason": self.override_reason,
        }

    def overridden(self, by: str, reason: str) -> PromotionReport:
        """The same report with the name of who promotes all the same; unchanged where it passed."""
        if self.passed or not by:
            return self
        return replace(self, override_by=by, override_reason=reason)

    def require_promoted(self) -> None:
        """GateError with the whole report, unless the challenger became champion."""
        if not self.promoted:
            raise GateError(f"the gate said no; champion stays.\n{self.text}")


def judge(
    challenger: Runtime,
    champion: Runtime | None,
    config: PromoteConfig,
    *,
    names: tuple[str, str],
    parity: Mapping[str, Any] | None,
    rows: PairedRows,
    look: int = 1,
) -> PromotionReport:
    """Judge a challenger by parity, latency, support by the data and paired statistics.

    Parameters
    ----------
    champion : ``None`` = compare with ``rows.opponent``
    names : versions of challenger and champion, for the report
    parity : what ``export`` proved about the challenger's bundle
    rows : challenger and champion side by side
    look : see :class:`router_ml.evaluation.gate.gate.Gate`
    """
    gate = Gate(
        mode=config.mode,
        margin=config.margin,
        alpha=config.alpha,
        cost_weight=config.cost_weight,
        gain=config.gain,
        target_power=config.target_power,
        peeking=config.peeking,
    )

    def compare(quality_difference: FloatArray) -> GateReport:
        return gate.judge(
            quality_difference,
            rows.cost_difference,
            group_id=rows.group_id,
            labelled_rows=rows.labelled_rows,
            look=look,
            guards=rows.guards,
        )

    verdict = compare(rows.quality_difference)
    unjudged = rows.worst_quality_difference
    opponent = f"version {names[1]}" if champion is not None else rows.opponent
    return PromotionReport(
        challenger=names[0],
        champion=opponent,
        conditions=(
            check_parity_report(parity, challenger.manifest.bundle_id),
            check_latency(challenger, rows.queries, config),
            check_support(rows, None if unjudged is None else compare(unjudged)),
        ),
        gate=verdict,
        look=look,
        shift={
            name: (float(before), float(after))
            for name, before, after in zip(
                rows.candidates, rows.shift.before, rows.shift.after, strict=True
            )
        },
        moved=rows.shift.moved,
        basis=rows.basis,
        beside=tuple(_beside(rival, rows, config) for rival in rows.rivals),
        propensity_source=rows.propensity_source,
        advice=_advice(opponent, verdict, rows),
    )


def _advice(opponent: str, verdict: GateReport, rows: PairedRows) -> str:
    """Another budget: a larger one where a cheaper router lost quality, or a smaller one."""
    if verdict.passed or verdict.mode != "save" or not rows.rivals:
        return ""
    more = float(rows.cost_difference.mean())
    if (more >= 0.0) != verdict.checks[0].passed:  # worse at more, or held at less, by chance
        return ""
    rival = rows.rivals[0]
    spent = rival.cost_usd + float(rival.cost_difference.mean())
    budget = 0.9 * (spent - more)
    return (
        f"{opponent} costs ${spent - more:.3g} a request, this router ${spent:.3g}: trained with "
        f"policy {{name: budget, budget_usd: {budget:.3g}}}, it spends a tenth less than {opponent}"
    )


def _beside(rival: Rival, rows: PairedRows, config: PromoteConfig) -> Beside:
    gate = Gate(margin=config.margin, alpha=config.alpha)
    report = gate.judge(rival.quality_difference, rival.cost_difference, group_id=rows.group_id)
    ratio = None
    if rival.cost_usd > 0.0:
        ratio = 1.0 + float(rival.cost_difference.mean()) / rival.cost_usd
    return Beside(rival.name, report.checks[0].estimate, ratio, report.verdict)


def check_parity_report(parity: Mapping[str, Any] | None, bundle_id: str) -> Condition:
    """Whether export proved that this very bundle agrees with its estimators."""
    if parity is None:
        return Condition("parity", False, "no parity report; export the bundle with router-ml")
    if parity.get("bundle_id") != bundle_id:
        reason = f"the parity report is of bundle {parity.get('bundle_id')}, not of {bundle_id}"
        return Condition("parity", False, reason)
    worst = max(*parity["max_error"].values(), parity["batch_error"])
    equal, moved = parity["equal_decisions"], parity.get("moved", 0.0)
    reason = (
        f"parity on {parity['n']:,} queries: largest error {worst:.1e} (limit {TOLERANCE:.0e}), "
        f"{equal:.2%} of decisions equal (at least {MIN_EQUAL_DECISIONS:.1%})"
    )
    if moved:
        reason += f"; {moved:.2%} fell into another leaf by their embedding's last bits"
    return Condition("parity", bool(worst <= TOLERANCE and equal >= MIN_EQUAL_DECISIONS), reason)


def check_latency(runtime: Runtime, queries: Sequence[Query], config: PromoteConfig) -> Condition:
    """Time single decisions on real queries; the best of three, to leave the neighbours out."""
    step = max(1, len(queries) // config.latency_queries)
    sample = queries[::step][: config.latency_queries]
    for query in sample[:10]:
        runtime.decide(query)
    seconds = np.array([min(_seconds(runtime, q) for _ in range(_REPEATS)) for q in sample])
    p50, p99 = (float(x) for x in np.quantile(seconds * 1e3, [0.5, 0.99]))
    return Condition(
        "latency",
        p50 <= config.max_p50_ms and p99 <= config.max_p99_ms,
        f"decision in {p50:.2f} ms at the median (limit {config.max_p50_ms:g}), {p99:.2f} ms at "
        f"the 99th percentile (limit {config.max_p99_ms:g}), {len(sample)} queries",
    )


def _seconds(runtime: Runtime, query: Query) -> float:
    begin = time.perf_counter()
    runtime.decide(query)
    return time.perf_counter() - begin


def check_support(rows: PairedRows, worst: GateReport | None) -> Condition:
    """Whether the log can judge the traffic that would move, or need not.

    What it cannot judge is bounded, not estimated: if the comparison passes with the worst outcome
    for all such requests, they do not hold the challenger up. So a champion that has collapsed can
    be replaced while one of the candidates is still little known.

    Parameters
    ----------
    worst : the comparison on ``rows.worst_quality_difference``; ``None`` where all can be judged
    """
    if worst is None:
        return Condition("support", True, "the data can judge the traffic that would move")
    check = worst.checks[0]
    sign = ">" if check.passed else "<="
    reason = (
        f"the log cannot judge {rows.unsupported}; if all of that were answered wrongly there and "
        f"rightly where it is now, the lower bound of the {check.name} difference would be "
        f"{check.estimate.low:+.3g} {sign} {check.threshold:+.3g}"
    )
    return Condition("support", worst.passed, reason)
