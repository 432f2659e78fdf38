"""The canonical tables: the one place that declares their columns.

Times are naive UTC microseconds; JSON is kept as text; money is US dollars.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from router_ml.errors import SchemaError

ColumnType = Literal["string", "bigint", "double", "boolean", "timestamp", "string[]", "double[]"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ``required`` means that a file must have it, not that no row may lack a value."""

    name: str
    type: ColumnType
    required: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A named, ordered set of columns.

    Examples
    --------
    >>> LABELS.names
    ('request_id', 'name', 'value', 'source', 'weight', 'time')
    """

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(column.name for column in self.columns)

    def require(self, present: Iterable[str], where: str) -> None:
        """Raise SchemaError unless every required column is ``present``."""
        there = list(present)
        missing = [c.name for c in self.columns if c.required and c.name not in there]
        if missing:
            raise SchemaError(
                f"{where}: {self.name} need the column {', '.join(missing)}; found "
                f"{', '.join(there) or 'none'}; rename it, or map it in {self.name[:-1]}_fields"
            )


REQUESTS: Final = Table(
    "requests",
    (
        Column("request_id", "string", required=True),
        Column("decision_id", "string"),
        Column("time", "timestamp", required=True),
        Column("query_id", "string"),
        Column("group_id", "string"),
        Column("session_id", "string"),
        Column("user_id", "string"),
        Column("tenant", "string"),
        Column("candidate_chosen", "string"),
        Column("candidate_served", "string", required=True),
        Column("eligible", "string[]"),
        Column("propensity", "double"),
        Column("action_probs", "double[]"),
        Column("policy_version", "string"),
        Column("query", "string", required=True),
        Column("messages", "string"),
        Column("tools", "string"),
        Column("answer", "string"),
        Column("input_tokens", "bigint", required=True),
        Column("output_tokens", "bigint", required=True),
        Column("cached_input_tokens", "bigint"),
        Column("cache_write_tokens", "bigint"),
        Column("audio_input_tokens", "bigint"),
        Column("audio_output_tokens", "bigint"),
        Column("service_tier", "string"),
        Column("cost_usd", "double"),
        Column("latency_ms", "double"),
        Column("ttft_ms", "double"),
        Column("status", "string"),
        Column("error_class", "string"),
        Column("finish_reason", "string"),
        Column("cache_hit", "boolean"),
    ),
)

LABELS: Final = Table(
    "labels",
    (
        Column("request_id", "string", required=True),
        Column("name", "string", required=True),
        Column("value", "double", required=True),
        Column("source", "string", required=True),
        Column("weight", "double"),
        Column("time", "timestamp", required=True),
    ),
)

DECISIONS: Final = Table("decisions", (*REQUESTS.columns, Column("caller", "string")))
"""Decisions of the service's log; ``caller`` names the key that asked."""

FEEDBACK: Final = Table(
    "feedback",
    (
        Column("decision_id", "string", required=True),
        Column("time", "timestamp", required=True),
        Column("name", "string"),
        Column("source", "string"),
        Column("quality", "double"),
        Column("candidate_served", "string"),
        Column("input_tokens", "bigint"),
        Column("output_tokens", "bigint"),
        Column("cost_usd", "double"),
        Column("latency_ms", "double"),
        Column("status", "string"),
        Column("answer", "string"),
        Column("caller", "string"),
        Column("labels_others", "boolean"),
    ),
)

PRICES: Final = Table(
    "prices",
    (
        Column("candidate", "string", required=True),
        Column("valid_from", "timestamp"),
        Column("valid_to", "timestamp"),
        Column("input_usd_per_mtok", "double", required=True),
        Column("output_usd_per_mtok", "double", required=True),
        Column("cached_input_usd_per_mtok", "double"),
        Column("cache_write_usd_per_mtok", "double"),
        Column("audio_input_usd_per_mtok", "double"),
        Column("audio_output_usd_per_mtok", "double"),
        Column("tiers", "string"),
        Column("provider", "string"),
        Column("context_window", "bigint"),
        Column("max_output_tokens", "bigint"),
        Column("capabilities", "string[]"),
    ),
)

BANDS: Final = Table(
    "price_bands",
    (
        Column("price_row", "bigint"),
        Column("service_tier", "string"),
        Column("above_tokens", "bigint"),
        Column("up_to_tokens", "bigint"),
        Column("input_usd_per_mtok", "double"),
        Column("output_usd_per_mtok", "double"),
        Column("cached_input_usd_per_mtok", "double"),
        Column("cache_write_usd_per_mtok", "double"),
        Column("audio_input_usd_per_mtok", "double"),
        Column("audio_output_usd_per_mtok", "double"),
    ),
)
"""What a row of ``prices`` comes to for requests of one service tier and one span of input tokens.

Made from its columns and its ``tiers``, a JSON list of objects with ``above_input_tokens`` and
``service_tier`` (``batch``, ``flex``, ``priority``; absent = standard) and the rates that differ.
"""

PROVENANCE: Final = Table(
    "provenance",
    (
        Column("row_id", "bigint"),
        Column("source_file", "string"),
        Column("source_line", "bigint"),
        Column("problem", "string"),
        Column("detail", "string"),
        Column("exclusion", "string"),
        Column("repair", "string"),
        Column("zoneless", "boolean"),
        Column("raw", "string"),
        Column("origin", "string"),
    ),
)
"""What a source adds to every row: where it stood, and what was wrong with it or done to it.

``row_id`` is unique within a source and grows with file and line; ``origin`` names the source that
accounts for the row.
``problem`` is a reject reason found while reading, ``exclusion`` a rule that the source knows the
row to fall under, ``repair`` a change that was made, ``zoneless`` that its time had no zone, and
``raw`` the record as it stood (of rows with a problem).
"""

OUTCOME_COLUMNS: Final = (
    Column("quality", "double"),
    Column("n_labels", "bigint"),
    Column("label_source", "string"),
    Column("label_weight", "double"),
    Column("cost_source", "string"),
    Column("split", "string"),
)

OUTCOMES: Final = Table("outcomes", (*REQUESTS.columns, *OUTCOME_COLUMNS))

REJECTS: Final = Table(
    "rejects",
    (
        Column("source", "string"),
        Column("file", "string"),
        Column("line", "bigint"),
        Column("key", "string"),
        Column("reason", "string"),
        Column("detail", "string"),
        Column("row", "string"),
    ),
)
