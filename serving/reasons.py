"""What a fault may be called where everybody reads it, and what a log may hold of it.

Messages of libraries hold addresses, paths, SQL and passwords. Public endpoints give a sentence
chosen by the class of the error; the log gets the message with its user info struck out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Final, TextIO

from router_ml.errors import (
    BundleError,
    BundleIntegrityError,
    BundleVersionError,
    ConfigError,
    RegistryError,
    RouterError,
    ScoringError,
)

_PUBLIC: Final[Mapping[type[Exception], str]] = {
    BundleIntegrityError: "a file of the bundle is missing or has not the SHA-256 of its manifest",
    BundleVersionError: "the bundle has a format that this release does not read",
    BundleError: "there is no bundle that this release can load and score with",
    RegistryError: "the registry cannot be reached, or has no such version with a bundle",
    ConfigError: "the policy, prices or keys file is wrong",
    ScoringError: "the bundle does not score",
    OSError: "a file or process cannot be opened",
    MemoryError: "memory is short",
}
"""The nearest class decides."""

_USER_INFO: Final = re.compile(r"(?P<scheme>[a-zA-Z][\w+.-]*://)[^/\s'\"]*@")
_NAMED: Final = re.compile(
    r"(?i)(?P<name>\b(?:pass(?:word|wd)?|pwd|secret|token|api[_-]?key|access[_-]?key|signature|sig"
    r"|authorization)\b[\"']?\s*[=:]\s*[\"']?(?:bearer\s+|basic\s+)?)[^\s&;,\"'}]+"
)


def public_reason(error: Exception) -> str:
    """One sentence without address, path, SQL or prompt."""
    for kind in type(error).__mro__:
        if kind in _PUBLIC:
            return _PUBLIC[kind]
    return "it failed in an unforeseen way"


def redact(text: str) -> str:
    """A text without user info of addresses and without values that are called a secret.

    Examples
    --------
    >>> redact("cannot open postgresql://ml:hunter2@db:5432/mlflow?sslmode=x&password=hunter2")
    'cannot open postgresql://***@db:5432/mlflow?sslmode=x&password=***'
    """
    return _NAMED.sub(r"\g<name>***", _USER_INFO.sub(r"\g<scheme>***@", text))


def full_reason(error: Exception) -> str:
    """What the log says of an error."""
    text = str(error)
    return redact(text if isinstance(error, RouterError) else f"{type(error).__name__}: {text}")


class RedactingFormatter(logging.Formatter):
    """Formats as the standard one does, tracebacks included, and strikes secrets out."""

    def format(self, record: logging.LogRecord) -> str:
        """One record's text."""
        return redact(super().format(record))


class RedactingStream:
    """Strikes secrets out of what is printed, whole lines at a time.

    Parameters
    ----------
    stream : where it goes
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rest = ""

    def write(self, text: str) -> int:
        """Write the lines that are complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._stream.write(redact(line) + "\n")
        return len(text)

    def flush(self) -> None:
        """Write what is there."""
        if self._rest:
            self._stream.write(redact(self._rest))
            self._rest = ""
        self._stream.flush()

    def isatty(self) -> bool:
        """Never: nobody should write colours into it."""
        return False
