"""``python -m serving``: serve as ``ROUTER_SERVE_*`` says."""

from __future__ import annotations

import logging.config
import sys

from router_ml.errors import RouterError
from serving.app import LOGGING, run
from serving.reasons import redact
from serving.settings import Settings


def main() -> None:
    """Start the service; a wrong setting ends it with one line instead of a traceback."""
    logging.config.dictConfig(LOGGING)
    try:
        run(Settings.from_environ())
    except RouterError as error:
        sys.exit(redact(f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    main()
