"""Whether a decision log is whole: every line as it was written, none missing, none added."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from router_ml.decision_log.lines import START, Line

FILES: Final = "decisions-*.jsonl*"
_MOST_FINDINGS: Final = 1_000


@dataclass(slots=True)
class Verification:
    """What was found.

    Parameters
    ----------
    rows : lines of the chain
    with_text, erased : of them, those with their text, and those that had one
    unchained : lines of files that an earlier release wrote
    torn : unfinished last lines: a crash, or a write under way
    findings : what is wrong, with file and line
    heads : digest of the last line of every chain; keep them elsewhere, and a log that was cut off
        at its end shows
    """

    rows: int = 0
    with_text: int = 0
    erased: int = 0
    unchained: int = 0
    torn: int = 0
    findings: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    def note(self, path: Path, number: int, text: str) -> None:
        """Add a finding."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(f"{path.name}:{number}: {text}")


def log_files(patterns: Sequence[Path]) -> list[Path]:
    """Files of a log; a folder stands for all of its log files, in the order of their names."""
    found: dict[Path, None] = {}
    for path in patterns:
        found.update(dict.fromkeys(sorted(path.glob(FILES)) if path.is_dir() else [path]))
    return list(found)


def lines_of(path: Path) -> Iterator[bytes]:
    """Lines of a file, compressed or not, with their line feeds."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        yield from file


def verify(
    files: Sequence[Path], *, heads: Sequence[str] = (), starts_later: bool = False
) -> Verification:
    """Follow the chain through files.

    Parameters
    ----------
    files : of all workers, in any order
    heads : digests that must be in the log: heads of former verifications
    starts_later : the log's first files were archived, so that what came before may be missing
    """
    result = Verification()
    first: dict[Path, tuple[str, int]] = {}
    last: dict[Path, str] = {}
    wanted = set(heads)
    for path in files:
        digest = None
        for number, raw in enumerate(lines_of(path), start=1):
            line = Line.read(raw)
            if line is None:
                _unreadable(result, path, number, raw, in_chain=digest is not None)
                continue
            result.rows += 1
            result.with_text += line.has_text
            result.erased += bool(line.text_digest) and not line.has_text
            if line.problem:
                result.note(path, number, line.problem)
            if digest is None:
                first[path] = line.previous, number
            elif line.previous != digest:
                result.note(path, number, "a line before it is missing, or was put in")
            digest = line.digest
            wanted.discard(digest)
        if digest is not None:
            last[path] = digest
    _follow(result, first, last, starts_later)
    result.findings += [f"head {head} is not in the log" for head in sorted(wanted)]
    return result


def _unreadable(
    result: Verification, path: Path, number: int, raw: bytes, *, in_chain: bool
) -> None:
    if not raw.endswith(b"\n"):
        result.torn += 1
    elif in_chain or b'"digest":"' in raw:
        result.note(path, number, "no line of the chain")
    else:
        result.unchained += 1


def _follow(
    result: Verification,
    first: dict[Path, tuple[str, int]],
    last: dict[Path, str],
    starts_later: bool,
) -> None:
    """From file to file: each begins a process, or goes on where another ended."""
    followed: set[str] = set()
    ends = set(last.values())
    for path, (previous, number) in first.items():
        if previous == START:
            continue
        if previous in followed:
            result.note(path, number, "two files go on from the same line")
        elif previous not in ends and not starts_later:
            result.note(path, number, "the file that it goes on from is missing, or its end is")
        followed.add(previous)
    result.heads = sorted(ends - followed)
