"""Writes the service's OpenAPI document: ``python -m tools.openapi FILE``.

It is the document of no router in particular: any candidate's name is accepted. Clients in other
languages are generated from it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from serving.app import create_app
from serving.settings import Settings


def document() -> str:
    """The document, as JSON."""
    app = create_app(Settings(bundle="bundle", api_keys=("key",)))
    return json.dumps(app.openapi(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
