"""mkdocs hook: adds the generated pages and figures to the site, and refuses undocumented names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs runs a hook as a file of no package


def on_config(config: Any) -> Any:
    """A folder in the navigation stands for its pages, the index first."""
    from tools.docs.python_api import pages

    listed = {f"reference/python/{name}" for name in pages(ROOT)}
    listed |= {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    config.nav = _expanded(config.nav, listed)
    return config


def _expanded(entries: Any, listed: set[str]) -> Any:
    if isinstance(entries, str):
        if not entries.endswith("/"):
            return entries
        found = [path for path in listed if path.rpartition("/")[0] == entries.rstrip("/")]
        return sorted(found, key=lambda path: (not path.endswith("index.md"), path))
    if isinstance(entries, dict):
        return {title: _expanded(value, listed) for title, value in entries.items()}
    return [_expanded(entry, listed) for entry in entries]


def on_files(files: Files, *, config: Any) -> Files:
    """Add what is generated."""
    from tools.docs.pages import generated

    for path, content in generated(ROOT).items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Equations of pages, ``$`x`$`` and ``$$x$$``, as MathML."""
    from tools.docs.rst import equations

    return equations(markdown)
