"""mkdocs hook: adds the generated pages and figures to the site, and refuses undocumented names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs runs a hook as a file of no package


def on_files(files: Files, *, config: Any) -> Files:
    """Add what is generated."""
    from tools.docs.pages import generated

    for path, content in generated(ROOT).items():
        files.append(File.generated(config, path, content=content))
    return files
