"""A child that is silent, dead or talks nonsense is an error, and the next look starts another."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from router_ml.errors import RegistryError
from serving.loading.registry_source import RegistrySource


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the child runs; a test fills it in."""
    code: list[str] = []
    real = subprocess.Popen

    def popen(command: list[str], **options: object) -> object:
        return real([sys.executable, "-c", code[-1]], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", popen)
    return code


def source(tmp_path: Path, silent_s: float = 0.5) -> RegistrySource:
    return RegistrySource(
        uri="models:/router@champion", cache_dir=tmp_path, poll_interval_s=0.1, silent_s=silent_s
    )


def test_a_report_is_what_was_found(tmp_path: Path, child: list[str]) -> None:
    child.append(
        'import time; print(\'{"name": "router", "version": "3", "folder": "x"}\', '
        "flush=True); time.sleep(60)"
    )
    registry = source(tmp_path, silent_s=20)
    found = registry.look()
    assert found is not None
    assert (found.name, found.version, found.folder) == ("router", "3", Path("x"))
    ended: list[object] = [1]
    thread = threading.Thread(target=lambda: ended.append(registry.look()))
    thread.start()
    registry.close()
    thread.join(10)
    assert ended[-1] is None


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import time; time.sleep(60)", "said nothing for"),
        ("import sys; sys.exit(7)", "ended with code 7"),
        ("import time; print('nonsense', flush=True); time.sleep(60)", "reported"),
        ("import time; print('{}', flush=True); time.sleep(60)", "reported"),
    ],
)
def test_anything_else_is_an_error(tmp_path: Path, child: list[str], code: str, says: str) -> None:
    child.append(code)
    registry = source(tmp_path)
    for _ in range(2):  # and the next look gets another child
        with pytest.raises(RegistryError, match=says):
            registry.look()
        if "said" not in says and "code" not in says:
            registry.close()
            assert registry.look() is None
            break
