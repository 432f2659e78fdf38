"""What a router says of its own training queries, by estimators that had not seen them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from router_ml.errors import SchemaError
from router_ml.types.arrays import FloatArray
from router_ml.types.predictions import PARTS, Predictions

HELD_OUT: Final = "held_out.parquet"
_CANDIDATES: Final = b"candidates"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out predictions of n training queries, so that a log can judge what was learned from it.

    Parameters
    ----------
    query_id, group_id : str arrays, shape (n,); every query of a group is held out together
    candidates : K names, the order of the predictions' columns
    predictions : arrays of shape (n, K)
    """

    query_id: np.typing.NDArray[np.str_]
    group_id: np.typing.NDArray[np.str_]
    candidates: tuple[str, ...]
    predictions: Predictions

    def save(self, folder: Path) -> None:
        """Write ``held_out.parquet``: hashes and numbers, no text."""
        parts = {part: _column(getattr(self.predictions, part)) for part in PARTS}
        table = pa.table({"query_id": self.query_id, "group_id": self.group_id, **parts})
        names = "\n".join(self.candidates).encode()
        pq.write_table(table.replace_schema_metadata({_CANDIDATES: names}), folder / HELD_OUT)

    @classmethod
    def load(cls, folder: Path) -> HeldOut | None:
        """Read what :meth:`save` wrote; ``None`` where there is no such file.

        Raises
        ------
        SchemaError
            If the file was not written by :meth:`save`.
        """
        path = folder / HELD_OUT
        if not path.is_file():
            return None
        table = pq.read_table(path)
        missing = {"query_id", "group_id", *PARTS} - set(table.column_names)
        if missing or _CANDIDATES not in (table.schema.metadata or {}):
            raise SchemaError(
                f"{path} holds no held-out predictions (lacks "
                f"{', '.join(sorted(missing)) or 'its candidates'}); train again"
            )
        parts = {part: np.stack(table[part].to_numpy()).astype(float) for part in PARTS}
        return cls(
            query_id=table["query_id"].to_numpy().astype(str),
            group_id=table["group_id"].to_numpy().astype(str),
            candidates=tuple(table.schema.metadata[_CANDIDATES].decode().split("\n")),
            predictions=Predictions(**parts),
        )


def _column(values: FloatArray) -> pa.Array:
    """A row's values as one list each, in single precision."""
    flat = pa.array(np.asarray(values, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
