from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.stages.run import RunConfig, run
from router_ml.errors import ConfigError


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"evaluate": {"streaming": True}, "matrix": Path("matrix")}, "none of matrix"),
        ({"evaluate": {"stream": True}}, "EvaluateConfig has no key stream"),
        ({"promote": {"margn": 0.1}}, "PromoteConfig has no key margn"),
    ],
)
def test_a_wrong_key_is_told_before_the_first_stage(
    tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        run(RunConfig(output=tmp_path / "run", **keys))
    assert not (tmp_path / "run").exists()
