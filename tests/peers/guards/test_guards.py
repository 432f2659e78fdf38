"""Presidio and NeMo Guardrails, as the page starts them and as the service asks them."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from router_ml.guards.guard import GuardRule
from router_ml.guards.remote import RemoteGuard

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "routes-and-guards.md"
RAILS = """
models: []
rails:
  config:
    regex_detection:
      input:
        patterns: ["(?i)password\\\\s+is"]
  input:
    flows: [regex check input]
"""


def on_the_page(guard: str) -> list[str]:
    """Arguments of the command by which the page starts a guard."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if line.startswith("guard/bin/python") and guard in line]
    return shlex.split(line)[1:]


@contextmanager
def served(guard: str, folder: Path) -> Iterator[GuardRule]:
    """The page's command in ``folder``, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = on_the_page(guard)
    words[words.index("--port") + 1] = str(port)
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, *words], env=environ, cwd=folder)
    asked = RemoteGuard(url=f"http://127.0.0.1:{port}", timeout_ms=20_000)
    rule = GuardRule(name="g", guard=asked, requires=("region:eu",), timeout_ms=20_000)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert process.poll() is None
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield rule
    finally:
        rule.close()
        process.terminate()
        process.wait(20)


def names(rule: GuardRule, *texts: str) -> list[str]:
    return [found.name for found in rule.rules(texts)]


def test_presidio_finds_personal_data_and_leaves_the_rest(tmp_path: Path) -> None:
    with served("PresidioGuard", tmp_path) as rule:
        assert names(rule, "Hello", "write to ada@example.org") == ["guard:g(EMAIL_ADDRESS)"]
        assert names(rule, "card 4111 1111 1111 1111") == ["guard:g(CREDIT_CARD)"]
        assert names(rule, "IBAN DE89 3704 0044 0532 0130 00") == ["guard:g(IBAN_CODE)"]
        assert names(rule, "How does dough rise? It takes 3.14 hours.") == []


def test_a_rail_of_nemo_guardrails_flags(tmp_path: Path) -> None:
    (tmp_path / "rails").mkdir()
    (tmp_path / "rails" / "config.yml").write_text(RAILS)
    with served("NemoGuard", tmp_path) as rule:
        assert names(rule, "My password is hunter2") == ["guard:g(regex_check_input)"]
        assert names(rule, "How does dough rise?") == []


def test_a_guard_that_cannot_be_made_ends_at_once(tmp_path: Path) -> None:
    factory = "router_ml.integrations.nemo_guardrails:NemoGuard"
    words = ["-m", "router_ml.integrations.guard_server", factory]
    done = subprocess.run(
        [sys.executable, *words, "--options", f'{{"config": "{tmp_path}/none"}}'],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert "none" in done.stderr
