from __future__ import annotations

import pytest

from router_ml.errors import ConfigError
from serving.loading.sources import parse_uri


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("models:/router@champion", ("router", "champion", None)),
        ("models:/my router/12", ("my router", None, "12")),
    ],
)
def test_addresses(uri: str, parts: tuple[str, str | None, str | None]) -> None:
    assert parse_uri(uri) == parts


@pytest.mark.parametrize(
    "uri", ["models:/router", "models:/router/latest", "runs:/a/b", "models:/"]
)
def test_no_addresses(uri: str) -> None:
    with pytest.raises(ConfigError, match="models:/name@alias"):
        parse_uri(uri)
