"""The time, as rows have it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> str:
    """UTC to the microsecond, without an offset, as in the canonical tables."""
    return datetime.fromtimestamp(time.time(), UTC).replace(tzinfo=None).isoformat()
