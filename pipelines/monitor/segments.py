"""Which segments a logged decision belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from router_ml.errors import RouterError
from router_ml.evaluation.segmentation import languages, length
from router_ml.features.query import Query, parse_query

CLUSTER: Final = "cluster"
_OF_TEXT: Final = frozenset({"language", "length", "tools"})


class Segmenter:
    """Names segments; what people wrote is looked at only where the log has it.

    Parameters
    ----------
    kinds : language, length and tools, which need text; cluster, which whoever has the bundle
        names; any other is a tag's name

    Examples
    --------
    >>> segmenter = Segmenter(kinds=("task", "tools"))
    >>> segmenter.segments({"tags": {"task": "sql"}, "query": "Count the users"})
    {'task': 'sql', 'tools': 'no tools'}
    """

    def __init__(self, *, kinds: Sequence[str]) -> None:
        self.kinds = tuple(kinds)
        self._of_text = _OF_TEXT.intersection(kinds)

    def segments(self, row: Mapping[str, Any], cluster: str | None = None) -> dict[str, str]:
        """Kind to value, of those that are known."""
        tags = row.get("tags")
        found = {}
        if isinstance(tags, Mapping):
            found = {k: str(tags[k]) for k in self.kinds if tags.get(k) is not None}
        if cluster is not None and CLUSTER in self.kinds:
            found.setdefault(CLUSTER, cluster)
        query = query_of(row) if self._of_text else None
        if query is not None:
            if "language" in self.kinds and "language" not in found:
                (found["language"],) = languages([query])
            if "length" in self.kinds and "length" not in found:
                found["length"] = length(query.history_chars)
            if "tools" in self.kinds and "tools" not in found:
                found["tools"] = "tools offered" if query.tools else "no tools"
        return found


def query_of(row: Mapping[str, Any]) -> Query | None:
    """What was asked; ``None`` where the log has no text, or it cannot be read."""
    said = row.get("query") if row.get("query") is not None else row.get("messages")
    if said is None:
        return None
    try:
        return parse_query(said, row.get("tools"))
    except RouterError:
        return None
