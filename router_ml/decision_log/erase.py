"""What people wrote goes, the record of what was decided stays."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from router_ml.decision_log.lines import Line
from router_ml.decision_log.verify import lines_of

Wanted = Callable[[Mapping[str, Any]], bool]
"""Whether a row's text shall go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Rows by what stands in them; of several criteria one is enough, but for ``before``.

    Parameters
    ----------
    ids : of decisions, requests or sessions, or values of tags
    owners : tenants or names of keys
    before : only rows of an earlier time, naive UTC; alone: all of them
    """

    ids: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    before: datetime | None = None

    def __call__(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is meant."""
        if self.before is not None and not _earlier(row.get("time"), self.before):
            return False
        if not self.ids and not self.owners:
            return self.before is not None
        named = {row.get("decision_id"), row.get("request_id"), row.get("session_id")}
        tags = row.get("tags") or ()
        named |= {*(tags.values() if isinstance(tags, dict) else tags)}
        return bool(self.ids & named or self.owners & {row.get("tenant"), row.get("key")})


def erase(files: Sequence[Path], wanted: Wanted) -> int:
    """Erase texts in place; the number of rows that lost theirs.

    Text becomes spaces, so that every other byte of a file stays where it is: a service may go on
    appending to it, and the text is gone from the disk's block as well. Compressed files are
    written anew. A feedback or cascade step names its decision, so an id reaches those, too.

    Parameters
    ----------
    files : of a decision log
    wanted : such as a :class:`Selection`

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    aliases = _decisions_of(files, wanted)

    def meant(row: Mapping[str, Any]) -> bool:
        return wanted(row) or row.get("decision_id") in aliases

    return sum(
        _erase_compressed(path, meant) if path.suffix == ".gz" else _erase_in_place(path, meant)
        for path in files
    )


def _decisions_of(files: Sequence[Path], wanted: Wanted) -> set[str]:
    """Ids of the decisions that are meant: their feedback names no session."""
    found: set[str] = set()
    for path in files:
        for raw in lines_of(path):
            row = _row(raw)
            if row is not None and row.get("kind") != "feedback" and wanted(row):
                found.add(str(row.get("decision_id")))
    return found


def _erase_in_place(path: Path, meant: Wanted) -> int:
    n = offset = 0
    with path.open("r+b") as file:
        for raw in file:
            replaced = _erased(raw, meant)
            if replaced is not None:
                os.pwrite(file.fileno(), replaced, offset)
                n += 1
            offset += len(raw)
        if n:
            os.fsync(file.fileno())
    return n


def _erase_compressed(path: Path, meant: Wanted) -> int:
    replaced = [(raw, _erased(raw, meant)) for raw in lines_of(path)]
    n = sum(new is not None for _, new in replaced)
    if n:
        scratch = path.with_name(f".{path.name}.erasing")
        with gzip.open(scratch, "wb") as out:
            out.writelines(raw if new is None else new for raw, new in replaced)
        scratch.replace(path)
    return n


def _erased(raw: bytes, meant: Wanted) -> bytes | None:
    """The line without its text; ``None`` where there is none, or it is not meant."""
    line = Line.read(raw)
    if line is None or not line.has_text or not raw.endswith(b"\n"):
        return None
    row = _row(raw)
    return line.without_text(len(raw)) if row is not None and meant(row) else None


def _row(raw: bytes) -> Mapping[str, Any] | None:
    try:
        row = json.loads(raw)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _earlier(time: Any, before: datetime) -> bool:
    try:
        return datetime.fromisoformat(str(time)) < before
    except ValueError:
        return False
