"""A stage's output folder, replaced as a whole and only when the stage has come to its end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from router_ml.errors import ConfigError


def check_own(folder: Path, marker: str) -> None:
    """ConfigError where a folder is in use and does not hold what this stage writes.

    Parameters
    ----------
    marker : file or folder that every output of the stage holds
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"output must be a folder, got the file {folder}")
    if any(folder.iterdir()) and not (folder / marker).exists():
        raise ConfigError(
            f"{folder} is not empty and holds no {marker}, so it is not from an earlier run and is "
            "left alone; name a new folder as output"
        )


@contextmanager
def replaced(folder: Path, marker: str) -> Iterator[Path]:
    """Write beside ``folder``, and put it in its place at the end; a failure leaves all as it was.

    Raises
    ------
    ConfigError
        See :func:`check_own`.
    """
    check_own(folder, marker)
    partial = folder.parent / f".{folder.resolve().name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
