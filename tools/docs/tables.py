"""The page of canonical tables, matrix and lexical columns."""

from __future__ import annotations

from router_ml.data import schemas
from router_ml.features.lexical import NAMES
from tools.docs.markdown import table

_INTRO = """# Tables and columns

The tables that stages exchange, as Parquet. Times are naive UTC, in microseconds. Money is US
dollars. JSON is kept as text. A required column must be in a file; a value may still be missing in
a row, and [join](join.md) says what becomes of it.

Generated from `router_ml/data/schemas.py`.
"""
_TABLES = (
    (schemas.REQUESTS, "One row a request, as `join` reads it."),
    (schemas.LABELS, "One row a quality label."),
    (schemas.FEEDBACK, "One row a feedback of the service's decision log."),
    (schemas.PRICES, "One row a candidate and the time in which a price holds."),
    (
        schemas.OUTCOMES,
        "`outcomes.parquet`, one row a used request: the columns of requests, and these.",
    ),
    (schemas.DECISIONS, "One decision of the service's log: the columns of requests, and this."),
    (schemas.BANDS, "What a price comes to for one service tier and one span of input tokens."),
    (schemas.REJECTS, "`rejects.parquet`, one row a rejected row of any source."),
    (schemas.PROVENANCE, "What a source adds to every row while `join` runs."),
    (
        schemas.MATRIX,
        "Full information: one row a query and candidate, every candidate for every query. "
        "`evaluate`, `certify` and `promote` judge on it (`--matrix`); nothing learns from it.",
    ),
)


def page() -> str:
    """One section a table."""
    parts = [_INTRO]
    for declared, about in _TABLES:
        columns = declared.columns
        if declared in (schemas.OUTCOMES, schemas.DECISIONS):
            columns = columns[len(schemas.REQUESTS.columns) :]
        rows = [
            (f"`{c.name}`", c.type, "yes" if c.required else "", meaning(declared.name, c.name))
            for c in columns
        ]
        parts.append(f"## {declared.name.capitalize().replace('_', ' ')}\n\n{about}")
        parts.append(table(("column", "type", "required", "meaning"), rows))
    names = ", ".join(f"`{name}`" for name in NAMES)
    parts.append(
        "## Lexical columns\n\nCounts that the lexical features of a query hold, in this order. "
        "Columns that begin with `log_` are log(1 + count). A bundle names the columns it needs "
        f"and gets those.\n\n{names}"
    )
    return "\n\n".join(parts) + "\n"


def meaning(table_name: str, column: str) -> str:
    """What a column holds; LookupError where nobody has said."""
    found = schemas.MEANINGS.get(f"{table_name}.{column}") or schemas.MEANINGS.get(column)
    if found is None:
        raise LookupError(
            f"no meaning of {table_name}.{column}; add it to MEANINGS in router_ml/data/schemas.py"
        )
    return found
