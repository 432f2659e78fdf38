"""The page of request logs: which shapes are told apart, and where each keeps things."""

from __future__ import annotations

from pipelines.join.sources.shapes import SHAPES
from tools.docs.markdown import table

_INTRO = """# Where logs keep things

`join` tells the shape of a request log by its first records, and reads each column from the first
of these paths that has a value. Paths go into nested objects, lists by position, and JSON that is
held as text. Override any of them with `request_fields`
([another log format](../how-to/add-a-log-format.md)). A Parquet or CSV table with canonical columns
([tables](tables.md)) needs no paths.

Generated from `pipelines/join/sources/shapes.py` and `requests.py`.
"""


def page() -> str:
    """One section a shape."""
    parts = [_INTRO]
    for shape in SHAPES:
        rows = [
            (f"`{name}`", ", ".join(f"`{path}`" for path in paths))
            for name, paths in shape.all_fields.items()
            if paths
        ]
        parts += [f"## {shape.name}", table(("column", "paths, the first with a value wins"), rows)]
    return "\n\n".join(parts) + "\n"
