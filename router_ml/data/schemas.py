"""The canonical tables: the one place that declares their columns.

Times are naive UTC microseconds; JSON is kept as text; money is US dollars.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    >>> LABELS.names[:4]
    ('request_id', 'name', 'value', 'source')
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
                f"{', '.join(there) or 'none'}; rename it, or map it in {self.name[:-1]}_fields, "
                f"such as {{{missing[0]}: its column}}"
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
        Column("n_trials", "bigint"),
        Column("n_success", "bigint"),
        Column("label_prob", "double"),
    ),
)
"""``n_success`` of ``n_trials`` runs stand in for ``value``, or ``value`` is their mean."""

PREFERENCES: Final = Table(
    "preferences",
    (
        Column("query_id", "string", required=True),
        Column("group_id", "string", required=True),
        Column("query", "string", required=True),
        Column("messages", "string"),
        Column("tools", "string"),
        Column("candidate_a", "string", required=True),
        Column("candidate_b", "string", required=True),
        Column("winner", "string", required=True),
        Column("source", "string"),
        Column("weight", "double"),
        Column("time", "timestamp"),
        Column("split", "string", required=True),
    ),
)
"""One row a comparison of two candidates' answers to one query."""

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
        Column("ttft_ms", "double"),
        Column("status", "string"),
        Column("error_class", "string"),
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
    Column("n_trials", "bigint"),
    Column("n_success", "double"),
    Column("label_prob", "double"),
    Column("cost_source", "string"),
    Column("split", "string"),
)

LATER: Final = frozenset({"n_trials", "n_success", "label_prob"})
"""Columns of outcomes that joins of earlier releases lack."""

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

MATRIX: Final = Table(
    "matrix",
    (
        Column("query_id", "string", required=True),
        Column("prompt", "string", required=True),
        Column("tools", "string"),
        Column("candidate", "string", required=True),
        Column("quality", "double"),
        Column("correct", "boolean"),
        Column("cost_usd", "double", required=True),
        Column("latency_ms", "double"),
        Column("latency_s", "double"),
        Column("input_tokens", "bigint", required=True),
        Column("output_tokens", "bigint", required=True),
        Column("answer", "string"),
    ),
)
"""Full information, long; read by :func:`router_ml.data.full_information.read_matrix`."""

MEANINGS: Final[Mapping[str, str]] = {
    "above_tokens": "input tokens above which the band holds",
    "action_probs": "probability of each eligible candidate, in the order of ``eligible``",
    "answer": "the answer's text; with native tool calls the message's content and calls, as JSON",
    "audio_input_tokens": "part of the input tokens that is audio",
    "audio_input_usd_per_mtok": "price of a million audio input tokens",
    "audio_output_tokens": "part of the output tokens that is audio",
    "audio_output_usd_per_mtok": "price of a million audio output tokens",
    "cache_hit": "the answer came from a cache",
    "cache_write_tokens": "part of the input tokens that the provider wrote to its cache",
    "cache_write_usd_per_mtok": "price of a million tokens written to the cache",
    "cached_input_tokens": "part of the input tokens that the provider had in its cache",
    "cached_input_usd_per_mtok": "price of a million cached input tokens",
    "caller": "name of the key that the caller used",
    "candidate": "name of the LLM endpoint",
    "candidate_a": "one of the two that were compared",
    "candidate_b": "the other",
    "winner": "``a``, ``b``, ``tie`` or ``both_bad``",
    "candidate_chosen": "whom the logging policy chose",
    "candidate_served": "who answered",
    "capabilities": "what the candidate can do, such as ``tools``",
    "context_window": "tokens that fit into a request",
    "correct": "instead of ``quality``: right or wrong",
    "cost_source": "``logged``, or ``price``: tokens times the price in force at that time",
    "cost_usd": "dollars that the request cost",
    "decision_id": "the service's id of its decision",
    "detail": "the value or message that the reason is about",
    "eligible": "candidates that the logging policy could have chosen",
    "error_class": "why a failed request failed, such as ``rate_limit``",
    "exclusion": "rule that the source knows the row to fall under",
    "file": "file of the row",
    "finish_reason": "as the provider gives it",
    "group_id": "hash of the normalised text: the unit of every split, fold and bootstrap",
    "input_tokens": "tokens of the request",
    "input_usd_per_mtok": "price of a million input tokens",
    "key": "id of the rejected row",
    "label_prob": "probability with which the request was drawn to be labelled, where it was drawn",
    "label_source": "source of the labels that made ``quality``",
    "label_weight": "sum of the weights of those labels, a label of n trials counting n times",
    "labels_others": "the key may label decisions of others",
    "latency_ms": "from the request to the end of the answer",
    "latency_s": "instead of ``latency_ms``: seconds",
    "line": "line of the row in its file, from 1",
    "max_output_tokens": "most tokens of an answer",
    "messages": "the conversation, JSON of OpenAI's or Anthropic's shape",
    "n_labels": "labels that made ``quality``",
    "labels.n_success": "runs that succeeded, of ``n_trials``; instead of ``value``",
    "labels.n_trials": "runs of the request that were judged; a label of ten weighs as ten",
    "outcomes.n_success": "successes among ``n_trials``, graded ones by their quality",
    "outcomes.n_trials": "runs that made ``quality``; a label without a count is one",
    "labels.name": "what was labelled, such as ``exact_match``",
    "feedback.name": "what was labelled, such as ``quality``",
    "origin": "source that accounts for the row",
    "output_tokens": "tokens of the answer",
    "output_usd_per_mtok": "price of a million output tokens",
    "policy_version": "version of the policy that chose",
    "price_row": "row of the price that the band belongs to",
    "problem": "reject reason found while reading",
    "prompt": "the query's text, or its messages as JSON",
    "propensity": "probability with which the logging policy chose ``candidate_chosen``, in (0, 1]",
    "provider": "who runs the candidate",
    "quality": "of the answer, in [0, 1]; null where unlabelled",
    "query": "text of the request",
    "query_id": "hash of text and tools",
    "raw": "the record as it stood, of rows with a problem",
    "reason": "why it was rejected",
    "repair": "change that was made to the row",
    "request_id": "unique id of the request; labels refer to it",
    "row": "the record as it stood",
    "row_id": "unique within a source, growing with file and line",
    "service_tier": "the provider's tier that served it, such as ``batch``",
    "session_id": "conversation that the request belongs to",
    "source": "who labelled: ``checker``, ``human``, ``judge`` or ``user``",
    "rejects.source": "table of the row: ``requests``, ``labels``, ``prices`` …",
    "source_file": "file of the row",
    "source_line": "line of the row in its file, from 1",
    "split": "``train`` or ``test``",
    "status": "``success`` or ``failure``",
    "tenant": "team or customer",
    "tiers": "prices above a number of input tokens and of other service tiers, JSON",
    "time": "when it began; of labels and feedback, when it was given",
    "tools": "function descriptions on offer, JSON",
    "ttft_ms": "from the request to the first token of a streamed answer",
    "up_to_tokens": "most input tokens for which the band holds",
    "user_id": "who asked",
    "valid_from": "first moment of the price; empty = ever",
    "valid_to": "end of the price, exclusive; empty = none",
    "value": "the label, in [0, 1] or in the range that ``label_ranges`` names",
    "weight": "of the label among those of its source",
    "zoneless": "the time had no zone",
}
"""What a column holds, by its name; ``table.column`` where one name means two things."""
