"""Features on disk: written a partition at a time, read as arrays that are not in memory."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np

from router_ml.errors import SchemaError
from router_ml.types.queries import QueryBatch, Tokens

_TYPES: Final = {"lexical": np.float32, "embedding": np.float32, "flat": np.int64}


def write_features(folder: Path, batches: Iterable[QueryBatch]) -> int:
    """Write batches one after the other, so that no more than one is in memory; the rows written.

    Texts are not kept: estimators that read them (fine-tuned encoders) have no use for a file.

    Parameters
    ----------
    folder : made if it is not there; of one machine, or where all that train can read it

    Raises
    ------
    SchemaError
        If batches differ in width, or there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    widths: dict[str, int] = {}
    ends = [np.zeros(1, dtype=np.int64)]
    with ExitStack() as opened:
        files = {name: opened.enter_context((folder / f"{name}.bin").open("wb")) for name in _TYPES}
        for batch in batches:
            tokens = batch.tokens
            first = int(tokens.offsets[0])
            arrays: dict[str, Any] = {
                "lexical": batch.lexical,
                "embedding": batch.embedding,
                "flat": tokens.flat[first : tokens.offsets[-1]],
            }
            for name in ("lexical", "embedding"):
                width = arrays[name].shape[1]
                if widths.setdefault(name, width) != width:
                    raise SchemaError(
                        f"{folder}: {name} has {widths[name]} columns in earlier batches, got "
                        f"{width}; use one encoder for all"
                    )
            for name, kind in _TYPES.items():
                np.ascontiguousarray(arrays[name], dtype=kind).tofile(files[name])
            ends.append(ends[-1][-1] + tokens.offsets[1:] - first)
    if not widths:
        raise SchemaError(f"{folder}: no batch of features to write")
    offsets = np.concatenate(ends)
    np.save(folder / "offsets.npy", offsets)
    np.save(folder / "widths.npy", np.array([widths["lexical"], widths["embedding"]]))
    return len(offsets) - 1


def read_features(folder: Path) -> QueryBatch:
    """What :func:`write_features` wrote: a batch whose arrays stay on disk until they are read.

    :meth:`QueryBatch.chunks` reads them in order; ``linear``, ``token_weights``, ``cluster_table``
    and ``lightgbm`` on Dask are fitted that way.

    Raises
    ------
    SchemaError
        If there is nothing of the kind.
    """
    if not (folder / "widths.npy").is_file():
        raise SchemaError(f"expected features in {folder}, found none; write_features makes them")
    offsets = np.load(folder / "offsets.npy")
    n = len(offsets) - 1
    wide = dict(zip(("lexical", "embedding"), np.load(folder / "widths.npy").tolist(), strict=True))
    shapes = {**{name: (n, width) for name, width in wide.items()}, "flat": (int(offsets[-1]),)}
    arrays = {
        name: np.memmap(folder / f"{name}.bin", dtype=kind, mode="r", shape=shapes[name])
        if np.prod(shapes[name])
        else np.zeros(shapes[name], dtype=kind)
        for name, kind in _TYPES.items()
    }
    nothing = ("",) * n
    return QueryBatch(
        text=nothing,
        tools=nothing,
        tokens=Tokens(arrays["flat"], offsets),
        lexical=arrays["lexical"],
        embedding=arrays["embedding"],
    )
