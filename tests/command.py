"""The command line, called in this process."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

from pipelines import cli, console


def run_command(arguments: Sequence[str]) -> str:
    """What ``router-ml`` prints; its errors are raised as they are."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), console.console.capture() as captured:
        cli.run(list(arguments))
    return captured.get() + out.getvalue()
