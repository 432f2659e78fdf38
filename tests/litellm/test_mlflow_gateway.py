"""MLflow's own AI gateway, before and behind ours, as its page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bundles import make_bundle
from tests.litellm.conftest import Providers
from tests.litellm.test_pages import follow


@pytest.mark.slow
def test_mlflows_gateway_before_and_behind_ours(
    python: Path, providers: Providers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # workers that nobody needs
    make_bundle(tmp_path / "runs" / "export" / "bundle", names=("small", "large"))
    follow("mlflow-gateway.md", python, providers, tmp_path, monkeypatch)
    asked = [(row["path"], row["body"]["model"]) for row in providers.asked()]
    assert ("/v1/chat/completions", "small") in asked
