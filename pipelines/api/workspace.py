"""Folders that objects of this interface keep their files in."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pipelines.console import audience

QUIET: Final = "ROUTER_ML_QUIET"
"""Variable that, set to anything but nothing or 0, turns progress bars off."""
CACHE: Final = "ROUTER_ML_CACHE"
"""Variable that names the folder for encoders; by default ``.cache``."""


class Workspace:
    """A folder of its own: the one that was named, or a temporary one that goes with this object.

    Parameters
    ----------
    folder : kept; default: temporary, deleted when nothing refers to it any more
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        if folder is not None:
            self.path = Path(folder)
            self.path.mkdir(parents=True, exist_ok=True)
            return
        self.path = Path(tempfile.mkdtemp(prefix="router-ml-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def cache_folder(cache: Path | str | None = None) -> Path:
    """Where encoders are kept: as named, by ``ROUTER_ML_CACHE``, else ``.cache``."""
    return Path(cache or os.environ.get(CACHE) or ".cache")


@contextmanager
def bars() -> Iterator[None]:
    """Nothing is printed; long steps show a bar, in a notebook or on a terminal."""
    wanted = os.environ.get(QUIET, "") in ("", "0") and (_in_notebook() or sys.stderr.isatty())
    with audience("bars" if wanted else "nobody"):
        yield


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this, told without importing IPython."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None and hasattr(shell, "get_ipython") else None
    return type(found).__name__ == "ZMQInteractiveShell"
