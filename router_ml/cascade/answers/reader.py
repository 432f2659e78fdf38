"""What every answer reader is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.reading import Reading
from router_ml.types.answers import Answer


class AnswerReader(ABC):
    """Reads the answers of one notation; stateless, standard library and numpy only.

    Readers are asked in the order in which a bundle lists them, until one's reading is ``final``.
    The first that says what the answer states is believed. What they see becomes columns by name;
    readers of one thing in several notations share columns. All of it runs on the request path:
    every reader caps what it reads.

    ``router_ml.checks.reader.check_reader`` tells whether a reader keeps these rules.

    Attributes
    ----------
    name : under which bundles list it
    columns : names of what it sees, in the order of ``Reading.values``
    always : whether it also describes answers that a reader before it has read to the end
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    always: ClassVar[bool] = False

    @abstractmethod
    def read(self, asked: Asked, answer: Answer) -> Reading | None:
        """Read one answer; ``None`` where it is not of this notation. Never an error."""

    def absent(self, asked: Asked) -> Sequence[float]:
        """Columns of an answer that is not of this notation; zeros unless the reader says more."""
        return (0.0,) * len(self.columns)
