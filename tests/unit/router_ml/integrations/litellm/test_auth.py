"""A keys file of a proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_ml.errors import ConfigError
from router_ml.integrations.litellm.auth import key_auth


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"keys": [{"name": "a"}]}', '{"keys": [{"sha256": "0", "name": 7}]}']
)
def test_a_file_that_holds_no_keys_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(ConfigError, match="must be"):
        key_auth(tmp_path / "keys.json")
    with pytest.raises(ConfigError, match="must be"):
        key_auth(tmp_path / "none.json")
