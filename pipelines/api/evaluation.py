"""A router judged: by every outcome where a log has a matrix, off policy where it has none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pandas as pd

from pipelines.api import display
from pipelines.api.log import Log, as_log
from pipelines.api.router import Router
from pipelines.api.workspace import Workspace, bars
from pipelines.artifacts import EvaluationFolder
from pipelines.config import EvaluateConfig
from pipelines.options import load_config
from pipelines.stages import evaluate as stage
from router_ml.errors import ConfigError

METRICS: Final = {
    "quality": ("quality", "quality_dr"),
    "cost_usd": ("cost_usd", "cost_usd_dr"),
    "hull_gain": ("hull_gain",),
    "quality_difference": ("quality_difference",),
    "cost_ratio": ("cost_ratio",),
}
"""Column of a table -> the report's names of it, on a matrix and on a log."""


class Evaluation:
    """What :func:`evaluate` found.

    Parameters
    ----------
    folder : that ``router-ml evaluate`` wrote
    router : that was judged; a report needs it
    log : that it was judged on
    keep : temporary folders that go with this object

    Attributes
    ----------
    folder : pathlib.Path

    Examples
    --------
    >>> import router_ml as rm
    >>> found = rm.evaluate(rm.fit(rm.sample_log(), estimator="linear"))
    >>> found.kind, found.verdict.startswith("Today: quality")
    ('log', True)
    >>> sorted(found.segments["kind"].unique())
    ['length', 'task', 'tools']
    >>> sorted(found.figures)
    ['cost_quality', 'reliability']
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        router: Router | None = None,
        log: Log | None = None,
        keep: tuple[Workspace, ...] = (),
    ) -> None:
        self.folder = Path(folder)
        self.router = router
        self.log = log
        self.kept = keep

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """Every number, as ``evaluation.json`` has them."""
        text = EvaluationFolder(self.folder).report.read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)
        return found

    @property
    def kind(self) -> str:
        """``full_information``: every outcome is known; ``log``: doubly robust estimates."""
        return str(self.summary["kind"])

    @property
    def verdict(self) -> str:
        """The sentence that a manager wants."""
        return str(self.summary["verdict"])

    def table(self) -> pd.DataFrame:
        """A row a policy: router, constants, today, hull and, on a matrix, the oracle.

        Columns: ``policy``; ``quality`` and ``cost_usd`` (dollars a request), each with ``_low``
        and ``_high``, its 95 % interval; on a matrix also ``hull_gain``, ``quality_difference``
        and ``cost_ratio`` against the best constant
        """
        return tidy(self.summary["policies"])

    @property
    def segments(self) -> pd.DataFrame:
        """The router against today (on a matrix without a log: the best constant), by segment.

        Columns: ``kind``, ``name``, ``rows``, ``share``, ``quality``, ``difference`` with ``_low``
        and ``_high`` (95 %, all segments at once), ``cost_ratio``, ``verdict``
        """
        rows = []
        for row in self.summary["segments"]["rows"]:
            ends = row["difference"]
            at = {"difference": ends["value"], "difference_low": ends["low"],
                  "difference_high": ends["high"]}  # fmt: skip
            rows.append({**row, **at})
        return pd.DataFrame(rows)

    def report(self, path: Path | str = "report.html") -> Path:
        """Write one HTML file about the router, as ``router-ml report`` does.

        Data, quality and cost with the hull and today, traffic, segments and where it loses,
        calibration, limits, and how to make it again; nothing in it is fetched from elsewhere.

        Parameters
        ----------
        path : of the file

        Raises
        ------
        ConfigError
            If this evaluation does not know its router.

        Examples
        --------
        >>> import tempfile
        >>> import router_ml as rm
        >>> router = rm.fit(rm.sample_log(), estimator="linear")
        >>> folder = tempfile.TemporaryDirectory()
        >>> rm.evaluate(router).report(Path(folder.name, "report.html")).name
        'report.html'
        >>> folder.cleanup()
        """
        if self.router is None:
            raise ConfigError("this evaluation does not know its router; make it with rm.evaluate")
        from pipelines.report.router_report import ReportSources, write_report

        joined = None if self.log is None else self.log.folder
        sources = ReportSources(self.folder, self.router.bundle, self.router.trained, joined)
        return write_report(Path(path), sources)

    @property
    def figures(self) -> dict[str, Path]:
        """Pictures by name."""
        there = EvaluationFolder(self.folder)
        both = {"cost_quality": there.curve, "reliability": there.reliability}
        return {name: path for name, path in both.items() if path.is_file()}

    def __repr__(self) -> str:
        return f"Evaluation({self.kind}, {self.summary['rows']:,} rows: {self.verdict})"

    def _repr_html_(self) -> str:
        return display.evaluation_html(self)


def tidy(policies: Mapping[str, Mapping[str, Mapping[str, float]]]) -> pd.DataFrame:
    """A row a policy, a column a metric with its interval beside it."""
    rows = []
    for policy, metrics in policies.items():
        row: dict[str, Any] = {"policy": policy}
        for column, names in METRICS.items():
            found = next((metrics[name] for name in names if name in metrics), None)
            if found is not None:
                row |= {column: found["value"], f"{column}_low": found["low"],
                        f"{column}_high": found["high"]}  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows)


def evaluate(
    router: Router,
    log: Log | Path | str | None = None,
    *,
    output: Path | str | None = None,
    **options: Any,
) -> Evaluation:
    """Judge a router as it would be served; what ``router-ml evaluate`` does.

    By the log's matrix, if it has one: prompts of the training split are left out. Else off policy,
    on the whole log by what training held out, or on its test split.

    Parameters
    ----------
    router : to judge, as its bundle would be served
    log : default: the one that the router was learned from
    output : folder to keep the evaluation in; default: a temporary one
    options : further keys of the evaluation, such as ``cost_weight`` (quality per dollar) or
        ``budget_shares`` (of what the router costs, > 0)

    Raises
    ------
    ConfigError
        If candidates are unavailable, an option is wrong, or no log is known.
    DataError
        If nothing is left to evaluate on.

    References
    ----------
    .. [1] Dudík, Langford and Li, "Doubly Robust Policy Evaluation and Learning", ICML 2011:
       without a matrix.
    .. [2] Hu et al., "RouterBench", 2024: the hull of the constants ("zero router").

    Examples
    --------
    >>> import router_ml as rm
    >>> router = rm.fit(rm.sample_log(), estimator="linear")
    >>> rm.evaluate(router).table()["policy"].tolist()
    ['today', 'atlas-medium', 'atlas-nano', 'delta-max', 'random', 'router', 'hull']
    """
    if router.unavailable:
        raise ConfigError("an outage is not evaluated; see router.traffic(log)")
    source = router.log if log is None else as_log(log)
    if source is None:
        raise ConfigError("evaluate needs a log: pass one, or fit the router on one")
    keep = Workspace(output)
    config = load_config(
        EvaluateConfig,
        overrides={
            **options,
            "bundle": router.bundle,
            "trained": router.trained,
            "joined": source.folder,
            "matrix": source.matrix,
            "output": keep.path,
        },
    )
    with bars():
        return Evaluation(
            stage.run(config),
            router=router,
            log=source,
            keep=(keep, *router.kept, *source.kept),
        )
