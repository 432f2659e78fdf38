"""A request log with its labels and prices, joined: what routers are learned from and judged by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.api import display
from pipelines.api.sources import Prices, Source, Sources, as_files, read_mapping, with_mapping
from pipelines.api.workspace import Workspace, bars
from pipelines.artifacts import JoinedFolder, read_training_table
from pipelines.config import JoinConfig
from pipelines.console import shares
from pipelines.options import load_config
from pipelines.stages import join
from router_ml.data.full_information import FullInformation, read_matrix
from router_ml.data.outcomes import TrainingTable, read_candidates, read_outcomes
from router_ml.errors import SchemaError
from router_ml.types.candidates import CandidateTable


class Log:
    """What :func:`read_log` made of a log: outcomes, prices, and the accounts of every row.

    Parameters
    ----------
    folder : that the join wrote
    matrix : Parquet of every candidate's outcome on every prompt, if there is one; it judges, and
        is never trained on

    Attributes
    ----------
    folder : pathlib.Path

    Examples
    --------
    >>> import router_ml as rm
    >>> log = rm.read_log(rm.sample("export.csv"), mapping=rm.sample("mapping.yaml"),
    ...     labels=[rm.sample("thumbs.csv")], prices=rm.sample("prices.csv"))
    >>> len(log), log.candidates.names
    (750, ('atlas-medium', 'atlas-nano', 'delta-max'))
    >>> log.coverage[["candidate", "requests", "labelled"]].head(1).to_dict("records")
    [{'candidate': 'atlas-medium', 'requests': 259, 'labelled': 157}]
    """

    def __init__(self, folder: Path | str, *, matrix: Path | str | None = None) -> None:
        self.folder = Path(folder)
        self.matrix = None if matrix is None else Path(matrix)
        self.kept: tuple[Workspace, ...] = ()
        if not JoinedFolder(self.folder).outcomes.is_file():
            raise SchemaError(
                f"expected the folder of a join at {self.folder}, found no outcomes; make one with "
                "read_log or `router-ml join`"
            )

    @classmethod
    def join(cls, config: JoinConfig, *, matrix: Path | str | None = None) -> Log:
        """Join as a config says; :func:`read_log` makes one of its arguments.

        Parameters
        ----------
        config : files, and how they are read
        matrix : Parquet of every candidate's outcome on every prompt, optional

        Raises
        ------
        SchemaError
            If a file cannot be read as what it is said to be.
        JoinError
            If more rows of a source are rejected than the tolerance allows.
        """
        with shares() as advance:
            return cls(join.run(config, progress=advance), matrix=matrix)

    def __len__(self) -> int:
        return len(self.outcomes)

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """One row a request, in order of time; columns as in the reference's tables."""
        return read_outcomes(self.folder)

    @cached_property
    def report(self) -> Mapping[str, Any]:
        """Every number of the join's report."""
        found: dict[str, Any] = json.loads(JoinedFolder(self.folder).report.read_text("utf-8"))
        return found

    @cached_property
    def candidates(self) -> CandidateTable:
        """Candidates that served a request, at their latest prices."""
        return read_candidates(self.folder)

    @property
    def coverage(self) -> pd.DataFrame:
        """What is known of every candidate.

        Columns: ``candidate``, ``requests``, ``labelled`` (requests with a label), ``quality``
        (mean of those, in [0, 1]), ``cost_usd`` and ``latency_ms`` (means of a request). Means are
        of the requests that today's policy sent to each, so they do not compare candidates.
        """
        frame = pd.DataFrame(self.report["candidates"])
        names = {"mean_quality": "quality", "mean_cost_usd": "cost_usd",
                 "mean_latency_ms": "latency_ms"}  # fmt: skip
        frame = frame.rename(columns=names)
        return frame[["candidate", "requests", "labelled", *names.values()]]

    @property
    def accounts(self) -> pd.DataFrame:
        """What became of every row; columns ``source``, ``fate``, ``reason``, ``rows``."""
        rows = []
        for source, account in self.report["accounting"].items():
            rows.append((source, "used", "", account["used"]))
            for fate in ("collapsed", "excluded", "rejected"):
                rows += [(source, fate, reason, n) for reason, n in account[fate].items()]
        return pd.DataFrame(rows, columns=["source", "fate", "reason", "rows"])

    @property
    def rejects(self) -> pd.DataFrame:
        """Rows that were not used, with source, file, line and reason of each."""
        return pd.read_parquet(JoinedFolder(self.folder).rejects)

    @property
    def cannot_tell(self) -> tuple[str, ...]:
        """What this log says nothing of, a sentence each."""
        return tuple(self.report.get("cannot_tell") or ())

    @property
    def cost_usd(self) -> float:
        """Dollars that its requests cost, all together."""
        return float(self.outcomes["cost_usd"].sum())

    def table(self, split: str | None = None) -> TrainingTable:
        """Outcomes as arrays, a row a request.

        Parameters
        ----------
        split : ``train`` or ``test``; default: both
        """
        return read_training_table(self.folder, split)[0]

    def truth(self) -> FullInformation | None:
        """The matrix, if the log has one."""
        return None if self.matrix is None else read_matrix(self.matrix, self.candidates)

    def __repr__(self) -> str:
        labelled = int(self.outcomes["quality"].notna().sum())
        return (
            f"Log({len(self):,} requests, {labelled:,} labelled, {len(self.candidates)} "
            f"candidates, ${self.cost_usd:.2f})"
        )

    def _repr_html_(self) -> str:
        return display.log_html(self)


def read_log(
    requests: Sources | None = None,
    *,
    labels: Sources | None = None,
    prices: Prices | None = None,
    mapping: str | Path | Mapping[str, Any] | None = None,
    matrix: Path | str | None = None,
    output: Path | str | None = None,
    **options: Any,
) -> Log:
    """Read a request log, its labels and its prices, and join them.

    Parameters
    ----------
    requests : paths, patterns or data frames, one or several, in any shape of the
        reference's *Where logs keep things*
    labels : the same, of quality labels
    prices : a price map or table, or ``{candidate: (input, output)}`` in US dollars per million
        tokens
    mapping : how an export's own names are to be read: a YAML file or dictionary as
        :func:`inspect` drafts it. Files named here are read where none is named above; label files
        are recognised by their name
    matrix : Parquet of every candidate's outcome on every prompt, to judge by
    output : folder to keep the join in; default: a temporary one
    options : further keys of the join, such as ``label_ranges`` or ``tolerance``

    Raises
    ------
    ConfigError
        If an option is wrong, or no log or no price is named.
    SchemaError
        If a file or frame cannot be read as what it is said to be.
    JoinError
        If too many rows of a source are rejected; the message says which and what mends them.

    Examples
    --------
    >>> import pandas as pd
    >>> import router_ml as rm
    >>> requests = pd.DataFrame({
    ...     "request_id": ["a", "b"], "time": pd.to_datetime(["2026-01-05", "2026-01-06"]),
    ...     "candidate_served": ["small", "large"], "query": ["Add 2 and 3.", "Prove it."],
    ...     "input_tokens": [9, 8], "output_tokens": [4, 90]})
    >>> log = rm.read_log(requests, prices={"small": (0.15, 0.6), "large": (3.0, 15.0)})
    >>> log
    Log(2 requests, 0 labelled, 2 candidates, $0.00)
    """
    keep = Workspace(output)
    mapped = read_mapping(mapping)
    files = {
        "requests": as_files(requests, keep.path, "requests") or mapped.get("requests", ()),
        "labels": with_mapping(as_files(labels, keep.path, "labels"), mapped.get("labels")),
        "prices": as_files(prices, keep.path, "prices") or mapped.get("prices", ()),
    }
    config = load_config(
        JoinConfig,
        overrides={
            **mapped.get("join", {}),
            **options,
            **{part: tuple(found) for part, found in files.items()},
            "output": keep.path / "joined" if output is None else keep.path,
        },
    )
    with bars():
        try:
            log = Log.join(config, matrix=matrix)
        except SchemaError as error:
            if mapping is not None:
                raise
            raise SchemaError(
                f"{error} (in Python: rm.inspect(files) drafts a mapping of other names; pass it "
                "as mapping=)"
            ) from error
    log.kept = (keep,)
    return log


def inspect(*files: Source) -> str:
    """Draft a mapping for files that nobody prepared: YAML, with the evidence as comments.

    Parameters
    ----------
    files : request log, labels and price list, paths or URLs, in any order

    Returns
    -------
    Text to look through, save, and pass as ``mapping`` to :func:`read_log`.

    Raises
    ------
    ConfigError
        If a file does not exist.
    SchemaError
        If a file cannot be read at all.

    Examples
    --------
    >>> import router_ml as rm
    >>> text = rm.inspect(rm.sample("export.csv"), rm.sample("prices.csv"))
    >>> "candidate_served: model_name" in text
    True
    """
    from pipelines.inspect.draft import draft

    keep = Workspace()
    return draft([str(path) for path in as_files(files, keep.path, "files")])


def as_log(log: Log | Path | str) -> Log:
    """A log, or the folder of one."""
    return log if isinstance(log, Log) else Log(log)
