"""A router's model card: how good it is, on what, where it loses, and how to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines import figures
from pipelines.artifacts import EvaluationFolder, ExportFolder, JoinedFolder, TrainedFolder
from pipelines.report.page import between, drawn, points, segment_rows, tile, tone, write_page
from router_ml.bundle.files import Bundle, read_bundle
from router_ml.errors import ConfigError
from router_ml.evaluation.segments import WORSE
from router_ml.runtime.runtime import Runtime

_CONTENTS: Final = (
    ("quality", "Quality and cost"),
    ("traffic", "Traffic"),
    ("segments", "Segments"),
    ("calibration", "Calibration"),
    ("data", "Data"),
    ("limits", "Limits"),
    ("reproduce", "Reproduce"),
)
_BASIS: Final = {
    "full_information": "Judged by a matrix of every candidate's outcome on prompts that training "
    "has not seen.",
    "log": "Judged off policy by a log (doubly robust), every prompt by estimators that had not "
    "seen it.",
}


@dataclass(frozen=True, slots=True)
class ReportSources:
    """The folders that a report is made of; what is missing leaves its section shorter.

    Parameters
    ----------
    evaluation : that ``evaluate`` wrote
    bundle : bundle folder
    trained : that ``train`` wrote
    joined : that ``join`` wrote
    """

    evaluation: Path
    bundle: Path
    trained: Path | None = None
    joined: Path | None = None


def write_report(path: Path, sources: ReportSources) -> Path:
    """Write the page; a single file, of which nothing is fetched from elsewhere.

    Raises
    ------
    ConfigError
        If the evaluation is missing, or was written before it held segments.
    BundleError
        If the bundle cannot be read.
    """
    found = EvaluationFolder(sources.evaluation).report
    if not found.is_file():
        raise ConfigError(
            f"expected an evaluation in {sources.evaluation}, found none; run `router-ml evaluate`"
        )
    summary = _read(found)
    if summary["kind"] == "streamed":
        raise ConfigError(
            f"the evaluation in {sources.evaluation} was streamed, so it has no segments; for a "
            "page evaluate a part of the log without --streaming"
        )
    if "segments" not in summary:
        raise ConfigError(
            f"the evaluation in {sources.evaluation} is of an earlier version; evaluate again"
        )
    bundle = read_bundle(sources.bundle)
    facts = {
        "title": f"Router {bundle.manifest.bundle_id}",
        "subtitle": f"{Runtime(bundle=bundle).policy.reason}; exported {bundle.manifest.created}",
        "contents": _CONTENTS,
        "verdict": summary["verdict"],
        "basis": f"{_BASIS[summary['kind']]} {summary['rows']:,} rows.",
        **_quality(summary),
        **_traffic(summary, bundle, sources.joined),
        **_segments(summary),
        **_calibration(summary),
        **_data(sources, summary),
        **_reproduce(sources, bundle),
    }
    return write_page(path, "report", facts)


def _quality(summary: Mapping[str, Any]) -> dict[str, Any]:
    policies = summary["policies"]
    full = summary["kind"] == "full_information"
    quality, cost = ("quality", "cost_usd") if full else ("quality_dr", "cost_usd_dr")
    columns = ["policy", "quality", "$ per 1,000"]
    if full:
        columns.append("above the hull, points")
    rows = []
    for name, metrics in policies.items():
        row = [name, between(metrics[quality]), between(metrics[cost], 3, 1e3)]
        if full:
            row.append(points(metrics["hull_gain"]) if "hull_gain" in metrics else "–")
        rows.append(row)
    return {
        "headline": _headline(summary),
        "curve": drawn(figures.cost_quality_of(summary)),
        "policy_columns": columns,
        "policies": rows,
        "not_judged": list(summary.get("unsupported", {}).items()),
        "ceiling": summary.get("ceiling", {}).get("sentence", ""),
    }


def _headline(summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """Quality and cost beside what they are compared with, the hull, calibration."""
    policies = summary["policies"]
    tiles = []
    if summary["kind"] == "log":
        beside = summary["beside_today"]
        change = beside["quality_difference"]
        tiles.append(tile("quality, beside today", points(change).split(" [")[0] + " points",
                          f"95 %: {points(change)[points(change).index('['):]}",
                          tone(change["low"], change["high"])))  # fmt: skip
        if beside["cost_ratio"] is not None:
            tiles.append(tile("cost, beside today", f"{beside['cost_ratio']:.0%}", "of today's"))
    elif "router" in policies:
        metrics, baseline = policies["router"], summary["baseline"]
        change, ratio = metrics["quality_difference"], metrics["cost_ratio"]
        tiles += [
            tile(f"quality, beside {baseline}", f"{100 * change['value']:+.1f} points",
                 f"95 %: {points(change)[points(change).index('['):]}",
                 tone(change["low"], change["high"])),
            tile(f"cost, beside {baseline}", f"{ratio['value']:.0%}", "of its cost"),
        ]  # fmt: skip
        if "hull_gain" in metrics:
            gain = metrics["hull_gain"]
            tiles.append(tile("above the constants' hull", f"{100 * gain['value']:+.1f} points",
                              f"95 %: {points(gain)[points(gain).index('['):]}",
                              tone(gain["low"], gain["high"])))  # fmt: skip
    tiles.append(tile("judged on", f"{summary['rows']:,}", "rows"))
    return tiles


def _traffic(summary: Mapping[str, Any], bundle: Bundle, joined: Path | None) -> dict[str, Any]:
    shares: dict[str, Mapping[str, float]] = {
        name: parts for name, parts in summary["shares"].items() if name in ("today", "router")
    }
    if joined is not None and "today" not in shares:
        rows = _read(JoinedFolder(joined).report)["candidates"]
        total = max(sum(row["requests"] for row in rows), 1)
        shares = {"today": {row["candidate"]: row["requests"] / total for row in rows}, **shares}
    table = bundle.candidates
    known = {name: k for k, name in enumerate(table.names)}
    described = {str(row["name"]): row for row in bundle.manifest.candidates}
    names = list(dict.fromkeys([*table.names, *(n for parts in shares.values() for n in parts)]))
    rows = [
        {
            "name": name,
            "shares": [parts.get(name) for parts in shares.values()],
            "input": f"{table.input_usd_per_mtok[known[name]]:.3f}" if name in known else "–",
            "output": f"{table.output_usd_per_mtok[known[name]]:.3f}" if name in known else "–",
            "capabilities": ", ".join(described.get(name, {}).get("capabilities", ())) or "–",
        }
        for name in names
    ]
    return {"traffic_columns": list(shares), "traffic": rows}


def _segments(summary: Mapping[str, Any]) -> dict[str, Any]:
    rows = summary["segments"]["rows"]
    kinds, scale = segment_rows(rows)
    lost = sorted((r for r in rows if r["verdict"] == WORSE), key=lambda r: r["difference"]["high"])
    weakest = min(rows, key=lambda r: r["difference"]["value"], default=None)
    if weakest is not None and weakest["difference"]["value"] >= 0:
        weakest = None
    return {
        "judged": "router" in summary["policies"],
        "segment_kinds": kinds,
        "scale": scale,
        "against": summary["segments"]["against"],
        "losses": [_named(row) for row in lost],
        "weakest": "" if weakest is None else _named(weakest),
    }


def _named(row: Mapping[str, Any]) -> str:
    return (
        f"{row['kind']} {row['name']}: {points(row['difference'])} points "
        f"on {row['share']:.0%} of the requests"
    )


def _calibration(summary: Mapping[str, Any]) -> dict[str, Any]:
    note = "Every outcome is known."
    if summary["kind"] == "log":
        note = (
            "Labels are of the candidates that served: a candidate's line is of the requests that "
            "today's policy sent to it."
        )
    return {
        "ece": between(summary["ece"]),
        "calibration_note": note,
        "reliability": drawn(figures.reliability_of(summary)),
    }


def _data(sources: ReportSources, summary: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "data_tiles": [], "coverage": [], "accounts": [], "training": "", "notes": [],
        "coverage_columns": ("candidate", "requests", "labelled", "quality", "$ per 1,000", "ms"),
    }  # fmt: skip
    limits: list[str] = []
    if sources.joined is not None:
        report = _read(JoinedFolder(sources.joined).report)
        facts |= _log_facts(report)
        limits += report.get("cannot_tell", ())
    if sources.trained is not None:
        training = _read(TrainedFolder(sources.trained).report)
        facts["training"] = (
            f"Learned from {training['rows']:,} requests ({training['queries']:,} distinct "
            f"queries, {training['labelled_cells']:,} labels)."
        )
        facts["notes"] = list(training.get("notes", ()))
    if summary["kind"] == "log":
        warnings = summary["assessments"].get("router", {}).get("quality", {}).get("warnings", ())
        limits += [text for text in warnings if text not in limits]
    limits.append(
        "Numbers are of past traffic: what providers change, and requests unlike these, they do "
        "not tell."
    )
    facts["limits"] = limits
    return facts


def _log_facts(report: Mapping[str, Any]) -> dict[str, Any]:
    rows = report["candidates"]
    requests, labelled = (sum(row[key] for row in rows) for key in ("requests", "labelled"))
    spent = sum(row["total_usd"] or 0.0 for row in rows)
    days = sorted({str(row["day"])[:10] for row in report.get("days", ())})
    tiles = [
        tile("requests", f"{requests:,}", f"{days[0]} to {days[-1]}" if days else ""),
        tile("labelled", f"{labelled / max(requests, 1):.0%}", f"{labelled:,} requests"),
        tile("spent", f"${spent:,.2f}", "by the log"),
    ]
    coverage = [
        (
            row["candidate"],
            f"{row['requests']:,}",
            f"{row['labelled']:,}",
            _or_dash(row["mean_quality"], 3),
            _or_dash(row["mean_cost_usd"], 3, 1e3),
            _or_dash(row["mean_latency_ms"], 0),
        )
        for row in rows
    ]
    accounts = [
        (source, f"{account['used']:,}",
         *(_counted(account[fate]) for fate in ("collapsed", "excluded", "rejected")))
        for source, account in report["accounting"].items()
    ]  # fmt: skip
    return {"data_tiles": tiles, "coverage": coverage, "accounts": accounts}


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in reasons.items()) or "–"


def _or_dash(value: float | None, digits: int, scale: float = 1.0) -> str:
    return "–" if value is None else f"{value * scale:,.{digits}f}"


def _reproduce(sources: ReportSources, bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    identity = [
        ("bundle", manifest.bundle_id),
        ("training", manifest.training.get("training_id", "–")),
        ("labels and prices, fingerprint", manifest.training.get("fingerprint", "–")),
        ("libraries", ", ".join(f"{k} {v}" for k, v in manifest.libraries.items())),
    ]
    parity = ExportFolder(sources.bundle.parent).parity
    if parity.is_file():
        proof = _read(parity)
        identity.append(
            ("graph against estimators", f"{proof['equal_decisions']:.1%} equal decisions on "
             f"{proof['n']:,} queries")
        )  # fmt: skip
    files = {
        "join": sources.joined and JoinedFolder(sources.joined).config,
        "train": sources.trained and TrainedFolder(sources.trained).config,
    }
    configs = [
        (f"{stage}.yaml", path.read_text(encoding="utf-8"))
        for stage, path in files.items()
        if path is not None and path.is_file()
    ]
    steps = [f"router-ml {Path(name).stem} --config {name}" for name, _ in configs]
    steps += ["router-ml export", "router-ml evaluate", "router-ml report"]
    return {"identity": identity, "configs": configs, "commands": "\n".join(steps)}


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
