"""Commands on a decision log: verify it, erase text from it, make a decision again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.config import EraseConfig, ExperimentConfig, ExplainConfig, VerifyLogConfig
from pipelines.console import console, print_table
from router_ml.decision_log import verify
from router_ml.decision_log.erase import Selection, erase
from router_ml.decision_log.rows import find
from router_ml.errors import DataError


def verify_log(config: VerifyLogConfig) -> None:
    """Follow a decision log's chain: no row changed, missing or put in."""
    files = _files(config.log)
    found = verify.verify(files, heads=config.heads, starts_later=config.archived)
    console.print(
        f"{found.rows:,} rows in {len(files)} files: {found.with_text:,} with text, "
        f"{found.erased:,} erased, {found.unchained:,} of a release without a chain, "
        f"{found.torn} torn last lines",
        highlight=False,
    )
    for head in found.heads:
        console.print(f"head {head}", highlight=False)
    if found.findings:
        more = "" if len(found.findings) <= 10 else f"\n… and {len(found.findings) - 10} more"
        listed = "\n".join(found.findings[:10])
        raise DataError(f"the chain is broken in {len(found.findings)} places:\n{listed}{more}")
    console.print("the chain holds")


def erase_text(config: EraseConfig) -> None:
    """Erase what people wrote from a decision log; decisions stay, and the chain holds."""
    days, now = config.older_than_days, datetime.now(UTC).replace(tzinfo=None)
    selection = Selection(
        ids=frozenset(config.ids),
        owners=frozenset(config.owners),
        before=None if days is None else now - timedelta(days=days),
    )
    n = erase(_files(config.log), selection)
    console.print(f"text of {n:,} rows is erased", highlight=False)


def experiment(config: ExperimentConfig) -> None:
    """What a challenger adds, with intervals that hold however often one looks: report."""
    from pipelines.stages import experiment as stage

    reported = stage.run(config)
    found, rows = reported.report, []
    for metric, comparison in found.metrics.items():
        lift = comparison.lift
        rows.append(
            (
                metric,
                f"{comparison.champion:.5g}",
                f"{comparison.challenger:.5g}",
                f"{lift.value:+.4g}",
                f"[{lift.low:+.4g}, {lift.high:+.4g}]",
                f"{lift.n:,}",
            )
        )
    columns = ("metric", "champion", "challenger", "lift", "at any time", "sessions")
    print_table(f"experiment {reported.name}", columns, rows)
    champion, challenger = found.units
    console.print(
        f"challenger on utility: {found.verdict} ({champion:,} sessions of the champion, "
        f"{challenger:,} of the challenger)",
        highlight=False,
    )
    if reported.note:
        console.print(reported.note, markup=False, highlight=False)


def explain(config: ExplainConfig) -> None:
    """Make a logged decision again from its bundle, row and text, and say why it is as it is."""
    from router_ml.features.query import parse_query
    from router_ml.runtime.explanation import explained
    from router_ml.runtime.replay import replay
    from router_ml.runtime.runtime import Runtime

    row = find(_files(config.log), config.decision_id)
    said = row if config.request is None else _json(config.request)
    messages = said.get("query") if said.get("query") is not None else said.get("messages")
    if messages is None:
        raise DataError(
            f"the log has no text of {config.decision_id}; give the request as it was sent: "
            "--request FILE"
        )
    runtime = Runtime.from_folder(
        config.bundle,
        policy=None if config.policy_file is None else _json(config.policy_file),
        prices=None if config.prices_file is None else _json(config.prices_file),
    )
    query = parse_query(messages, said.get("tools"))
    again = replay(runtime, row, query)
    console.print(again.text, highlight=False, markup=False)
    why = explained(runtime, query, again.constraints, again.decision)
    print_table(
        f"{again.decision.candidate}: {again.decision.reason}",
        ("candidate", "quality", "$ per 1,000", "ms", "utility", "best at cost_weight", "removed"),
        [
            (
                line.candidate,
                f"{line.quality:.3f}",
                f"{1e3 * line.cost_usd:.3f}",
                f"{line.latency_ms:.0f}",
                f"{line.utility:.4f}",
                line.best_text,
                line.removed or "",
            )
            for line in why.candidates
        ],
    )
    print_table(
        "what the parts of the request add to predicted quality",
        ("part", "text", *why.compared),
        [
            (c.part, c.text, *(f"{c.quality[name]:+.4f}" for name in why.compared))
            for c in why.contributions
        ],
    )


def _files(log: tuple[Path, ...]) -> list[Path]:
    files = [path for path in verify.log_files(log) if path.is_file()]
    if not files:
        raise DataError(f"no file of a decision log in {', '.join(map(str, log)) or 'nothing'}")
    return files


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} holds no JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content
