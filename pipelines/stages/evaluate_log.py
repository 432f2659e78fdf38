"""Judge a bundle by a log's test split: every constant, random and the router, off policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from pipelines.config import EvaluateConfig
from pipelines.console import console, print_table, progress
from pipelines.stages import breakdown
from pipelines.stages.beside_today import beside_today, estimate_text, sentence
from router_ml.bundle.manifest import Manifest
from router_ml.data.outcomes import TrainingTable
from router_ml.errors import OverlapError
from router_ml.evaluation.calibration import ece_estimate
from router_ml.evaluation.columns import in_columns
from router_ml.evaluation.comparison import as_dict, budget_name
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.gate.doubly_robust import difference
from router_ml.evaluation.gate.gate import Gate
from router_ml.evaluation.hull import hull_mixture
from router_ml.evaluation.intervals import Estimate, bootstrap_mean
from router_ml.evaluation.logged import LogEvaluation, log_evaluation
from router_ml.evaluation.metrics import candidate_share, log_metrics
from router_ml.evaluation.off_policy.assessment import Assessment
from router_ml.evaluation.off_policy.distribution import TailValue
from router_ml.evaluation.off_policy.estimators import effective_sample_size
from router_ml.evaluation.off_policy.today import TODAY
from router_ml.features.query import Query
from router_ml.policies.base import Policy
from router_ml.policies.constant import constant_probs
from router_ml.policies.registry import from_dict
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray
from router_ml.types.predictions import Predictions

POLICY = "router"


def score(runtime: Runtime, queries: tuple[Query, ...]) -> Predictions:
    """Predictions of the bundle, with a progress bar."""
    with progress("scoring", len(queries)) as advance:
        return runtime.predict(queries, progress=advance)


def evaluate_log(
    config: EvaluateConfig,
    runtime: Runtime,
    table: TrainingTable,
    predictions: Predictions | None = None,
) -> dict[str, Any]:
    """Print and return what the log says about each policy, or why it cannot say anything.

    Parameters
    ----------
    predictions : of every request, held out of training; default: the bundle's own

    Raises
    ------
    DataError
        If the split has no labelled request.
    """
    with progress("scoring", len(set(table.query_id))) as advance:
        log = log_evaluation(runtime, table, predictions=predictions, progress=advance)
    names = runtime.candidates.names
    n, k = len(table), len(names)
    own = {name: constant_probs(n, k, i) for i, name in enumerate(names)}
    own["random"] = np.full((n, k), 1.0 / k)
    own[POLICY] = runtime.policy.action_probs(log.predictions, runtime.candidates)
    probs = {name: in_columns(p, runtime, table.candidates) for name, p in own.items()}
    found = {TODAY: log.assess_today(cost_weight=config.cost_weight)}
    unsupported: dict[str, str] = {}
    for name, p in probs.items():
        try:
            found[name] = log.assess(
                p, max_unsupported=config.max_unsupported, cost_weight=config.cost_weight
            )
        except OverlapError as error:
            unsupported[name] = str(error)
    hull = _add_hull(log, config, found)
    tails = _tails(log, probs, found, config.cost_weight)
    which = "the test split" if predictions is None else "the log, held out"
    _print(len(table), which, found, unsupported)
    _print_tails(tails)
    beside = _beside_today(log, probs[POLICY], found, config.margin)
    said = unsupported.get(POLICY, "") and f"The router is not judged: {unsupported[POLICY]}"
    today = {part: found[TODAY][part].estimates["DR"].value for part in ("quality", "cost_usd")}
    said = said or sentence(beside, **today)
    console.print(said, markup=False, highlight=False, soft_wrap=True)
    segments = [] if POLICY in unsupported else breakdown.on_log(log, probs[POLICY])
    if segments:
        breakdown.print_segments(segments, POLICY, TODAY)
    loggers = _loggers(log, probs[POLICY])
    gain = None if hull is None else _gain(log, probs[POLICY], hull)
    return {
        "kind": "log",
        "hull_gain": None if gain is None else gain.as_dict(),
        "rows": len(table),
        "propensities": table.propensity_source,
        "loggers": loggers,
        "policies": as_dict({name: log_metrics(parts) for name, parts in found.items()}),
        "assessments": {
            name: {part: one.as_dict() for part, one in parts.items()}
            for name, parts in found.items()
        },
        "unsupported": unsupported,
        "tails": {
            name: {tail: one.interval.as_dict() for tail, one in parts.items()}
            for name, parts in tails.items()
        },
        "effective_sample_size": {
            name: effective_sample_size(log.quality.weights(p)) for name, p in probs.items()
        },
        "ece": ece_estimate(log.predictions.quality, table.Y[:, :k], n_resamples=200).as_dict(),
        "shares": shares(names, own),
        "beside_today": beside,
        "candidates": list(log.table.candidates),
        "points": _points(log, runtime, config, found),
        "reliability": breakdown.reliability_data(
            names, log.predictions.quality, log.table.Y[:, :k]
        ),
        "segments": {"against": TODAY, "rows": [segment.as_dict() for segment in segments]},
        "verdict": said,
    }


def _tails(
    log: LogEvaluation,
    probs: Mapping[str, FloatArray],
    found: Mapping[str, Any],
    cost_weight: float,
) -> dict[str, dict[str, TailValue]]:
    """Tails of today and of every policy that the log can judge."""
    now = log.tails(probs[POLICY], today=True, cost_weight=cost_weight)
    judged = {name: p for name, p in probs.items() if name in found}
    return {TODAY: now} | {
        name: log.tails(p, cost_weight=cost_weight) for name, p in judged.items()
    }


def _print_tails(tails: Mapping[str, Mapping[str, TailValue]]) -> None:
    """The tail of latency, cost and quality, with intervals."""
    shown = {
        "latency_ms_p50": 1.0,
        "latency_ms_p95": 1.0,
        "latency_ms_p99": 1.0,
        "cost_usd_p95": 1e3,
        "quality_worst_5": 1.0,
    }
    known = [name for name in shown if any(name in parts for parts in tails.values())]
    rows = [
        (policy, *(_tail_text(parts.get(name), shown[name]) for name in known))
        for policy, parts in tails.items()
    ]
    heads = [name.replace("cost_usd_p95", "$ per 1,000 p95") for name in known]
    print_table("tails, off policy", ("policy", *heads), rows)


def _tail_text(tail: TailValue | None, scale: float) -> str:
    if tail is None:
        return "unknown"
    value, low, high = (
        f"{x:,.0f}" if 1_000.0 <= x < np.inf else f"{x:.4g}"
        for x in (scale * tail.value, scale * tail.interval.low, scale * tail.interval.high)
    )
    return f"{value} [{low}, {high}]"


def _loggers(log: LogEvaluation, probs: FloatArray) -> dict[str, Any] | None:
    """What balancing over several versions brings, said and returned; None of one version."""
    if (loggers := log.table.loggers) is None:
        return None
    apart = replace(log.quality, propensity=loggers.logged)
    own, balanced = (effective_sample_size(one.weights(probs)) for one in (apart, log.quality))
    text = (
        f"{loggers.text}. As one log they are worth {balanced:,.0f} effective requests to the "
        f"router, each by its own version's propensities {own:,.0f}."
    )
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    return {"text": text, "effective_sample_size": balanced, "effective_sample_size_apart": own}


def trained_budgets(manifest: Manifest, shares: Sequence[float]) -> dict[str, Policy]:
    """Policies that training solved at shares of the best constant's cost, those it has."""
    trained = manifest.training.get("budgets", {})
    return {
        budget_name(share): from_dict(trained[f"{share:g}"])
        for share in shares
        if f"{share:g}" in trained
    }


def _points(
    log: LogEvaluation,
    runtime: Runtime,
    config: EvaluateConfig,
    found: Mapping[str, Mapping[str, Assessment]],
) -> dict[str, Any]:
    """The router at the budgets of its training, where the log supports it, and the hull."""
    policies = trained_budgets(runtime.manifest, config.budget_shares)
    judged = [found[POLICY]] if POLICY in found else []
    for policy in policies.values():
        probs = policy.action_probs(log.predictions, runtime.candidates)
        with suppress(OverlapError):
            wide = in_columns(probs, runtime, log.table.candidates)
            judged.append(log.assess(wide, max_unsupported=config.max_unsupported))
    router, constants = (
        [(parts["quality"].estimates["DR"], parts["cost_usd"].estimates["DR"]) for parts in group]
        for group in (judged, [found[name] for name in log.table.candidates if name in found])
    )
    curve = None
    if constants:
        curve = Curve(
            np.array([cost.value for _, cost in constants]),
            np.array([quality.value for quality, _ in constants]),
        )
    return breakdown.points(router, curve)


def _add_hull(
    log: LogEvaluation, config: EvaluateConfig, found: dict[str, dict[str, Assessment]]
) -> FloatArray | None:
    """The best mixture of the constants that were judged, at the router's cost, shape (n, K)."""
    constants = [name for name in log.table.candidates if name in found]
    if POLICY not in found or not constants:
        return None
    value = np.array([found[c]["quality"].estimates["DR"].value for c in constants])
    cost = np.array([found[c]["cost_usd"].estimates["DR"].value for c in constants])
    shares = hull_mixture(value, cost, found[POLICY]["cost_usd"].estimates["DR"].value)
    if shares is None:
        return None
    probs = np.zeros((len(log.table), len(log.table.candidates)))
    for name, share in zip(constants, shares, strict=True):
        probs[:, log.table.candidates.index(name)] = share
    with suppress(OverlapError):
        found["hull"] = log.assess(
            probs, max_unsupported=config.max_unsupported, cost_weight=config.cost_weight
        )
    return probs


def _gain(log: LogEvaluation, probs: FloatArray, hull: FloatArray) -> Estimate:
    """Quality of a policy above that of the hull's mixture, doubly robust, paired by request."""
    lead = difference(log.quality, probs, hull, log.predicted_quality)
    return bootstrap_mean(lead, group_id=log.quality.group_id)


def _beside_today(
    log: LogEvaluation,
    probs: FloatArray,
    found: Mapping[str, Mapping[str, Assessment]],
    margin: float,
) -> dict[str, Any]:
    """The router's difference to today, with 95 % bounds, and what it shows."""
    quality, cost = log.against_today(probs)
    report = Gate(margin=margin).judge(quality, cost, group_id=log.quality.group_id)
    return beside_today(report, cost_usd=found[TODAY]["cost_usd"].estimates["DR"].value)


def shares(names: tuple[str, ...], probs: Mapping[str, FloatArray]) -> dict[str, dict[str, float]]:
    """Share of requests by candidate, of every policy that is not a constant."""
    return {
        policy: dict(zip(names, candidate_share(p).round(4).tolist(), strict=True))
        for policy, p in probs.items()
        if policy not in names
    }


def _print(
    n: int,
    which: str,
    found: Mapping[str, Mapping[str, Assessment]],
    unsupported: Mapping[str, str],
) -> None:
    rows = []
    for name, parts in found.items():
        quality, cost = parts["quality"], parts["cost_usd"]
        rows.append(
            (
                name,
                estimate_text(quality.estimates["SNIPS"]),
                estimate_text(quality.estimates["DR"]),
                f"{quality.sensitivity.low:.3f} to {quality.sensitivity.high:.3f}",
                estimate_text(cost.estimates["DR"], 1e3),
                f"{quality.overlap.effective_sample_size:.0f}",
            )
        )
    print_table(
        f"{n:,} logged requests of {which} (DR: doubly robust)",
        ("policy", "quality, SNIPS", "quality, DR", "if labels hide", "$ per 1,000, DR", "eff. n"),
        rows,
    )
    for name, reason in unsupported.items():
        console.print(f"not judged, {name}: {reason}", markup=False, highlight=False)
    for warning in found[POLICY]["quality"].warnings if POLICY in found else ():
        console.print(f"{POLICY}: {warning}", markup=False, highlight=False)
