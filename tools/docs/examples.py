"""Runs the ``console`` and ``python`` blocks of pages, and holds what they print to what is shown.

``python -m tools.docs.examples FOLDER PAGE…`` runs pages in an empty folder, one after the other,
and writes what commands print into them. Blocks of other languages (``sh``, ``py``) are not run.

In a ``console`` block a command begins with ``$ ``, and a line that ends with a backslash goes on.
Numbers and line breaks of the output are not compared; ``…`` stands for anything, and a table may
have further rows.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_BLOCK: Final = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER: Final = re.compile(r"\b[0-9a-f]{16,}\b|[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_FRAME: Final = re.compile(r"[│┃┏┓┗┛┡┩└┘├┤┳╇┻┴┬┼━─]+|-{3,}")
_GAP: Final = re.compile(r"…|\n(?=│)|(?<=│)\n")
_MARK: Final = "--- end of command ---"
_PORTS: Final = ("8080", "8081", "8082")
_COLUMNS: Final = "100"
_LIMIT_S: Final = 600


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page.

    Parameters
    ----------
    text : for a shell
    shown : output as the page has it
    span : where the output stands in the page; of a Python block where it ends
    """

    text: str
    shown: str
    span: tuple[int, int] = field(compare=False)


def commands(page: str) -> list[Command]:
    r"""Commands of a page, in order.

    Examples
    --------
    >>> [found] = commands("```console\n$ echo 1\n1\n```\n")
    >>> found.shown
    '1\n'
    """
    found: list[Command] = []
    for block in _BLOCK.finditer(page):
        if block[1] == "python":
            text = f"python - <<'PYTHON'\n{block[2]}PYTHON"
            found.append(Command(text, "", (block.end(), block.end())))
            continue
        for part in re.finditer(r"^\$ ((?:.*\\n)*.*\n)((?:(?!\$ ).*\n)*)", block[2], re.MULTILINE):
            start = block.start(2) + part.start(2)
            found.append(Command(part[1].rstrip("\n"), part[2], (start, start + len(part[2]))))
    return found


def run(page: Path, folder: Path) -> list[str]:
    """Run a page's commands in ``folder``, in one shell; what each printed on standard output.

    The ports 8080 to 8082 of a page are free ones here. What is left running at the end is ended.

    Raises
    ------
    RuntimeError
        If a command ends with a traceback.
    """
    wanted = commands(page.read_text(encoding="utf-8"))
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    lines = [f"{_swapped(command.text, ports)}\necho '{_MARK}'" for command in wanted]
    script = "\n".join([*lines, "kill $(jobs -p) 2>/dev/null; wait; true"])
    tools = _tools(folder)
    environ = os.environ | {
        "COLUMNS": _COLUMNS,
        "HF_HUB_OFFLINE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    environ.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
    if "Traceback" in done.stderr:
        raise RuntimeError(f"a command of {page.name} failed:\n{done.stderr[-3_000:]}")
    back = {port: shown for shown, port in ports.items()}
    printed = _swapped(done.stdout, back).split(f"{_MARK}\n")
    return [text.replace(str(folder), "…").lstrip("\n") for text in printed[: len(wanted)]]


def _free_ports(n: int) -> list[str]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(n)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]


def _swapped(text: str, names: Mapping[str, str]) -> str:
    for name, other in names.items():
        text = text.replace(name, other)
    return text


def differs(shown: str, printed: str) -> str:
    r"""The first part of what a page shows that was not printed; ``""`` where all was.

    Examples
    --------
    >>> differs("wrote 12 rows … to runs", "wrote 14 rows\nand more\nto runs")
    ''
    >>> differs("read 12 rows", "wrote 14 rows").splitlines()[0]
    'read # rows'
    """
    rest = _normal(printed)
    for part in _GAP.split(shown):
        wanted = _normal(part)
        if wanted not in rest:
            return f"{wanted}\n--- was not found in ---\n{rest}"
        rest = rest.partition(wanted)[2] if wanted else rest
    return ""


def _normal(text: str) -> str:
    return " ".join(_NUMBER.sub("#", _FRAME.sub(" ", text)).split())


def _tools(folder: Path) -> Path:
    """``router-ml`` and ``python`` of this environment, for pages that call them."""
    tools = folder / ".bin"
    tools.mkdir(exist_ok=True)
    for name, words in (("router-ml", "-m pipelines.cli "), ("python", "")):
        path = tools / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n', encoding="utf-8")
        path.chmod(0o755)
    return tools


def write(page: Path, printed: list[str]) -> None:
    """Put what commands printed into a page."""
    text = page.read_text(encoding="utf-8")
    for command, out in reversed(list(zip(commands(text), printed, strict=True))):
        if command.text.startswith("python - <<'PYTHON'"):
            continue
        tidy = "".join(f"{line.rstrip()}\n" for line in out.rstrip().splitlines())
        text = text[: command.span[0]] + tidy + text[command.span[1] :]
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    at = Path(sys.argv[1]).resolve()
    for name in sys.argv[2:]:
        write(Path(name), run(Path(name), at))
