"""What a label file's values mean: their scale, where they come from, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipelines.inspect.kinds import Times, has_decimal_comma, numbers, times
from pipelines.inspect.names import ROLES, speaks_for, words
from pipelines.inspect.sample import Sample

_WORDS: Final = {
    **dict.fromkeys(
        ("up", "thumbs_up", "thumbs up", "thumbsup", "good", "positive", "pos", "yes", "pass",
         "passed", "correct", "right", "like", "liked", "helpful", "accept", "accepted", "win",
         "👍", "ok", "gut", "ja", "richtig", "hilfreich", "bien", "bon", "oui", "sí", "si",
         "bueno", "correcto", "bra"), 1.0),
    **dict.fromkeys(
        ("down", "thumbs_down", "thumbs down", "thumbsdown", "bad", "negative", "neg", "no",
         "fail", "failed", "incorrect", "wrong", "dislike", "disliked", "unhelpful", "reject",
         "rejected", "loss", "lose", "👎", "schlecht", "nein", "falsch", "nicht hilfreich",
         "mauvais", "mal", "non", "malo", "incorrecto"), 0.0),
    **dict.fromkeys(("neutral", "mixed", "partial", "tie", "partially correct", "teils",
                     "teilweise", "moyen", "regular"), 0.5),
}  # fmt: skip
_SCALES: Final = ((0.0, 1.0), (-1.0, 1.0), (1.0, 5.0), (0.0, 5.0), (1.0, 10.0), (0.0, 10.0),
                  (1.0, 3.0), (1.0, 7.0), (1.0, 4.0), (0.0, 100.0))  # fmt: skip
_SOURCES: Final = (
    ("user", {"thumb", "thumbs", "vote", "votes", "feedback", "like", "liked", "customer", "user"}),
    ("judge", {"judge", "llm", "eval", "evaluator", "ai", "auto", "model"}),
    ("checker", {"exact", "match", "check", "checker", "test", "tests", "passed", "correct",
                 "unit"}),
    ("human", {"score", "scores", "rating", "ratings", "stars", "review", "reviews", "human",
               "annotation", "annotations", "grade", "expert", "csat"}),
)  # fmt: skip

_TRIALS: Final = {"trials", "runs", "attempts", "samples", "repeats", "n", "k", "total", "count"}
_SUCCESS: Final = {"success", "successes", "passed", "passes", "correct", "right", "wins", "solved",
                   "succeeded", "ok", "c"}  # fmt: skip


@dataclass(slots=True)
class Labels:
    """A label file, as far as it was recognised.

    Parameters
    ----------
    fields : canonical column -> column of the file
    name, source : of its rows, where they give none
    scale : worst and best value; None = 0 to 1
    values : word -> value
    evidence : canonical column -> why
    times : how its times are written
    matched : share of its ids that the request log has
    """

    fields: dict[str, str] = field(default_factory=dict)
    name: str = ""
    source: str = ""
    scale: tuple[float, float] | None = None
    values: dict[str, float] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    times: Times | None = None
    matched: float | None = None
    decimal_comma: bool = False


def label_columns(sample: Sample, ids: Set[str]) -> Labels:
    """Recognise a label file; ``ids`` are those of the request log, as far as they are known."""
    found = Labels()
    _take_id(found, sample, ids)
    _take_time(found, sample)
    _take_counts(found, sample)
    rest = [column for column in sample.columns if column not in found.fields.values()]
    if "n_success" not in found.fields:
        _take_value(found, sample, rest)
    rest = [column for column in rest if column not in found.fields.values()]
    for name in ("name", "source"):
        for column in rest:
            distinct = {str(value) for value in sample.values(column)}
            strange = name == "source" and not distinct <= {one for one, _ in _SOURCES}
            if name in words(column) and 0 < len(distinct) <= 50 and not strange:
                found.fields[name] = column
                found.evidence[name] = f"named so: {', '.join(sorted(distinct)[:4])}"
                break
    said = words(Path(sample.path).stem) | words(found.fields.get("value", ""))
    if "name" not in found.fields:
        found.name = found.fields.get("value", Path(sample.path).stem)
    if "source" not in found.fields:
        found.source = next((name for name, hints in _SOURCES if said & hints), "human")
    return found


def _take_id(found: Labels, sample: Sample, ids: Set[str]) -> None:
    shares = {
        column: sum(1 for v in values if str(v) in ids) / len(values)
        for column in sample.columns
        if (values := sample.values(column))
    }
    column = max(shares, key=lambda name: shares[name], default=None)
    if column is not None and shares[column] > 0.02:
        found.fields["request_id"] = column
        found.matched = shares[column]
        found.evidence["request_id"] = f"{shares[column]:.1%} of its values are ids of the log"
        return
    named = [c for c in sample.columns if words(c) & ROLES["id"]]
    if named:
        best = max(named, key=lambda c: speaks_for(c, "id", "request"))
        found.fields["request_id"] = best
        found.matched = 0.0 if ids else None
        found.evidence["request_id"] = "named so; none of its values is an id of the log"


def _take_time(found: Labels, sample: Sample) -> None:
    for column in sorted(sample.columns, key=lambda name: -speaks_for(name, "time")):
        read = times(sample.values(column)) if speaks_for(column, "time") else None
        if read is not None:
            found.fields["time"], found.times = column, read
            found.evidence["time"] = f"times from {read.first:%Y-%m-%d} to {read.last:%Y-%m-%d}"
            return


def _take_counts(found: Labels, sample: Sample) -> None:
    """Runs, and how many of them succeeded: whole numbers, one never above the other."""
    whole = {}
    for column in sample.columns:
        figures = numbers(sample.values(column))
        if figures and len(figures) == len(sample.rows) and all(f == int(f) for f in figures):
            whole[column] = figures
    for trials in (c for c in whole if words(c) & _TRIALS and min(whole[c]) >= 1):
        for success in (c for c in whole if words(c) & _SUCCESS and c != trials):
            pairs = list(zip(whole[success], whole[trials], strict=True))
            if all(0 <= s <= t for s, t in pairs):
                found.fields |= {"n_trials": trials, "n_success": success}
                found.evidence["n_trials"] = f"{max(whole[trials]):g} runs at most"
                found.evidence["n_success"] = f"never above {trials}"
                return


def _take_value(found: Labels, sample: Sample, columns: Sequence[str]) -> None:
    best: tuple[float, str] | None = None
    for column in columns:
        values = sample.values(column)
        if not values:
            continue
        comma = has_decimal_comma(values)
        figures = numbers(values, decimal_comma=comma)
        told = sum(1 for v in values if _is_word(v)) / len(values)
        if figures is None and told < 0.9:
            continue
        few = len({str(value) for value in values}) <= 11
        score = 2.0 * speaks_for(column, "value") + few - 2.0 * speaks_for(column, "id", "time")
        if best is None or score > best[0]:
            best = (score, column)
    if best is None:
        return
    column = best[1]
    values = sample.values(column)
    found.fields["value"] = column
    found.decimal_comma = has_decimal_comma(values)
    figures = numbers(values, decimal_comma=found.decimal_comma)
    if figures is None:
        seen = sorted({str(value).strip().lower() for value in values if _is_word(value)})
        found.values = {w: _WORDS[w] for w in seen if w in _WORDS}
        found.evidence["value"] = "verdicts: " + ", ".join(seen[:6])
        return
    found.scale, found.evidence["value"] = scale_of(figures)


def _is_word(value: Any) -> bool:
    return isinstance(value, bool) or str(value).strip().lower() in {*_WORDS, "true", "false"}


def scale_of(figures: Sequence[float]) -> tuple[tuple[float, float] | None, str]:
    """Worst and best value of a scale, None for 0 to 1; and what speaks for it.

    Examples
    --------
    >>> scale_of([-1.0, 1.0, 1.0])
    ((-1.0, 1.0), 'values -1, 1: a scale from -1 to 1')
    >>> scale_of([0.0, 1.0])[0] is None
    True
    """
    low, high = min(figures), max(figures)
    distinct = sorted(set(figures))
    shown = (
        "values " + ", ".join(f"{v:g}" for v in distinct)
        if len(distinct) <= 11
        else f"{len(distinct)} values from {low:g} to {high:g}"
    )
    if low >= 0.0 and high <= 1.0:
        return None, f"{shown}: already from 0 to 1"
    for worst, best in _SCALES[1:]:
        if low >= worst and high <= best and (best - worst <= 10 or high > 10):
            what = "percent" if best == 100.0 else f"a scale from {worst:g} to {best:g}"
            return (worst, best), f"{shown}: {what}"
    return (low, high), f"{shown}: no scale that is known, so from the least to the greatest"
