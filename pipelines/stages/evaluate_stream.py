"""Judge a bundle by a log's test split in one pass and bounded memory: the router beside today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.artifacts import EvaluationFolder, JoinedFolder
from pipelines.config import EvaluateConfig
from pipelines.console import console, print_table, progress
from pipelines.stages.beside_today import beside_today, estimate_text, sentence
from pipelines.stages.score_log import candidates_of, write_scored
from router_ml.data.outcomes import UNSETTLED
from router_ml.errors import DataError, OverlapError
from router_ml.evaluation.gate.gate import Gate
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.off_policy.overlap import require_overlap
from router_ml.evaluation.off_policy.today import TODAY
from router_ml.evaluation.streaming import StreamedComparison, compare_scored
from router_ml.runtime.runtime import Runtime

POLICY = "router"
_NAMES = {"new": POLICY, "old": TODAY}


def evaluate_stream(config: EvaluateConfig, runtime: Runtime, joined: Path) -> Path:
    """Score the log into a scratch file, read it once, print and write what it says.

    ``evaluation.json`` is of kind ``streamed``, with the names of one in memory; a router that the
    log cannot support is not judged there.

    Raises
    ------
    DataError
        If the split is empty or has no label, or a request has no propensity.
    """
    scored = config.output / "scored.parquet"
    rows = pq.ParquetFile(JoinedFolder(joined).outcomes).metadata.num_rows
    try:
        with progress("scoring", rows) as advance:
            write_scored(joined, runtime, None, scored, progress=advance)
        found, names = compare_scored(scored), candidates_of(scored)
    finally:
        scored.unlink(missing_ok=True)
    if not found.labelled_rows:
        raise DataError(
            f"the test split has no labelled request; join more log, or raise test_share{UNSETTLED}"
        )
    unsupported = ""
    try:
        require_overlap(found.overlap(names), max_unsupported=config.max_unsupported)
    except OverlapError as error:
        unsupported = str(error)
    summary = _summary(config, found, unsupported)
    _print(summary)
    path = EvaluationFolder(config.output).report
    path.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    return config.output


def _summary(config: EvaluateConfig, found: StreamedComparison, unsupported: str) -> dict[str, Any]:
    policies: dict[str, dict[str, Estimate]] = {}
    judged = {player: name for player, name in _NAMES.items() if name == TODAY or not unsupported}
    for player, name in judged.items():
        quality = found.estimates(player)
        policies[name] = {f"quality_{kind.lower()}": quality[kind] for kind in ("SNIPS", "DR")}
        policies[name]["cost_usd_dr"] = found.cost_usd(player)
    beside, said = None, f"The router is not judged: {unsupported}"
    if not unsupported:
        cost, mean = (policies[TODAY][part].value for part in ("cost_usd_dr", "quality_dr"))
        beside = beside_today(found.judge(Gate(margin=config.margin)), cost_usd=cost)
        said = sentence(beside, quality=mean, cost_usd=cost)
    return {
        "kind": "streamed",
        "rows": found.n,
        "labelled_rows": found.labelled_rows,
        "propensities": "logged",
        "policies": {
            name: {metric: one.as_dict() for metric, one in parts.items()}
            for name, parts in policies.items()
        },
        "effective_sample_size": {
            name: found.effective_sample_size(player) for player, name in judged.items()
        },
        "unsupported": {POLICY: unsupported} if unsupported else {},
        "beside_today": beside,
        "verdict": said,
    }


def _print(summary: dict[str, Any]) -> None:
    rows = [
        (
            name,
            *(estimate_text(Estimate(**parts[metric]), scale)
              for metric, scale in (("quality_snips", 1.0), ("quality_dr", 1.0),
                                    ("cost_usd_dr", 1e3))),
            f"{summary['effective_sample_size'][name]:,.0f}",
        )
        for name, parts in summary["policies"].items()
    ]  # fmt: skip
    print_table(
        f"{summary['rows']:,} logged requests of the test split, streamed (DR: doubly robust)",
        ("policy", "quality, SNIPS", "quality, DR", "$ per 1,000, DR", "eff. n"),
        rows,
    )
    console.print(summary["verdict"], markup=False, highlight=False, soft_wrap=True)
