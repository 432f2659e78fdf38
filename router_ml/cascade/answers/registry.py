"""Answer readers by name, so that a bundle can list those it wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from router_ml.cascade.answers.reader import AnswerReader
from router_ml.cascade.answers.readers.json_calls import JsonCallsReader
from router_ml.cascade.answers.readers.json_values import JsonReader
from router_ml.cascade.answers.readers.numbers import NumbersReader
from router_ml.cascade.answers.readers.text import TextReader
from router_ml.cascade.answers.readers.tool_calls import ToolCallsReader
from router_ml.cascade.answers.readers.written_calls import WrittenCallsReader
from router_ml.errors import ConfigError

READERS: Final[dict[str, AnswerReader]] = {
    reader.name: reader
    for reader in (
        ToolCallsReader(),
        JsonCallsReader(),
        WrittenCallsReader(),
        JsonReader(),
        NumbersReader(),
        TextReader(),
    )
}
DEFAULT_READERS: Final = tuple(READERS)
"""What a newly trained scorer reads answers by, in this order."""
FIRST_READERS: Final = ("tool_calls", "json_calls", "written_calls", "numbers", "text")
"""Of bundles that list none: those exported before readers had names."""


def register(reader: AnswerReader) -> None:
    """Make a reader of one's own known, before a scorer that lists it is trained or loaded.

    Raises
    ------
    ConfigError
        If the name is taken, or one of its columns is another reader's. Readers of one thing in
        several notations share all their columns, or none.
    """
    if reader.name in READERS:
        raise ConfigError(f"there is a reader {reader.name!r} already; choose another name")
    for other in READERS.values():
        shared = set(reader.columns) & set(other.columns)
        if shared and reader.columns != other.columns:
            raise ConfigError(
                f"reader {reader.name!r} has columns of {other.name!r}: {sorted(shared)}; "
                "rename them, or share all of them"
            )
    READERS[reader.name] = reader


def get_readers(names: Sequence[str]) -> tuple[AnswerReader, ...]:
    """Readers in this order.

    Raises
    ------
    ConfigError
        If one is unknown; the text names those that are known.
    """
    unknown = [name for name in names if name not in READERS]
    if unknown:
        raise ConfigError(
            f"answer readers must be among {', '.join(READERS)}, got {', '.join(unknown)}: "
            "register them first, or export the cascade again"
        )
    return tuple(READERS[name] for name in names)
