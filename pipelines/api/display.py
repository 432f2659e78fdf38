"""HTML of objects in a notebook: small tables that follow the notebook's own theme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pipelines.api.comparison import Comparison
    from pipelines.api.decider import Decider
    from pipelines.api.evaluation import Evaluation
    from pipelines.api.explanation import Explanation
    from pipelines.api.log import Log


_STYLE: Final = (
    "<style>.rml{font:14px/1.5 system-ui,sans-serif;max-width:60em}"
    ".rml table{border-collapse:collapse;margin:.5em 0}"
    ".rml th,.rml td{padding:.2em .8em;text-align:right;border-bottom:1px solid #8884}"
    ".rml th:first-child,.rml td:first-child{text-align:left}"
    ".rml p{margin:.4em 0}.rml .rml-head{font-weight:600;font-size:1.1em}"
    ".rml .rml-bar{display:inline-block;height:.7em;background:#0b6e99;vertical-align:baseline}"
    ".rml ul{margin:.2em 0;padding-left:1.2em}</style>"
)


def block(*parts: str) -> str:
    """One block with its style."""
    return f'{_STYLE}<div class="rml">{"".join(parts)}</div>'


def head(text: str) -> str:
    """A heading line."""
    return f'<p class="rml-head">{escape(text)}</p>'


def line(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def points(texts: Iterable[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Bar]]) -> str:
    """A table: first column left, the others right; cells are escaped."""
    top = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


class Bar:
    """A share as a bar with its number.

    Parameters
    ----------
    share : in [0, 1]
    """

    def __init__(self, share: float) -> None:
        self.share = share

    def __str__(self) -> str:
        return f"{self.share:.0%}"


def _cell(cell: str | Bar) -> str:
    if isinstance(cell, Bar):
        width = 6.0 * min(max(cell.share, 0.0), 1.0)
        return f'<span class="rml-bar" style="width:{width:.2f}em"></span> {cell}'
    return escape(str(cell))


def number(value: float | None, digits: int, scale: float = 1.0) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None or value != value else f"{value * scale:z,.{digits}f}"


def log_html(log: Log) -> str:
    """Coverage, cost, and what the log cannot tell."""
    total = max(len(log), 1)
    rows = [
        (
            row["candidate"],
            number(row["requests"], 0),
            Bar(row["requests"] / total),
            str(Bar(row["labelled"] / max(row["requests"], 1))),
            number(row["quality"], 3),
            number(row["cost_usd"], 3, 1e3),
            number(row["latency_ms"], 0),
        )
        for row in log.coverage.to_dict("records")
    ]
    columns = ("candidate", "requests", "share", "labelled", "quality", "$ per 1,000", "ms")
    labelled = int(log.outcomes["quality"].notna().sum())
    first, last = log.outcomes["time"].min(), log.outcomes["time"].max()
    gone = log.accounts[log.accounts["fate"] == "rejected"]
    parts = [
        head(f"Log: {len(log):,} requests, {labelled:,} labelled, ${log.cost_usd:,.2f}"),
        line(f"{first:%Y-%m-%d} to {last:%Y-%m-%d}; means are of what each candidate was sent"),
        table(columns, rows),
    ]
    if len(gone):
        parts.append(line("Rejected: " + ", ".join(
            f"{n:,} of {source} ({reason})"
            for source, reason, n in gone[["source", "reason", "rows"]].values.tolist()
        )))  # fmt: skip
    parts += [head("What it cannot tell"), points(log.cannot_tell or ["nothing that is missed"])]
    if log.matrix is not None:
        parts.append(line("Judged by a matrix of every candidate's outcome."))
    return block(*parts)


def router_html(router: Decider) -> str:
    """Candidates, prices and policy."""
    table_of = router.candidates
    rows = [
        (
            name,
            number(float(table_of.input_usd_per_mtok[k]), 3),
            number(float(table_of.output_usd_per_mtok[k]), 3),
            "unavailable" if name in router.unavailable else "",
        )
        for k, name in enumerate(table_of.names)
    ]
    manifest = router.runtime.manifest
    selection = str(manifest.calibration.get("verdict", ""))
    parts = [
        head(f"Router {manifest.bundle_id}"),
        line(f"Policy: {router.runtime.policy.reason}"),
        table(("candidate", "$ per Mtok in", "$ per Mtok out", ""), rows),
    ]
    if selection:
        parts.append(line(selection))
    return block(*parts)


def evaluation_html(evaluation: Evaluation) -> str:
    """Verdict and table."""
    frame = evaluation.table()
    columns = ["policy", "quality", "$ per 1,000"]
    if "hull_gain" in frame:
        columns.append("above hull, points")
    rows = []
    for row in frame.to_dict("records"):
        cells = [str(row["policy"]), interval(row, "quality", 3), interval(row, "cost_usd", 3, 1e3)]
        if "hull_gain" in frame:
            cells.append(interval(row, "hull_gain", 1, 100.0))
        rows.append(cells)
    basis = "every outcome known" if evaluation.kind == "full_information" else "doubly robust"
    return block(
        head(f"Evaluation: {evaluation.summary['rows']:,} rows, {basis}"),
        line(evaluation.verdict),
        table(columns, rows),
    )


def comparison_html(comparison: Comparison) -> str:
    """Gain over the hull by estimator, and the table at three budgets."""
    summary = [
        (
            str(row["method"]),
            interval(row, "hull_gain", 2, 100.0),
            interval(row, "hull_gain_worst", 2, 100.0),
            interval(row, "lead", 2, 100.0) if "lead" in row else "–",
        )
        for row in comparison.summary.to_dict("records")
    ]
    rows = [
        (
            _at_budget(row),
            interval(row, "quality", 3),
            interval(row, "cost_usd", 3, 1e3),
            interval(row, "today_difference", 1, 100.0),
            "yes" if row["judged"] else f"no: {row['unsupported']:.0%} unsupported",
        )
        for row in comparison.table((0.1, 0.25, 0.5)).to_dict("records")
    ]
    basis = "every outcome known" if comparison.known else "doubly robust, from the log"
    return block(
        head(f"{len(comparison.contest.truth):,} rows, {basis}; none judged by what learned it"),
        table(("estimator", "above hull, points", "at its worst budget", "behind the first"),
              summary),
        table(("policy", "quality", "$ per 1,000", "against today, points", "judged"), rows),
    )  # fmt: skip


def _at_budget(row: Mapping[Any, Any]) -> str:
    budget = row["budget"]
    return str(row["method"]) if budget != budget else f"{row['method']}, budget {budget:.0%}"


def interval(row: Mapping[Any, Any], name: str, digits: int, scale: float = 1.0) -> str:
    """A value with its 95 % interval."""
    if row.get(name) is None or row[name] != row[name]:
        return "–"
    low, high = (number(row[f"{name}_{end}"], digits, scale) for end in ("low", "high"))
    return f"{number(row[name], digits, scale)} [{low}, {high}]"


def explanation_html(explanation: Explanation) -> str:
    """Ranking, what else would win, and the parts of the query that move the first two apart."""
    rows = [
        (
            str(row["candidate"]),
            number(row["quality"], 3),
            number(row["cost_usd"], 3, 1e3),
            number(row["latency_ms"], 0),
            Bar(row["probability"]),
        )
        for row in explanation.ranking.to_dict("records")
    ]
    parts = [
        head(explanation.decision.candidate),
        line(explanation.text),
        table(("candidate", "quality", "$ per 1,000", "ms", "chosen with"), rows),
    ]
    found = explanation.contributions
    if len(found):
        names = [str(name) for name in found.columns[2:]]
        shown = [
            (str(row["text"]), *(f"{row[name]:+.4f}" for name in names))
            for row in found.to_dict("records")
        ]
        parts.append(line("What parts of the query add to predicted quality:"))
        parts.append(table(("part", *names), shown))
    return block(*parts)
