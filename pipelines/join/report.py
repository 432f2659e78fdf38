"""The join's report for a person, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

FEW_LABELS: Final = 10
DELAYS_NEEDED: Final = 50
"""First labels from which the share that came within a delay is told, as the join's SQL has it."""


def render(report: Mapping[str, Any]) -> str:
    """Markdown of a join report; a section that the report lacks is left out."""
    parts = ["# Join report", _accounting(report["accounting"])]
    if report.get("repairs"):
        parts.append(_section("Repaired while reading", ("repair", "rows"),
                              report["repairs"].items()))  # fmt: skip
    if "candidates" in report:
        parts.append(_candidates(report))
    parts += _label_sections(report)
    if report.get("preferences"):
        parts.append(_preferences(report["preferences"]))
    if "costs" in report:
        costs = [
            (
                c["cost_source"],
                f"{c['requests']:,}",
                f"{c['total_usd']:.4f}",
                f"{c['mean_usd']:.6f}",
            )
            for c in report["costs"]
        ]
        parts.append(_section("Cost", ("source", "requests", "total USD", "mean USD"), costs))
    if report.get("cost_check"):
        parts.append(_cost_check(report["cost_check"]))
    if report.get("days"):
        parts.append(_days(report["days"]))
    if "splits" in report:
        rows = [
            (
                s["split"],
                f"{s['requests']:,}",
                f"{s['labelled']:,}",
                s["first_time"],
                s["last_time"],
            )
            for s in report["splits"]
        ]
        parts.append(_section("Splits", ("split", "requests", "labelled", "from", "to"), rows))
    if "candidates" in report:
        parts.append("## What the log cannot tell\n\n" + "\n".join(
            f"- {line}" for line in report.get("cannot_tell") or ["nothing that is missed here"]
        ))  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _label_sections(report: Mapping[str, Any]) -> list[str]:
    """How labels of several sources agree, and how long they took."""
    parts = []
    if "agreement" in report:
        parts.append(_agreement(report["agreement"]))
    if report.get("label_delay"):
        parts.append(_delays(report["label_delay"], report.get("ages", ())))
    parts += [_settling(row) for row in report.get("settling", ()) if row["labels"]]
    return parts


def cannot_tell(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a log lacks, a sentence each, from the report's ``candidates``."""
    total = sum(row["requests"] for row in candidates)
    if not total:
        return ["no request was used"]
    lacks = (
        ("with_propensity", "have no propensity: how likely a choice was is estimated"),
        ("with_latency", "have no latency: limits on it do nothing"),
        ("with_answer", "have no answer: no cascade can be learned from them"),
        ("labelled", "have no label: they are taken to be like those that have one"),
    )
    told = []
    for column, what in lacks:
        missing = total - sum(row[column] for row in candidates)
        if missing:
            told.append(f"{missing / total:.0%} of requests {what}")
    few = [row["candidate"] for row in candidates if row["labelled"] < FEW_LABELS]
    if few:
        told.append(
            f"{', '.join(few)}: fewer than {FEW_LABELS} labels, so no policy on it can be judged"
        )
    return told


def _cost_check(ratios: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (row["candidate"], f"{row['requests']:,}", f"{row['ratio']:.3g}",
         f"{math.exp(row['spread'] or 0.0):.2f}")
        for row in ratios
    ]  # fmt: skip
    header = ("candidate", "requests", "logged / priced", "spread, times")
    return _section("Logged cost beside tokens times price", header, rows)


def _days(days: Sequence[Mapping[str, Any]]) -> str:
    """Dollars by day, a column a candidate; the last fortnight, the report's data has all."""
    names = sorted({row["candidate"] for row in days})
    cells = {(str(row["day"])[:10], row["candidate"]): row for row in days}
    shown = sorted({day for day, _ in cells})[-14:]
    rows = []
    for day in shown:
        usd = [cells.get((day, name), {}).get("total_usd") for name in names]
        rows.append([day, f"{sum(x or 0.0 for x in usd):.4f}", *(_number(x, 4) for x in usd)])
    return _section("US dollars by day", ["day", "all", *names], rows)


def _accounting(accounts: Mapping[str, Any]) -> str:
    rows: list[tuple[str, str, str, str]] = []
    for source, account in accounts.items():
        rows.append((source, "in", "", f"{account['in']:,}"))
        rows.append((source, "used", "", f"{account['used']:,}"))
        for fate in ("collapsed", "excluded", "rejected"):
            rows += [(source, fate, reason, f"{n:,}") for reason, n in account[fate].items()]
    title = "Accounting: in = used + collapsed + excluded + rejected"
    return _section(title, ("source", "fate", "reason", "rows"), rows)


def _candidates(report: Mapping[str, Any]) -> str:
    """Coverage and mean quality, over all labels and by source."""
    labels = report.get("labels", [])
    by_cell = {(row["candidate"], row["source"]): row for row in labels}
    order = {row["source"]: row["priority"] for row in labels}
    sources = sorted(order, key=lambda source: order[source])
    header = ["candidate", "requests", "labelled", "quality", "cost USD", "latency ms"]
    rows = []
    for row in report["candidates"]:
        cells = [
            row["candidate"],
            f"{row['requests']:,}",
            f"{row['labelled'] / row['requests']:.1%}",
            _number(row["mean_quality"], 3),
            _number(row["mean_cost_usd"], 6),
            _number(row["mean_latency_ms"], 0),
        ]
        for source in sources:
            cell = by_cell.get((row["candidate"], source))
            share = cell["requests"] / row["requests"] if cell else 0.0
            cells.append(f"{share:.1%} / {_number(cell['mean_quality'] if cell else None, 3)}")
        rows.append(cells)
    header += [f"{source}: share / quality" for source in sources]
    return _section("Candidates", header, rows)


def _agreement(pairs: Sequence[Mapping[str, Any]]) -> str:
    header = ("first", "second", "requests with both", "equal", "second − first")
    rows = [
        (p["first"], p["second"], f"{p['requests']:,}", f"{p['share_equal']:.1%}",
         f"{p['mean_difference']:+.3f}")
        for p in pairs
    ]  # fmt: skip
    return _section("Agreement between label sources", header, rows)


def _delays(delays: Sequence[Mapping[str, Any]], ages: Sequence[Mapping[str, Any]]) -> str:
    """How long labels took, by source, and what share of recent requests has one by now."""
    header = ("source", "labels", "within an hour", "a day", "a week", "a month")
    keys = ("within_hour", "within_day", "within_week", "within_month")
    rows = [
        (d["source"], f"{d['labels']:,}", *(f"{d[key] / d['labels']:.1%}" for key in keys))
        for d in delays
    ]
    recent = [
        (a["age"], f"{a['requests']:,}", f"{a['labelled'] / a['requests']:.1%}") for a in ages
    ]
    title = "Labelled by now, of requests made up to … before the last"
    return "\n\n".join((
        _section("How long labels took", header, rows),
        _section(title, ("age", "requests", "labelled"), recent),
    ))  # fmt: skip


def _settling(row: Mapping[str, Any]) -> str:
    """Whether young requests wait for labels, and what was done about it."""
    if row["reach"] is None:
        return (
            f"How long labels take cannot be told: {_untold(row)}. All of them count, and those "
            "that are still to come may differ."
        )
    young, old = row["young"], row["requests"] - row["young"]
    if not young or not old:
        return "Labels came within so short a time that no request waits for its own."
    shares = (row["young_labelled"] / young, (row["labelled"] - row["young_labelled"]) / old)
    said = (
        f"Labels come within {row['reach']}, but for a few. Of {young:,} requests that are younger "
        f"{shares[0]:.1%} have one, of others {shares[1]:.1%}"
    )
    if row["cutoff"] is not None:
        return (
            f"{said}: what is missing may depend on the outcome, so requests from "
            f"{_minute(row['cutoff'])} on count as unlabelled (`label_settled: 0` lets their "
            f"{row['young_labelled']:,} labels count)."
        )
    if row["young_labelled"] * 4 > row["labelled"] and shares[0] < shares[1]:
        return (
            f"{said}. That is more than a quarter of the labels, so none is left out: labels that "
            "come late may differ from those that are there."
        )
    return f"{said}: none is left out."


def _untold(row: Mapping[str, Any]) -> str:
    """Why no delay is known."""
    if row["labels"] < DELAYS_NEEDED:
        return f"{row['labels']:,} requests have a label, at least {DELAYS_NEEDED} are needed"
    if row["first_label"] == row["last_label"]:
        return f"all labels carry one time, {_minute(row['last_label'])}, as of an export"
    return "the log is too short for it"


def _minute(time: Any) -> str:
    """Of a datetime, or of what JSON made of it."""
    return str(time)[:16].replace("T", " ")


def _preferences(pairs: Sequence[Mapping[str, Any]]) -> str:
    header = ("first", "second", "comparisons", "first better", "second better", "tie", "both bad")
    keys = ("comparisons", "first_better", "second_better", "tie", "both_bad")
    rows = [(p["first"], p["second"], *(f"{p[key]:,}" for key in keys)) for p in pairs]
    return _section("Comparisons", header, rows)


def _section(title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [f"## {title}", "", _line(header), _line(["---"] * len(header))]
    return "\n".join(lines + [_line(row) for row in rows])


def _line(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
