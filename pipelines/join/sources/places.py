"""Where files are: folders that name a partition, and object stores by their URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote

import pyarrow.parquet as pq

from router_ml.errors import ConfigError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL: Final = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_FOLDER: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"


def is_url(place: str) -> bool:
    """Whether a pattern is looked up by fsspec.

    Examples
    --------
    >>> is_url("s3://logs/2026/*.parquet"), is_url("logs/2026/*.parquet")
    (True, False)
    """
    return bool(_URL.match(place))


def is_data(path: Path) -> bool:
    """Whether a file in a folder is data; a writer's own begin with ``_`` or ``.``."""
    return not path.name.startswith(("_", "."))


def remote_files(pattern: str) -> list[Path]:
    """Files of an object store that a URL names: one, all in a folder, or those of a pattern.

    They are opened, asked for their size and named as :class:`pathlib.Path` is.

    Raises
    ------
    ConfigError
        If what opens such URLs is not installed.
    """
    try:
        from fsspec.core import url_to_fs
        from upath import UPath
    except ImportError as error:
        raise ConfigError(
            f"{pattern}: a URL needs `pip install 'router-ml[remote]'` ({error})"
        ) from error
    try:
        store, place = url_to_fs(pattern)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{pattern}: {error}") from error
    paths = [UPath(store.unstrip_protocol(name)) for name in _found(store, place)]
    return [cast("Path", path) for path in paths if is_data(cast("Path", path))]


def _found(store: AbstractFileSystem, place: str) -> list[str]:
    if store.isfile(place):
        return [place]
    if store.isdir(place):
        return sorted(store.find(place))
    return sorted(name for name in store.glob(place) if store.isfile(name))


def hive_values(path: Path) -> Mapping[str, str | None]:
    """Columns that a file's folders give, as Hive and Spark write them.

    Examples
    --------
    >>> hive_values(Path("log/day=2026-01-01/tenant=a%20b/part-0.parquet"))
    {'day': '2026-01-01', 'tenant': 'a b'}
    """
    named = (_FOLDER.fullmatch(part) for part in path.parent.parts)
    told = {match[1]: unquote(match[2]) for match in named if match}
    return {name: None if value == _NO_VALUE else value for name, value in told.items()}


def open_parquet(path: Path) -> pq.ParquetFile:
    """A Parquet file, wherever it is; pyarrow's error if it is none."""
    remote = getattr(path, "fs", None)
    return pq.ParquetFile(path if remote is None else remote.open(str(path)))
