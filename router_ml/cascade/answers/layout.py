"""Which readers read an answer, and which columns, by name, a scorer wants of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from router_ml.cascade.answers.agreement import AGREEMENT_NAMES
from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.reading import Statement
from router_ml.cascade.answers.registry import DEFAULT_READERS, FIRST_READERS, get_readers
from router_ml.errors import BundleError, ConfigError, SchemaError
from router_ml.features.lexical import NAMES, lexical_columns
from router_ml.types.answers import Answer
from router_ml.types.arrays import FloatArray, IntArray

MAX_ANSWER_CHARS: Final = 8000
_SAYS_NOTHING: Final = Statement("empty", "")


class AnswerLayout:
    """Readers and columns, by name: what ``cascade.json`` says of a scorer's input.

    Parameters
    ----------
    readers : in the order in which they are asked
    own : columns of the readers; default: all of them
    lexical : columns of the query, of :data:`router_ml.features.lexical.NAMES`
    agreement : columns that compare answers, of ``AGREEMENT_NAMES``

    Raises
    ------
    ConfigError
        If a reader, or a column of its own or of agreement, is none of this release.
    SchemaError
        If a lexical column is none of this release.

    Examples
    --------
    >>> layout = AnswerLayout(readers=("numbers", "text"), own=("final_given", "refuses"))
    >>> from router_ml.features.query import Query
    >>> row, says = layout.read(Asked(Query("2 + 3?")), Answer("It is 5."))
    >>> row.tolist(), says.kind, says.key
    ([1.0, 0.0], 'number', '5')
    """

    def __init__(
        self,
        *,
        readers: Sequence[str] = DEFAULT_READERS,
        own: Sequence[str] | None = None,
        lexical: Sequence[str] = NAMES,
        agreement: Sequence[str] = AGREEMENT_NAMES,
    ) -> None:
        self.readers = tuple(readers)
        self._readers = get_readers(self.readers)
        given = dict.fromkeys(name for reader in self._readers for name in reader.columns)
        self._width = len(given)
        places = {name: place for place, name in enumerate(given)}
        # Readers of one thing in several notations share columns: a family, by number.
        families = list(dict.fromkeys(reader.columns for reader in self._readers))
        self._families = [families.index(reader.columns) for reader in self._readers]
        self._absent = dict(zip(self._families, self._readers, strict=True))
        self._columns = [
            np.array([places[name] for name in family], dtype=np.intp) for family in families
        ]
        self.own = tuple(given if own is None else own)
        self.lexical = tuple(lexical)
        self.agreement = tuple(agreement)
        self._own = _positions(self.own, tuple(given), "answer")
        self.lexical_positions = lexical_columns(self.lexical)
        self.agreement_positions = _positions(self.agreement, AGREEMENT_NAMES, "agreement")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnswerLayout) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def n_columns(self, n_candidates: int) -> int:
        """Columns of :meth:`router_ml.cascade.answers.table.AnswerTable.rows`."""
        return len(self.own) + len(self.lexical) + len(self.agreement) + 2 * n_candidates

    def read(self, asked: Asked, answer: Answer) -> tuple[FloatArray, Statement]:
        """Columns :attr:`own` of one answer, float32, and what it says; any answer is valid."""
        if len(answer.text) > MAX_ANSWER_CHARS:
            answer = replace(answer, text=answer.text[:MAX_ANSWER_CHARS])
        row = np.zeros(self._width, np.float32)
        says: Statement | None = None
        final = False
        seen = set()
        for reader, family in zip(self._readers, self._families, strict=True):
            if final and not reader.always:
                continue
            reading = reader.read(asked, answer)
            if reading is not None:
                row[self._columns[family]] = reading.values
                seen.add(family)
                says = reading.says if says is None else says
                final = final or reading.final
        for family, reader in self._absent.items():
            if family not in seen:
                row[self._columns[family]] = asked.recall(reader.absent)
        return row[self._own], _SAYS_NOTHING if says is None else says

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; :meth:`from_dict` reads it."""
        return {
            "readers": list(self.readers),
            "columns": [*self.own, *self.agreement],
            "lexical": list(self.lexical),
        }

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any], *, lexical: Sequence[str] = NAMES) -> AnswerLayout:
        """Read what :meth:`to_dict` wrote, or a file from before readers had names.

        Parameters
        ----------
        spec : content of ``cascade.json``
        lexical : the bundle's, for files that name none

        Raises
        ------
        BundleError
            If this release lacks a reader or a column.
        """
        columns = [str(name) for name in spec["columns"]]
        if "readers" not in spec:
            columns = _renamed(columns)
        try:
            return cls(
                readers=spec.get("readers", FIRST_READERS),
                own=[name for name in columns if name not in AGREEMENT_NAMES],
                lexical=spec.get("lexical", lexical),
                agreement=[name for name in columns if name in AGREEMENT_NAMES],
            )
        except (ConfigError, SchemaError) as error:
            raise BundleError(f"the bundle's answer scorer cannot be served: {error}") from error


def _positions(wanted: Sequence[str], given: Sequence[str], what: str) -> IntArray:
    unknown = [name for name in wanted if name not in given]
    if unknown:
        raise ConfigError(
            f"no reader of this release gives the {what} columns {unknown}: export it again"
        )
    return np.array([given.index(name) for name in wanted], dtype=np.intp)


def _renamed(columns: Sequence[str]) -> list[str]:
    """``query_numbers`` named two columns once; the second, of arithmetic, has its own name now."""
    seen: set[str] = set()
    out = []
    for name in columns:
        out.append("numbers_in_query" if name == "query_numbers" and name in seen else name)
        seen.add(name)
    return out
