"""New log since the last cycle: every part is read once, however often and late it is delivered.

A file of a decision log grows. What is new in it, up to its last whole line, is a partition: staged
as canonical Parquet in the loop's folder and entered with its digest. A file that was renamed,
compressed or delivered a second time has nothing new; one whose earlier bytes changed, because text
was erased from it, is staged again as a whole. Request logs and label files are partitions as they
are, each content once.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.join.sources.decisions import log_files, stage_log
from pipelines.join.sources.files import expand
from pipelines.join.sources.json_records import json_records
from router_ml.errors import SchemaError

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of a log that has been taken.

    Parameters
    ----------
    source : ``decisions``, ``requests`` or ``labels``
    path : file that it was first found in
    digest : SHA-256 of its bytes
    begin, end : its bytes in the file, decompressed
    line : lines of the file before it
    decisions, labels : rows of either kind; of a decision log alone
    first, last : time of its earliest and latest decision, ISO 8601; ``""`` where it has none
    late : whether all of it is older than what had been taken before
    duplicate_of : digest of the same content elsewhere; ``""`` where this is the first
    staged : stem of its Parquet files; ``""`` where there are none
    size, modified_ns : of the file when it was looked at, to leave alone what has not changed
    """

    source: str
    path: str
    digest: str
    begin: int = 0
    end: int = 0
    line: int = 0
    decisions: int = 0
    labels: int = 0
    first: str = ""
    last: str = ""
    late: bool = False
    duplicate_of: str = ""
    staged: str = ""
    size: int = 0
    modified_ns: int = 0

    @property
    def key(self) -> str:
        """What it is entered under."""
        return sha256(f"{self.source} {_stem(self.path)} {self.begin}".encode()).hexdigest()


@dataclass(slots=True)
class Taken:
    """All partitions by key, and which of them a cycle added or found changed.

    Parameters
    ----------
    every : those in force
    new : keys of those that bring content
    touched : keys to be written: new ones, duplicates, files looked at again
    dropped : keys of those that no longer hold
    """

    every: dict[str, Partition] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, rows: Mapping[str, Mapping[str, Any]]) -> Taken:
        """What a store holds."""
        known = {key: {k: v for k, v in row.items() if k != "cycle"} for key, row in rows.items()}
        return cls({key: Partition(**row) for key, row in known.items()})

    @property
    def entries(self) -> list[tuple[str, dict[str, Any]]]:
        """What a store is to enter; an empty row deletes."""
        gone: list[tuple[str, dict[str, Any]]] = [(key, {}) for key in self.dropped]
        return gone + [(key, asdict(self.every[key])) for key in dict.fromkeys(self.touched)]

    @property
    def digest(self) -> str:
        """Of all content in force: what a cycle rests on."""
        digests = sorted({p.digest for p in self.every.values() if not p.duplicate_of})
        return sha256("".join(digests).encode()).hexdigest()

    @property
    def text(self) -> str:
        """One line for people."""
        new = [self.every[key] for key in self.new]
        again = sum(1 for key in set(self.touched) if self.every[key].duplicate_of)
        late = sum(p.late for p in new)
        parts = [
            f"{len(new):,} new partitions",
            f"{sum(p.decisions for p in new):,} decisions",
            f"{sum(p.labels for p in new):,} feedbacks",
            *([f"{late:,} of them late"] if late else []),
            *([f"{again:,} duplicates left out"] if again else []),
            *([f"{len(self.dropped):,} taken again, because they changed"] if self.dropped else []),
        ]
        return ", ".join(parts)

    def files(self, source: str, folder: Path) -> tuple[str, ...]:
        """Files of a source for a join, each content once."""
        parts = [p for p in self.every.values() if p.source == source and not p.duplicate_of]
        if source != "decisions":
            return tuple(sorted(p.path for p in parts))
        parts.sort(key=lambda p: (p.path, p.begin))
        staged = [
            folder / f"{p.staged}-{kind}.parquet"
            for p in parts
            for kind, n in (("decisions", p.decisions), ("feedback", p.labels))
            if n
        ]
        return tuple(str(path) for path in staged)

    def add(self, part: Partition, *, content: bool) -> None:
        """Enter a partition, as a duplicate where its content is known from elsewhere."""
        same = [
            p for p in self.every.values()
            if p.digest == part.digest and p.key != part.key and not p.duplicate_of
        ]  # fmt: skip
        if content and same:
            one = same[0]
            part = replace(
                part, duplicate_of=one.digest, decisions=one.decisions, labels=one.labels
            )
        self.every[part.key] = part
        self.touched.append(part.key)
        if content and not part.duplicate_of:
            self.new.append(part.key)

    def drop(self, parts: Sequence[Partition]) -> None:
        """Forget partitions, and duplicates of them, which are looked at again."""
        gone = {part.digest for part in parts}
        for key, part in list(self.every.items()):
            if part in parts or part.duplicate_of in gone:
                del self.every[key]
                self.dropped.append(key)


def take(
    known: Taken,
    *,
    decisions: Sequence[str],
    requests: Sequence[str] = (),
    labels: Sequence[str] = (),
    folder: Path,
) -> Taken:
    """Find what is new in files and patterns, and stage it in ``folder``.

    Parameters
    ----------
    known : what was taken before; it is changed and given back

    Raises
    ------
    SchemaError
        If a pattern of requests or labels names no file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source, patterns in (("requests", requests), ("labels", labels)):
        for path in expand(patterns, source) if patterns else ():
            _take_file(known, source, path)
    for path in decision_files(decisions):
        _take_log(known, path, folder)
    return known


def decision_files(patterns: Sequence[str]) -> tuple[Path, ...]:
    """Files of the decision log; none yet is no error: a service that has not decided has none."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        try:
            found.update(dict.fromkeys(log_files([pattern])))
        except SchemaError:
            continue
    return tuple(found)


def _take_file(known: Taken, source: str, path: Path) -> None:
    stat = path.stat()
    part = Partition(source, str(path), "", size=stat.st_size, modified_ns=stat.st_mtime_ns)
    held = known.every.get(part.key)
    if held is not None and (held.size, held.modified_ns) == (part.size, part.modified_ns):
        return
    with path.open("rb") as file:
        hasher = sha256()
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    part = replace(part, digest=hasher.hexdigest(), end=stat.st_size)
    if held is not None and held.digest == part.digest:
        known.add(replace(held, size=part.size, modified_ns=part.modified_ns), content=False)
        return
    if held is not None:
        known.drop([held])
    known.add(part, content=True)


def _take_log(known: Taken, path: Path, folder: Path) -> None:
    """Check what was taken of a file of a decision log, and take the rest of it."""
    stat, stem = path.stat(), _stem(str(path))
    held = sorted(
        (p for p in known.every.values() if p.source == "decisions" and _stem(p.path) == stem),
        key=lambda p: p.begin,
    )
    if held and (held[-1].size, held[-1].modified_ns) == (stat.st_size, stat.st_mtime_ns):
        return
    begin = line = 0
    with _opened(path) as stream:
        for i, part in enumerate(held):
            if _digest(stream, part.end - part.begin)[0] != part.digest:
                known.drop(held[i:])
                break
            begin, line = part.end, part.line + part.decisions + part.labels
    with _opened(path) as stream:
        _skip(stream, begin)
        end = begin + _whole_lines(stream)
    if end == begin:
        if held and held[-1].key in known.every:
            seen = replace(held[-1], size=stat.st_size, modified_ns=stat.st_mtime_ns)
            known.add(seen, content=False)
        return
    with _opened(path) as stream:
        _skip(stream, begin)
        digest = _digest(stream, end - begin)[0]
    part = Partition("decisions", str(path), digest, begin, end, line,
                     size=stat.st_size, modified_ns=stat.st_mtime_ns)  # fmt: skip
    if any(p.digest == digest and not p.duplicate_of for p in known.every.values()):
        known.add(part, content=True)
        return
    latest = max((p.last for p in known.every.values()), default="")
    staged = _staged(part, path, folder)
    known.add(replace(staged, late=bool(staged.last) and staged.last < latest), content=True)


def _staged(part: Partition, path: Path, folder: Path) -> Partition:
    """Write a partition's rows as Parquet, under a name that its content decides."""
    name = f"{part.digest[:16]}-{part.begin}"
    kinds = ("decisions", "feedback")
    made = {kind: folder / f"{name}-{kind}.parquet" for kind in kinds}
    partial = {kind: folder / f".{name}-{kind}.partial" for kind in kinds}
    with _opened(path) as stream:
        _skip(stream, part.begin)
        part_of_file = io.BufferedReader(_Slice(stream, part.end - part.begin), _CHUNK)
        records = (replace(r, line=r.line + part.line) for r in json_records(part_of_file))
        stage_log(records, path, partial["decisions"], partial["feedback"])
    for kind in kinds:
        partial[kind].replace(made[kind])
    rows = {kind: pq.read_metadata(made[kind]).num_rows for kind in kinds}
    first, last = "", ""
    if rows["decisions"]:
        times = pc.min_max(pq.read_table(made["decisions"], columns=["time"])["time"]).as_py()
        if times["min"] is not None:
            first, last = times["min"].isoformat(), times["max"].isoformat()
    return replace(part, decisions=rows["decisions"], labels=rows["feedback"], staged=name,
                   first=first, last=last)  # fmt: skip


class _Slice(io.RawIOBase):
    """The next n bytes of a stream."""

    def __init__(self, stream: BinaryIO, n: int) -> None:
        self._stream = stream
        self._left = n

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there is something left."""
        data = self._stream.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb") as stream:
        yield stream


def _stem(path: str) -> str:
    """The same for a file and its compressed successor."""
    return path.removesuffix(".gz")


def _skip(stream: BinaryIO, n: int) -> None:
    _digest(stream, n) if not stream.seekable() else stream.seek(n)


def _digest(stream: BinaryIO, n: int) -> tuple[str, int]:
    """SHA-256 of the next n bytes, and how many there were."""
    hasher, done = sha256(), 0
    while done < n and (chunk := stream.read(min(_CHUNK, n - done))):
        hasher.update(chunk)
        done += len(chunk)
    return hasher.hexdigest(), done


def _whole_lines(stream: BinaryIO) -> int:
    """Bytes up to the last line feed: what follows is a line under way."""
    done = whole = 0
    while chunk := stream.read(_CHUNK):
        if (place := chunk.rfind(b"\n")) >= 0:
            whole = done + place + 1
        done += len(chunk)
    return whole
