"""Records out of CSV: separator told from the header, rows that a stray quote swallows found."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from pipelines.join.sources.records import Record
from pipelines.join.sources.values import UnreadableError, to_time
from router_ml.errors import SchemaError

SEPARATORS: Final = ",;\t|"
MAX_FIELD_CHARS: Final = 1 << 27
_LEARNED_ROWS: Final = 200


def csv_records(path: Path, stream: BinaryIO, *, encoding: str = "") -> Iterator[Record]:
    """Records of a CSV file with a header line; ``line`` is the last that a record stands on.

    Raises
    ------
    SchemaError
        If the header cannot be read, or a quote swallows lines that are rows themselves.
    """
    csv.field_size_limit(MAX_FIELD_CHARS)
    lines = _Lines(stream, encoding)
    separator = lines.separator()
    reader = csv.reader(lines, delimiter=separator)
    header = _header(path, reader)
    rows = _RowShape(len(header), separator)
    while True:
        lines.taken.clear()
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise SchemaError(f"{path}:{reader.line_num} is not CSV: {error}") from error
        if values is None:
            return
        if not values:
            continue
        if len(lines.taken) > 1:
            whole = len(values) == len(header)
            _check_quotes(path, reader.line_num, lines.taken, rows, whole=whole)
        elif len(values) == len(header):
            rows.learn(values)
        readable = [_readable(value) for value in values]
        if readable != values:
            yield Record(reader.line_num, readable, None, "not UTF-8")
        elif len(values) != len(header):
            detail = f"{len(values)} fields, the header has {len(header)}"
            yield Record(reader.line_num, values, None, detail)
        else:
            named = {k: v if v != "" else None for k, v in zip(header, values, strict=True)}
            yield Record(reader.line_num, values, named)


def read_header(path: Path, stream: BinaryIO, *, encoding: str = "") -> tuple[str, ...]:
    """Column names, of which no two are alike."""
    lines = _Lines(stream, encoding)
    return _header(path, csv.reader(lines, delimiter=lines.separator()))


def separator_of(stream: BinaryIO, *, encoding: str = "") -> str:
    """What separates the columns of CSV, by its header."""
    return _Lines(stream, encoding).separator()


class _Lines:
    """Lines of text; what is not UTF-8 goes through as surrogates, and is told from what is.

    ``taken`` are those that the reader took since it was last cleared.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self.taken: list[str] = []
        self._encoding = encoding
        self._stream = iter(stream)
        first = next(self._stream, b"").removeprefix(codecs.BOM_UTF8)
        self._first: str | None = self._decode(first) if first else None

    def separator(self) -> str:
        """What separates the header's columns: the sign that splits it into most."""
        header = self._first or ""

        def columns(sign: str) -> int:
            try:
                return len(next(csv.reader([header], delimiter=sign), []))
            except csv.Error:
                return 0

        return max(SEPARATORS, key=columns)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self._first is not None:
            line, self._first = self._first, None
        else:
            line = self._decode(next(self._stream))
        self.taken.append(line)
        return line

    def _decode(self, line: bytes) -> str:
        if self._encoding:
            try:
                return line.decode("utf-8")
            except UnicodeDecodeError:
                return line.decode(self._encoding, "replace")
        return line.decode("utf-8", "surrogateescape")


class _RowShape:
    """What a row of a file looks like: how many fields, and which of them are numbers or times.

    Learned from the first rows that stand on one line each.
    """

    def __init__(self, n_fields: int, separator: str) -> None:
        self._n_fields = n_fields
        self._separator = separator
        self._learned = 0
        self._typed = dict.fromkeys(range(n_fields), True)

    def learn(self, values: Sequence[str]) -> None:
        """Note which columns hold a number or time in this row, too."""
        if self._learned < _LEARNED_ROWS:
            self._learned += 1
            self._typed = {
                i: True for i in self._typed if values[i] == "" or _is_number_or_time(values[i])
            }

    def rows_in(self, lines: Sequence[str]) -> int:
        """How many lines are rows of this shape, read each by itself."""
        return sum(self._fits(line) for line in lines)

    def _fits(self, line: str) -> bool:
        fields = next(csv.reader([line], delimiter=self._separator), [])
        if len(fields) != self._n_fields:
            return False
        if not self._learned or not self._typed:
            return self._n_fields >= 4
        given = [fields[i] for i in self._typed if fields[i] != ""]
        return bool(given) and all(map(_is_number_or_time, given))


def _is_number_or_time(text: str) -> bool:
    try:
        return to_time(text)[0] is not None
    except UnreadableError:
        return text.strip().lower() in ("nan", "inf", "-inf", "true", "false")


def _check_quotes(
    path: Path, end: int, lines: Sequence[str], rows: _RowShape, *, whole: bool
) -> None:
    """Raise SchemaError where a record over several lines is one row with others inside it."""
    begin = end - len(lines) + 1
    unclosed = sum(line.count('"') for line in lines) % 2 == 1
    # The last line of a whole record ends its text; of any other it may be a row as well.
    swallowed = lines[1:-1] if whole and not unclosed else lines[1:]
    inside = rows.rows_in(swallowed)
    if unclosed or (inside > 0 and 2 * inside >= len(swallowed)):
        what = "never closes" if unclosed else f"closes on line {end} only"
        looks = f", {inside} of which look like rows" if inside else ""
        raise SchemaError(
            f"{path}:{begin}: a quote opens in this line that {what}; it swallows lines "
            f"{begin + 1} to {end}{looks}; double the quote, or put the field in quotes"
        )


def _readable(value: str) -> str:
    """The same text, what was not UTF-8 replaced."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _header(path: Path, reader: Iterator[list[str]]) -> tuple[str, ...]:
    """Column names, of which no two are alike."""
    try:
        names = next(reader, None)
    except csv.Error as error:
        raise SchemaError(
            f"{path}:1 is not CSV: {error}; end lines with a line feed, and save it as UTF-8"
        ) from error
    if not names:
        raise SchemaError(f"{path} has no header line; its first line must name the columns")
    if any(_readable(name) != name for name in names):
        raise SchemaError(
            f"{path}:1 is not UTF-8; save it as UTF-8, or name its encoding in csv_encoding"
        )
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise SchemaError(
            f"{path}:1 names the column {', '.join(twice)} more than once; rename or drop one"
        )
    return tuple(names)
