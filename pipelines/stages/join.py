"""Request log + labels + prices -> outcomes, rejects and a report."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.artifacts import JoinedFolder
from pipelines.config import JoinConfig, dump_config
from pipelines.join.cost_check import check_costs
from pipelines.join.engine import DuckDBEngine, Engine, Step, parse_steps
from pipelines.join.preferences import find_preferences, preference_files, write_preferences
from pipelines.join.remedies import Context, offending, remedy
from pipelines.join.report import cannot_tell, render
from pipelines.join.sources.files import Progress
from pipelines.join.sources.inputs import add_inputs
from router_ml.errors import JoinError

SOURCES: Final = ("requests", "labels", "prices")
LOG_SOURCES: Final = ("decisions", "feedback")
"""What a decision log adds."""
ALONE: Final = "alone"
"""Account of used decisions that no request log row belongs to."""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a source's rows: ``in = used + collapsed + excluded + rejected``.

    Parameters
    ----------
    rows_in : rows that the files have, counted by the reader
    used : rows that an outcome rests on
    collapsed, excluded, rejected : reason -> rows
    """

    rows_in: int
    used: int
    collapsed: Mapping[str, int]
    excluded: Mapping[str, int]
    rejected: Mapping[str, int]

    @property
    def n_rejected(self) -> int:
        """Rejected rows, whatever the reason."""
        return sum(self.rejected.values())

    @property
    def balance(self) -> int:
        """Rows that are not accounted for; zero, or there is a defect."""
        gone = sum(self.collapsed.values()) + sum(self.excluded.values()) + self.n_rejected
        return self.rows_in - self.used - gone

    def as_dict(self) -> dict[str, Any]:
        """As the report has it."""
        return {
            "in": self.rows_in,
            "used": self.used,
            "collapsed": dict(self.collapsed),
            "excluded": dict(self.excluded),
            "rejected": dict(self.rejected),
        }


def run(config: JoinConfig, *, progress: Progress | None = None) -> Path:
    """Join, and write outcomes, prices, rejects, a report and the config in force.

    Files: ``outcomes.parquet``, ``prices.parquet``, ``rejects.parquet``, ``report.json``,
    ``report.md``, ``config.yaml``.

    Returns
    -------
    The folder, ``config.output``.

    Raises
    ------
    SchemaError
        If a file cannot be read as what it is said to be.
    JoinError
        If a source's rejects exceed the tolerance; rejects and accounts are written all the same.
    """
    output = config.output
    output.mkdir(parents=True, exist_ok=True)
    written = JoinedFolder(output)
    for path in (
        written.outcomes,
        written.preferences,
        written.prices,
        written.rejects,
        written.report,
        written.summary,
    ):
        path.unlink(missing_ok=True)
    dump_config(config, written.config)
    work = Path(tempfile.mkdtemp(prefix="join-", dir=output))
    try:
        with _engine(config, work) as engine:
            rows_in = add_inputs(engine, config, progress)
            _join(engine, config, rows_in, progress)
        _compare(config, written)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return output


def _engine(config: JoinConfig, work: Path) -> Engine:
    limits = {"threads": config.threads, "memory_limit_mb": config.memory_limit_mb}
    if config.engine == "duckdb":
        return DuckDBEngine(work=work, **limits)
    from pipelines.join.spark import SparkEngine

    return SparkEngine(work=work, options=config.spark, **limits)


def _join(
    engine: Engine, config: JoinConfig, rows_in: dict[str, int], progress: Progress | None
) -> None:
    """Run the steps; stop before outcomes are written if too much was rejected."""
    output = config.output
    steps = load_steps(decisions=bool(config.decisions))
    sources = SOURCES + LOG_SOURCES if config.decisions else SOURCES
    at = JoinedFolder(output)
    tables = {"outcomes": at.outcomes, "price_windows": at.prices}
    report: dict[str, Any] = {}
    for number, step in enumerate(steps):
        if progress is not None:
            progress("joining", number / len(steps))
        engine.add_step(step, tables.get(step.name))
        if step.name == "accounting":
            rows = engine.rows("SELECT * FROM accounting")
            if config.decisions:
                rows += engine.rows("SELECT * FROM decision_accounting")
            accounts = read_accounts(rows, rows_in)
            alone = sum(row["n"] for row in rows if row["reason"] == ALONE)
            rejects = " UNION ALL ".join(engine.rejects_sql(source) for source in sources)
            engine.write(rejects, at.rejects)
            report["accounting"] = {name: account.as_dict() for name, account in accounts.items()}
            _write_report(output, report)
            _check_tolerance(engine, accounts, config)
        elif step.name == "cost_ratios":
            report["cost_check"] = engine.rows("SELECT * FROM cost_ratios ORDER BY candidate")
            _write_report(output, report)
            check_costs(report["cost_check"], config)
        elif step.name == "repairs":
            report["repairs"] = {r["repair"]: r["n"] for r in engine.rows("SELECT * FROM repairs")}
        elif step.name.startswith("report_"):
            report[step.name.removeprefix("report_")] = engine.rows(f"SELECT * FROM {step.name}")
            if step.name == "report_candidates":
                report["cannot_tell"] = cannot_tell(report["candidates"])
    _check_balance(accounts, alone, output)
    _write_report(output, report)
    if progress is not None:
        progress("joining", 1.0)


def _compare(config: JoinConfig, written: JoinedFolder) -> None:
    """Write comparisons of candidates, if there are any among the labels, and account for them."""
    if not any(preference_files(config)):
        return
    groups = pq.read_table(written.outcomes, columns=["group_id", "split"]).to_pylist()
    prices = pq.read_table(written.prices, columns=["candidate"])

    def lookup(ids: set[str]) -> dict[str, dict[str, Any]]:
        if not ids:
            return {}
        columns = ["request_id", "query", "messages", "tools"]
        wanted = pc.field("request_id").isin(sorted(ids))
        rows = pq.read_table(written.outcomes, columns=columns, filters=wanted).to_pylist()
        return {row["request_id"]: row for row in rows}

    found = find_preferences(
        config,
        lookup,
        priced=set(prices["candidate"].to_pylist()),
        tests={row["group_id"] for row in groups if row["split"] == "test"},
    )
    write_preferences(found, written.preferences, written.rejects)
    account = Account(
        rows_in=found.read,
        used=len(found.rows),
        collapsed=dict(found.collapsed),
        excluded=dict(found.excluded),
        rejected=dict(found.rejected),
    )
    report = orjson.loads(written.report.read_bytes())
    report["accounting"]["preferences"] = account.as_dict()
    report["preferences"] = found.summary()
    _write_report(config.output, report)
    if account.n_rejected > config.tolerance * account.rows_in:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in found.rejected.most_common())
        first = found.rejects[0]
        raise JoinError(
            f"preferences: {account.n_rejected:,} of {account.rows_in:,} rows rejected, the "
            f"tolerance is {config.tolerance:.1%}: {reasons}; the first is {first['file']}:"
            f"{first['line']} ({first['reason']}{': ' if first['detail'] else ''}"
            f"{first['detail'] or ''}); name other columns in the file's fields"
        )


def load_steps(*, decisions: bool = False) -> tuple[Step, ...]:
    """Read the steps of ``sql/join.sql``, with those of a decision log around its beginning."""
    steps = _steps("join.sql")
    if not decisions:
        return steps
    cut = [step.name for step in steps].index("accounting")
    fates = _steps("decision_fates.sql")
    return (*_steps("decisions.sql"), *steps[:cut], *fates, *steps[cut:])


def _steps(name: str) -> tuple[Step, ...]:
    return parse_steps((resources.files("pipelines.join") / "sql" / name).read_text("utf-8"))


def read_accounts(rows: list[dict[str, Any]], rows_in: Mapping[str, int]) -> dict[str, Account]:
    """Per source, what became of its rows, from the step ``accounting``."""
    accounts = {}
    for source in rows_in:
        fates: dict[str, dict[str, int]] = {}
        for row in rows:
            if row["source"] == source:
                fates.setdefault(row["fate"], {})[row["reason"]] = 0
        for row in rows:
            if row["source"] == source:
                fates[row["fate"]][row["reason"]] += int(row["n"])
        ordered = {
            fate: dict(sorted(reasons.items(), key=lambda item: (-item[1], str(item[0]))))
            for fate, reasons in fates.items()
        }
        accounts[source] = Account(
            rows_in=rows_in[source],
            used=sum(ordered.get("used", {}).values()),
            collapsed=ordered.get("collapsed", {}),
            excluded=ordered.get("excluded", {}),
            rejected=ordered.get("rejected", {}),
        )
    return accounts


def _check_tolerance(engine: Engine, accounts: Mapping[str, Account], config: JoinConfig) -> None:
    for source, account in accounts.items():
        if account.n_rejected <= config.tolerance * account.rows_in:
            continue
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in account.rejected.items())
        firsts = _firsts(engine, source)
        first = min(firsts.values(), key=lambda row: (row["source_file"], row["source_line"]))
        context = _context(engine, config)
        lines = []
        for reason, n in account.rejected.items():
            row = firsts[reason]
            said = offending(reason, row)
            lines.append(
                f"  {reason} {n:,}: {said + ' ' if said else ''}at {row['source_file']}:"
                f"{row['source_line']}; {remedy(source, reason, row, context)}"
            )
        raise JoinError(
            f"{source}: {account.n_rejected:,} of {account.rows_in:,} rows rejected "
            f"({account.n_rejected / account.rows_in:.1%}), the tolerance is "
            f"{config.tolerance:.1%}: {reasons}; the first is {first['source_file']}:"
            f"{first['source_line']} ({first['reason']}); all of them: "
            f"{config.output / 'rejects.parquet'}. What mends them:\n" + "\n".join(lines)
        )


def _firsts(engine: Engine, source: str) -> dict[str, dict[str, Any]]:
    """The first rejected row of every reason."""
    rows = engine.rows(
        f"SELECT * FROM (SELECT r.*, row_number() OVER (PARTITION BY reason "
        f"ORDER BY source_file, source_line) AS place FROM rejected_{source} r) WHERE place = 1"
    )
    return {row["reason"]: row for row in rows}


def _context(engine: Engine, config: JoinConfig) -> Context:
    priced = engine.rows("SELECT DISTINCT candidate AS name FROM price_windows ORDER BY name")
    bad = engine.rows(
        "SELECT candidate, reason, source_file, source_line FROM rejected_prices "
        "WHERE candidate IS NOT NULL"
    )
    unpriced = engine.rows(
        "SELECT DISTINCT candidate_served AS name FROM rejected_requests "
        "WHERE reason = 'no_price' ORDER BY name"
    )
    spans = engine.rows(
        "SELECT name, min(value) AS low, max(value) AS high FROM labels WHERE name IN "
        "(SELECT name FROM rejected_labels WHERE reason = 'value_out_of_range') "
        "GROUP BY name ORDER BY name"
    )
    ids = engine.rows("SELECT request_id FROM request_rows WHERE request_id IS NOT NULL LIMIT 1")
    return Context(
        priced=tuple(row["name"] for row in priced),
        sources=config.label_sources,
        request_id=ids[0]["request_id"] if ids else None,
        rejected_prices={
            row["candidate"]: f"{row['reason']} at {row['source_file']}:{row['source_line']}"
            for row in bad
        },
        unpriced=tuple(row["name"] for row in unpriced),
        label_spans={row["name"]: (row["low"], row["high"]) for row in spans},
    )


def _check_balance(accounts: Mapping[str, Account], alone: int, output: Path) -> None:
    """Hold the accounts against the rows written; ``alone`` counts decisions without request."""
    written = pq.read_metadata(JoinedFolder(output).outcomes).num_rows
    if written != accounts["requests"].used + alone:
        raise JoinError(
            f"{written} outcomes were written for {accounts['requests'].used} used requests and "
            f"{alone} decisions without one; "
            "this is a defect of the join, please report it with report.json"
        )
    rejected = pq.read_table(JoinedFolder(output).rejects, columns=["source"])["source"].to_pylist()
    for source, account in accounts.items():
        if account.balance or rejected.count(source) != account.n_rejected:
            raise JoinError(
                f"{source}: {account.rows_in} rows in, but {account.as_dict()} and "
                f"{rejected.count(source)} rejects written; this is a defect of the join, "
                "please report it with report.json"
            )


def _write_report(output: Path, report: dict[str, Any]) -> None:
    text = orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_NAIVE_UTC)
    JoinedFolder(output).report.write_bytes(text)
    JoinedFolder(output).summary.write_text(render(report), encoding="utf-8")
