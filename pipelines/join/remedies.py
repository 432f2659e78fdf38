"""What to do about rejected rows: for every reason one setting, or what to mend."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipelines.join.model_names import match_price

_MEND: Final = "mend the rows, or raise `tolerance`"
_COLUMNS: Final[Mapping[str, str]] = {
    "value_out_of_range": "value",
    "invalid_weight": "weight",
    "invalid_label_prob": "label_prob",
    "invalid_cost": "cost_usd",
    "invalid_latency": "latency_ms",
    "invalid_propensity": "propensity",
    "no_price": "candidate_served",
    "unknown_source": "source",
    "unknown_status": "status",
    "absurd_time": "time",
    "ambiguous_time": "time",
    "no_request": "request_id",
    "negative_tokens": "input_tokens",
    "absurd_tokens": "input_tokens",
    "missing_tokens": "input_tokens",
    "cached_exceed_input_tokens": "cached_input_tokens",
    "conflicting_request_id": "request_id",
    "chosen_not_eligible": "candidate_chosen",
    "redacted_text": "query",
    "truncated_text": "query",
    "missing_n_trials": "name how many runs there were in label_fields.n_trials",
    "invalid_n_trials": "n_trials counts the runs of a label, from 1 on; leave labels of none out",
    "invalid_n_success": "n_success counts runs that succeeded, from 0 to n_trials",
    "missing_price": "candidate",
    "invalid_price": "candidate",
    "no_decision": "decision_id",
}
"""Column whose value a reason is about."""
_FIELDS: Final = {
    "requests": "request_fields",
    "labels": "label_fields",
    "prices": "price_fields",
}
_REMEDIES: Final[Mapping[str, str]] = {
    "no_text": "name where the text is kept in request_fields.messages (or .query)",
    "redacted_text": "let the logger keep prompts (LiteLLM: turn_off_message_logging: false), or "
    "export from where they are kept",
    "truncated_text": "export from a logging callback, which keeps all of it (LiteLLM: raise "
    "MAX_STRING_LENGTH_PROMPT_IN_DB)",
    "missing_tokens": "name where usage is kept in request_fields.input_tokens and .output_tokens; "
    "streams report it only with stream_options: {include_usage: true}",
    "invalid_cost": "name another field in request_fields.cost_usd, or [] to price by tokens",
    "invalid_latency": "name another field in request_fields.latency_s (seconds) or .latency_ms",
    "invalid_propensity": "name another field in request_fields.propensity, or [] to estimate it",
    "absurd_time": "times in milli-, micro- or nanoseconds need time_format: ms, us or ns",
    "unreadable_time": 'say how times are written, such as time_format: "%d/%m/%Y %H:%M" (or ms, '
    'us, ns); where files differ, a list: time_format: [ms, "%d/%m/%Y %H:%M"]',
    "ambiguous_time": "say the zone of times that have none, such as time_zone: Europe/Berlin "
    "(naive_times_are_utc: true for UTC)",
    "absurd_tokens": "raise max_tokens, if that many are right",
    "cached_exceed_input_tokens": "where input tokens leave out the cached ones (Anthropic), name "
    "them in request_fields.uncached_input_tokens in place of .input_tokens",
    "conflicting_request_id": "name an id that is unique in request_fields.request_id",
    "chosen_not_eligible": "name another field in request_fields.eligible, or [] for none",
    "missing_candidate": "name where the model is kept in request_fields.candidate_served",
    "missing_source": "name who gave the labels: labels: [{files: ..., source: human}]",
    "missing_name": "name the labels: labels: [{files: ..., name: thumbs}]",
    "missing_value": "name where the value is kept in label_fields.value",
    "unreadable_value": "say what words are worth, such as label_values: {good: 1, bad: 0}",
    "missing_price": "add the price of the other side, or leave the row out",
    "malformed_line": "export the lines again, or raise `tolerance`",
    "malformed_messages": "name where messages are kept in request_fields.messages",
    "malformed_tools": "name where tools are kept in request_fields.tools, or [] to leave them out",
}
_DIGITS: Final = re.compile(r"\D(1\d{12}|1\d{15}|1\d{18})(?!\d)")
_UNITS: Final = {13: "ms", 16: "us", 19: "ns"}
"""Digits of a time of this century since 1970, by its unit."""


@dataclass(frozen=True, slots=True)
class Context:
    """What remedies may name.

    Parameters
    ----------
    priced : candidates of the price list
    sources : label sources that are known
    request_id : an id of the request log
    rejected_prices : candidate to why its price was rejected, and where
    unpriced : models of the log that no price was found for
    label_spans : name of labels out of range to their least and greatest value
    """

    priced: Sequence[str] = ()
    sources: Sequence[str] = ()
    request_id: str | None = None
    rejected_prices: Mapping[str, str] = field(default_factory=dict)
    unpriced: Sequence[str] = ()
    label_spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def offending(reason: str, row: Mapping[str, Any]) -> str:
    """The first offending value of a reason, in words; ``""`` where there is none to show."""
    if row.get("detail"):
        return str(row["detail"])
    column = _COLUMNS.get(reason) or (
        reason.split("_", 1)[1] if reason.startswith(("missing_", "unreadable_")) else ""
    )
    if column not in row:
        return ""
    value = row[column]
    shown = "nothing" if value is None else repr(str(value)[:60])
    return f"{column} {shown}"


def remedy(source: str, reason: str, row: Mapping[str, Any], context: Context) -> str:
    """The one setting that mends a reason."""
    if source == "decisions" and reason == "no_text":
        return (
            "serve with ROUTER_SERVE_LOG_TEXT=true, or name the log that has the text as "
            "`requests` too"
        )
    if reason == "value_out_of_range" and source == "labels":
        ranges = ", ".join(
            f"{name}: [{low:g}, {high:g}]" for name, (low, high) in context.label_spans.items()
        )
        return f"set label_ranges: {{{ranges}}} (worst and best; these are the least and greatest)"
    if reason == "unknown_source":
        known = ", ".join(context.sources)
        return f"set label_sources: [{known}, {row.get('source')}], the most trusted first"
    if reason == "no_price":
        return _price_remedy(str(row.get("candidate_served")), context)
    if reason == "no_request":
        other = f"; ids of the log are like {context.request_id!r}" if context.request_id else ""
        return f"name the column that holds the log's ids in label_fields.request_id{other}"
    if said := _reading_remedy(reason, row):
        return said
    if reason in _REMEDIES:
        return _REMEDIES[reason]
    if reason.startswith(("unreadable_", "missing_")) and source in _FIELDS:
        return f"name where it is kept in {_FIELDS[source]}.{reason.split('_', 1)[1]}"
    return _MEND


def _reading_remedy(reason: str, row: Mapping[str, Any]) -> str:
    """Where the value tells how it is to be read."""
    detail, file = str(row.get("detail")), str(row.get("source_file")).removesuffix(".gz")
    if reason == "unreadable_time" and (digits := _DIGITS.search(detail)):
        return f"set time_format: {_UNITS[len(digits[1])]}"
    is_json = file.endswith((".json", ".jsonl"))
    if reason == "malformed_line" and "not UTF-8" in detail and not is_json:
        return "say how the file is written, such as csv_encoding: cp1252"
    if reason == "unknown_status":
        return (
            f"say what the word means: status_values: {{{row.get('status')}: success}} (or "
            "failure), or name another field in request_fields.status"
        )
    return ""


def _price_remedy(candidate: str, context: Context) -> str:
    if candidate in context.rejected_prices:
        return f"mend its price, which is rejected: {context.rejected_prices[candidate]}"
    entry, how = match_price(candidate, context.priced)
    if entry == candidate:
        return "its price begins later or ended earlier: mend valid_from or valid_to"
    if entry is not None:
        pairs = {candidate: entry, **_other_names(candidate, context)}
        names = ", ".join(f"{name}: {listed}" for name, listed in pairs.items())
        return f"set price_names: {{{names}}} (the names differ {how})"
    listed = ", ".join(list(context.priced)[:5]) or "none that can be used"
    return f"add its price to the list (it has {listed}), or name it in price_names"


def _other_names(candidate: str, context: Context) -> dict[str, str]:
    """Further models of the log whose price stands under another name."""
    found = {name: match_price(name, context.priced)[0] for name in context.unpriced}
    return {
        name: entry
        for name, entry in found.items()
        if entry is not None and name not in (candidate, entry)
    }
