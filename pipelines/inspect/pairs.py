"""Files that compare two candidates: which columns name them, and who won."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final

from pipelines.inspect.kinds import Times, times
from pipelines.inspect.names import speaks_for, words
from pipelines.inspect.sample import Sample
from pipelines.join.sources.preferences import CANONICAL, ONE_HOT, WORDS

_SIDES: Final = (("a", "b"), ("1", "2"), ("left", "right"), ("first", "second"))
_FEW: Final = 200
"""Names of candidates are few; more distinct values are texts."""


@dataclass(slots=True)
class Pairs:
    """A file of comparisons, as far as it was recognised.

    Parameters
    ----------
    fields : canonical column -> column of the file
    evidence : canonical column -> why
    """

    fields: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    times: Times | None = None


def pair_columns(sample: Sample, ids: Set[str]) -> Pairs | None:
    """Recognise a file of comparisons; ``None`` if it is none.

    Parameters
    ----------
    ids : of the request log, as far as they are known
    """
    sides = _sides(sample)
    if sides is None:
        return None
    found = Pairs()
    for name, column in zip(("candidate_a", "candidate_b"), sides, strict=True):
        names = sorted({str(value) for value in sample.values(column)})
        found.fields[name] = column
        found.evidence[name] = f"{len(names)} names: {', '.join(names[:3])}"
    if not set(ONE_HOT) <= set(sample.columns) and not _take_winner(found, sample):
        return None
    _take_query(found, sample, ids)
    for column in sample.columns:
        read = times(sample.values(column)) if speaks_for(column, "time") else None
        if column in CANONICAL["time"] or read is not None:
            found.fields["time"], found.times = column, read
            break
    return found


def _sides(sample: Sample) -> tuple[str, str] | None:
    """Two columns of few names each, alike but for the side that they stand on."""
    for left, right in _SIDES:
        for first in sample.columns:
            if left not in words(first):
                continue
            for second in sample.columns:
                same = words(first) - {left} == words(second) - {right}
                if not same or right not in words(second) or second == first:
                    continue
                values = [{str(v) for v in sample.values(c)} for c in (first, second)]
                named = speaks_for(first, "candidate") or values[0] & values[1]
                if named and all(0 < len(v) <= _FEW for v in values):
                    return first, second
    return None


def _take_winner(found: Pairs, sample: Sample) -> bool:
    taken = set(found.fields.values())
    names = {str(value) for column in taken for value in sample.values(column)}
    for column in sample.columns:
        values = [str(value).strip() for value in sample.values(column)]
        if column in taken or not values:
            continue
        told = sum(1 for v in values if v.lower() in WORDS or v in names) / len(values)
        if told >= 0.95 and len(set(values)) > 1 and not words(column) & {"turn", "turns"}:
            found.fields["winner"] = column
            found.evidence["winner"] = "verdicts: " + ", ".join(sorted(set(values))[:5])
            return True
    return False


def _take_query(found: Pairs, sample: Sample, ids: Set[str]) -> None:
    """The column that says what was asked: an id of the log, else the text."""
    taken = set(found.fields.values())
    for column in sample.columns:
        values = sample.values(column)
        known = sum(1 for value in values if str(value) in ids)
        if values and column not in taken and known > 0.02 * len(values):
            found.fields["request_id"] = column
            found.evidence["request_id"] = f"{known / len(values):.1%} are ids of the log"
            return
    canonical = [name for name in CANONICAL["prompt"] if name in sample.columns]
    texts = canonical or [
        column
        for column in sample.columns
        if column not in taken and speaks_for(column, "query") and not speaks_for(column, "answer")
    ]
    if texts:
        found.fields["prompt"] = texts[0]
        found.evidence["prompt"] = "what both were asked"
