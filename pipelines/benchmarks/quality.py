"""Routing quality on public data: every estimator and baseline, with intervals and figures.

Predictions of every method and fold are kept on disk under a key of all that decides them, so a run
that was stopped goes on where it was, and a changed method is computed again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.benchmarks.bench import N_FOLDS, Bench
from pipelines.benchmarks.quality_figures import draw, draw_learning_curve
from pipelines.benchmarks.quality_methods import ABLATION, ESTIMATORS, FAST
from pipelines.benchmarks.results import read_results, write_results
from pipelines.benchmarks.workloads import BFCL, JUDGE, LLMROUTER, LOGS, MIX, WORKLOADS
from pipelines.console import print_table
from pipelines.encoders import get_encoder
from router_ml.errors import ConfigError
from router_ml.estimators.specs import Spec
from router_ml.estimators.tiers import TIERS, TierName
from router_ml.evaluation import metrics
from router_ml.evaluation.intervals import Estimate
from router_ml.features.distill import DEFAULT_MODEL


def run(
    data: Path,
    out: Path,
    *,
    test_data: Path | None = None,
    workloads: Sequence[str] = WORKLOADS,
    plots: Path | None = None,
    tier: TierName = "fast",
    model: str = DEFAULT_MODEL,
    cache: Path = Path(".cache"),
    methods: Mapping[str, Spec] = ESTIMATORS,
    folds: int = N_FOLDS,
    ablation: bool = False,
    cascades: bool = False,
) -> Path:
    """Measure and write ``workloads.<workload>.methods.<method>.<metric>``.

    Without ``test_data``: 5-fold cross-validation grouped by prompt, metrics on the pooled
    out-of-fold predictions; estimators make every choice inside the training folds. With it: train
    on all of ``data`` and test there once; ``routellm-mmlu-<n>``, any number, still draws n labels
    a seed.

    Parameters
    ----------
    data, test_data : folders with ``routellm/``, ``llmrouter/``, ``bfcl/``
    out : JSON file; workloads measured before are kept
    plots : folder for figures, optional
    tier : ``balanced`` adds the one with a frozen sentence encoder, ``best`` that with a fine-tuned
        one; ``docs/results`` has their times
    model : what ``balanced`` freezes, a sentence-transformers model by name or path
    cache : folder for the encoder and for predictions
    methods : estimator specs by name; ``random`` and ``oracle`` come in any case
    ablation : also the blend without each of its members, and a student taught by the blend
    folds : test on the first so many of the folds or draws, when time is short
    cascades : also cascades, in the same table, where costs and answers are known

    Raises
    ------
    ConfigError
        If a workload or the tier is not there.
    """
    if tier not in TIERS or not 1 <= folds <= N_FOLDS:
        raise ConfigError(
            f"tier must be one of {', '.join(TIERS)} and folds 1 to {N_FOLDS}, got {tier!r} and "
            f"{folds}"
        )
    if tier != FAST:
        methods = {**methods, tier: TIERS[tier].quality}
    if ablation:
        methods = {**methods, **ABLATION}
    encoder = get_encoder(cache=cache)
    sentence = None
    if TIERS[tier].encoder == "sentence":
        sentence = get_encoder(cache=cache, kind="sentence", model=model)
    results = read_results(out)
    for name in workloads:
        started = time.perf_counter()
        kept_in = cache / "benchmark-quality"
        bench = Bench(name, data, test_data, encoder, kept_in, folds)
        if sentence is not None:
            bench.others[tier] = Bench(name, data, test_data, sentence, kept_in, folds)
        table, drawings = bench.measure(methods, cascades=cascades)
        results["workloads"][name] = {
            "methods": {m: {k: v.as_dict() for k, v in row.items()} for m, row in table.items()},
            "protocol": bench.protocol,
            "seconds": round(time.perf_counter() - started, 1),
        }
        write_results(out, results)
        _print(name, table)
        if plots is not None:
            shown = {k: v for k, v in drawings.items() if k.split(":")[0] not in ABLATION}
            draw(name, bench.tested.truth, shown, plots)
    if plots is not None:
        draw_learning_curve(results["workloads"], plots)
    return out


def _print(name: str, table: Mapping[str, metrics.Metrics]) -> None:
    priced = (
        "quality_at_25pct_budget",
        "quality_at_100pct_budget",
        "hull_gain",
        "hull_gain_worst",
        "fast_lead",
    )
    shown = {
        LLMROUTER: (
            "routed_quality",
            "oracle_gap_closed",
            "gap_closed_expected",
            "gap_closed_repeats",
            "fast_lead",
        ),
        **dict.fromkeys((BFCL, MIX, JUDGE, *LOGS), priced),
    }.get(name, ("apgr", "cpt50", "cpt80"))
    columns = (*shown, "ece", "brier", "score_ms", "graph_ms")
    rows = [
        (method, *(_cell(row.get(column)) for column in columns)) for method, row in table.items()
    ]
    print_table(name, ("method", *columns), rows)


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
