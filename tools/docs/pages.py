"""Every generated file of the site, by its path below ``docs/``."""

from __future__ import annotations

from pathlib import Path

from tools.docs import (
    bundle,
    configuration,
    http_api,
    log_fields,
    python_api,
    settings,
    tables,
)
from tools.docs.figures import figures


def generated(root: Path) -> dict[str, str]:
    """Markdown and SVG by path.

    Raises
    ------
    LookupError
        If an option or a column has no meaning, or a number no unit.
    """
    found = {
        "reference/configuration.md": configuration.page(),
        "reference/tables.md": tables.page(),
        "reference/bundle.md": bundle.page(),
        "reference/http.md": http_api.page(),
        "reference/log-fields.md": log_fields.page(),
        "reference/settings.md": settings.page(),
    }
    found |= {f"reference/python/{name}": text for name, text in python_api.pages(root).items()}
    return found | {f"images/{name}": text for name, text in figures(root).items()}
