"""The StandardLoggingPayload of every call, a line each: a request log that ``join`` reads."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any


class PayloadLog:
    """Appends payloads to a JSONL file; each line is written at once.

    A database is not needed for it, as LiteLLM's own spend log table needs one.

    Parameters
    ----------
    path : of the file; its folder is made
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._file: IO[str] | None = None

    def append(self, payload: Mapping[str, Any]) -> None:
        """Write one payload; what JSON does not know is written as text."""
        line = json.dumps(payload, ensure_ascii=False, default=str)
        with self._lock:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("a", encoding="utf-8")
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file; a further payload opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
