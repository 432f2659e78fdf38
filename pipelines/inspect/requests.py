"""Which columns of a table are a request's id, time, text, model, tokens, cost and latency."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipelines.inspect.kinds import Times, numbers, times
from pipelines.inspect.names import ROLES, speaks_for, words
from pipelines.inspect.sample import Sample, is_conversation
from pipelines.join.model_names import looks_like_model, match_price
from pipelines.join.sources.requests import status_of
from pipelines.join.sources.values import open_json

_CURRENCIES: Final = {"eur", "euro", "euros", "gbp", "chf", "jpy", "cny", "inr", "€", "£"}
_STATUS_WORDS: Final = {
    **dict.fromkeys(("erfolgreich", "erfolg", "réussi", "succès", "exitoso", "éxito", "done",
                     "finished", "200 ok"), "success"),
    **dict.fromkeys(("fehlgeschlagen", "fehler", "abgebrochen", "échec", "erreur", "fallido",
                     "timeout", "timed out", "aborted", "cancelled", "canceled"), "failure"),
}  # fmt: skip
_OK: Final = ("success", "failure")
_END: Final = frozenset({"end", "ended", "finished", "completed", "ende", "fin"})
NEEDED = ("request_id", "time", "query", "candidate_served", "input_tokens", "output_tokens")


@dataclass(slots=True)
class Columns:
    """Fields of a table that were recognised.

    Parameters
    ----------
    fields : canonical field -> column
    evidence : canonical field -> why, in a few words
    times : how its times are written
    statuses : word of its status -> ``success`` or ``failure``, where the join does not know it
    left_out : columns that are not mapped though they look like it, and why
    """

    fields: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    times: Times | None = None
    statuses: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def take(self, name: str, column: str, why: str) -> None:
        """Note a column for a field."""
        self.fields[name] = column
        self.evidence[name] = why

    @property
    def missing(self) -> list[str]:
        """Needed fields that no column was found for."""
        told = {*self.fields, *(("query",) if "messages" in self.fields else ())}
        return [name for name in NEEDED if name not in told]


def request_columns(
    sample: Sample, *, decimal_comma: bool = False, listed: Sequence[str] = ()
) -> Columns:
    """Recognise the columns of a table of requests; ``listed`` are the names of a price list."""
    table = _Table(sample, decimal_comma)
    found = Columns()
    table.best(found, "messages", _messages_score)
    table.best(found, "time", _time_score)
    if "time" in found.fields:
        found.times = times(sample.values(found.fields["time"]))
    table.best(found, "candidate_served", _candidate_score(listed))
    if "messages" not in found.fields:
        table.best(found, "query", _query_score)
    table.best(found, "request_id", _id_score)
    for name, side, other in (
        ("input_tokens", "input", "output"), ("output_tokens", "output", "input")
    ):  # fmt: skip
        table.best(found, name, _tokens_score(side, other))
    table.best(found, "cached_input_tokens", _cached_score)
    table.best(found, "cost_usd", _cost_score)
    _latency(table, found)
    for name, role in (("answer", "answer"), ("status", "status"), ("session_id", "session"),
                       ("tools", "tools")):  # fmt: skip
        table.best(found, name, _named_score(role, text=name == "answer"))
    _statuses(table, found)
    if not {"latency_ms", "latency_s"} & set(found.fields):
        table.best(found, "end_time", _end_score)
    return found


def _statuses(table: _Table, found: Columns) -> None:
    """Words of the status that the join does not know; where nobody does, it is left out."""
    if "status" not in found.fields:
        return
    column = found.fields["status"]
    told = {str(value).strip().lower() for value in table.facts(column)["values"]}
    strange = {word for word in told if status_of(word) not in _OK}
    found.statuses = {word: _STATUS_WORDS[word] for word in strange if word in _STATUS_WORDS}
    if unknown := sorted(strange - set(found.statuses)):
        del found.fields["status"]
        found.statuses = {}
        found.left_out.append(
            f"{column}: say which of its words ({', '.join(unknown[:5])}) are success and which "
            "failure in status_values, and name it in request_fields.status"
        )


@dataclass(slots=True)
class _Table:
    """A sample with what its columns hold, worked out once."""

    sample: Sample
    decimal_comma: bool
    held: dict[str, dict[str, Any]] = field(default_factory=dict)

    def facts(self, column: str) -> dict[str, Any]:
        """What a column holds."""
        if column not in self.held:
            values = self.sample.values(column)
            self.held[column] = {
                "n": len(values),
                "values": values,
                "numbers": numbers(values[:3_000], decimal_comma=self.decimal_comma),
                "distinct": len({str(value) for value in values}),
                "text": [value for value in values[:2_000] if isinstance(value, str)],
            }
        return self.held[column]

    def best(
        self,
        found: Columns,
        name: str,
        score: Callable[[str, Mapping[str, Any]], tuple[float, str]],
    ) -> None:
        """Take the column that scores highest, if any scores at all."""
        taken = set(found.fields.values())
        scored = [
            (*score(column, self.facts(column)), column)
            for column in self.sample.columns
            if column not in taken and self.facts(column)["n"]
        ]
        scored.sort(key=lambda item: -item[0])
        if scored and scored[0][0] > 0:
            found.take(name, scored[0][2], scored[0][1])


def _time_score(column: str, facts: Mapping[str, Any]) -> tuple[float, str]:
    if (read := times(facts["values"])) is None:
        return 0.0, ""
    late = bool(words(column) & {"end", "ended", "finished", "updated", "completed"})
    hint = speaks_for(column, "time")
    if not hint and facts["numbers"] is not None:
        return 0.0, ""
    return 1.0 + hint - late, f"times from {read.first:%Y-%m-%d} to {read.last:%Y-%m-%d}"


def _end_score(column: str, facts: Mapping[str, Any]) -> tuple[float, str]:
    late = bool(words(column) & _END)
    return (1.0, "when the answer was there") if late and times(facts["values"]) else (0.0, "")


def _messages_score(column: str, facts: Mapping[str, Any]) -> tuple[float, str]:
    some = [open_json(value) for value in facts["values"][:200]]
    talks = sum(1 for value in some if isinstance(value, list) and is_conversation(value))
    if not some or talks < 0.9 * len(some):
        return 0.0, ""
    asked = not words(column) & (ROLES["answer"] - {"completion"})
    return 1.0 + asked, "conversations: lists of messages"


def _candidate_score(
    listed: Sequence[str],
) -> Callable[[str, Mapping[str, Any]], tuple[float, str]]:
    def score(column: str, facts: Mapping[str, Any]) -> tuple[float, str]:
        texts = facts["text"]
        if not texts or facts["numbers"] is not None:
            return 0.0, ""
        families = sum(map(looks_like_model, texts)) / len(texts)
        named = speaks_for(column, "candidate")
        few = facts["distinct"] <= max(2, min(200, facts["n"] // 5))
        if not few:
            return 0.0, ""
        priced = [t for t in set(texts) if match_price(t, listed)[0] is not None]
        share = len(priced) / len(set(texts))
        if families < 0.3 and not named and share < 0.5:
            return 0.0, ""
        known = " that the price list has" if share >= 0.5 else ""
        told = f"{facts['distinct']} different names{known}, such as {texts[0]!r}"
        return 2.0 * families + named + 3.0 * share, told

    return score


def _query_score(column: str, facts: Mapping[str, Any]) -> tuple[float, str]:
    texts = facts["text"]
    if not texts or facts["numbers"] is not None:
        return 0.0, ""
    length = statistics.fmean(len(text) for text in texts)
    spaces = sum(1 for text in texts if " " in text.strip()) / len(texts)
    if length < 12 or spaces < 0.5:
        return 0.0, ""
    named, answers = speaks_for(column, "query"), bool(words(column) & ROLES["answer"])
    score = 1.0 + 2.0 * named - 2.5 * (answers and not named) - (named and answers)
    return score, f"text of {length:.0f} characters on average"


def _id_score(column: str, facts: Mapping[str, Any]) -> tuple[float, str]:
    unique = facts["distinct"] / facts["n"]
    named = speaks_for(column, "id")
    whole = all(isinstance(value, str | int) for value in facts["values"][:200])
    plain = whole and not any(set(str(value)) & set(" .,{[") for value in facts["values"][:200])
    if unique < 0.9 or not (named or (plain and unique > 0.99 and facts["n"] >= 20)):
        return 0.0, ""
    other = speaks_for(column, "user", "session")
    exact = words(column) == {"id"}
    score = named + 0.5 * speaks_for(column, "request") + 0.5 * exact + unique - 2.0 * other
    return score, f"{unique:.1%} of its values are different"


def _tokens_score(side: str, other: str) -> Callable[[str, Mapping[str, Any]], tuple[float, str]]:
    def score(column: str, facts: Mapping[str, Any]) -> tuple[float, str]:
        figures = facts["numbers"]
        if figures is None or not all(figure >= 0 for figure in figures):
            return 0.0, ""
        if any(figure != int(figure) for figure in figures):
            return 0.0, ""
        tokens, mine = bool(words(column) & ROLES["tokens"]), speaks_for(column, side)
        if not mine or speaks_for(column, other) or speaks_for(column, "cost", "cached", "latency"):
            return 0.0, ""
        return tokens + mine, f"whole numbers, median {statistics.median(figures):,.0f}"

    return score


def _cached_score(column: str, facts: Mapping[str, Any]) -> tuple[float, str]:
    if facts["numbers"] is None or not speaks_for(column, "cached"):
        return 0.0, ""
    if words(column) & {"write", "creation", "hit"} or not speaks_for(column, "tokens", "input"):
        return 0.0, ""
    return 1.0, "named so"


def _cost_score(column: str, facts: Mapping[str, Any]) -> tuple[float, str]:
    figures = facts["numbers"]
    if figures is None or not speaks_for(column, "cost") or min(figures) < 0:
        return 0.0, ""
    if words(column) & _CURRENCIES:
        return 0.0, ""
    total = bool(words(column) & {"total", "usd", "$"}) - bool(words(column) & {"input", "output"})
    mean = statistics.fmean(figures)
    return 1.0 + total, f"mean {mean:.6f}; the join checks it against tokens times price"


def _latency(table: _Table, found: Columns) -> None:
    def score(column: str, facts: Mapping[str, Any]) -> tuple[float, str]:
        figures = facts["numbers"]
        if figures is None or not speaks_for(column, "latency") or min(figures) < 0:
            return 0.0, ""
        first = bool(words(column) & {"ttft", "first"})
        return 1.0 - first, f"median {statistics.median(figures):,.2f}"

    table.best(found, "latency_ms", score)
    if "latency_ms" not in found.fields:
        return
    column, why = found.fields.pop("latency_ms"), found.evidence.pop("latency_ms")
    named = words(column)
    middle = statistics.median(table.facts(column)["numbers"])
    in_ms = bool(named & {"ms", "millis", "milliseconds"})
    in_s = bool(named & {"s", "sec", "secs", "seconds"})
    seconds = in_s or (not in_ms and middle < 100)
    unit = "seconds" if seconds else "milliseconds"
    told = "by its name" if in_ms or in_s else "by its size"
    found.take("latency_s" if seconds else "latency_ms", column, f"{why}: {unit}, {told}")


def _named_score(role: str, *, text: bool) -> Callable[[str, Mapping[str, Any]], tuple[float, str]]:
    def score(column: str, facts: Mapping[str, Any]) -> tuple[float, str]:
        if not speaks_for(column, role) or (text and facts["numbers"] is not None):
            return 0.0, ""
        if role == "status" and facts["distinct"] > 10:
            return 0.0, ""
        return 1.0, "named so"

    return score
