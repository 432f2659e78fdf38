from __future__ import annotations

from pathlib import Path

import pytest

from router_ml.errors import ConfigError
from serving.settings import Settings


def read(**variables: str) -> Settings:
    return Settings.from_environ({f"ROUTER_SERVE_{k.upper()}": v for k, v in variables.items()})


def test_every_type_is_read() -> None:
    settings = read(
        bundle="b",
        port="0",
        api_keys="a, b,",
        log_text="Yes",
        decision_log="logs",
        poll_interval_s="0.5",
        random_state="7",
        log_fsync="always",
    )
    assert settings == Settings(
        bundle="b",
        port=0,
        api_keys=("a", "b"),
        log_text=True,
        decision_log=Path("logs"),
        poll_interval_s=0.5,
        random_state=7,
        log_fsync="always",
    )
    assert Settings.from_environ(settings.to_environ()) == settings


def test_other_variables_are_not_ours() -> None:
    assert Settings.from_environ({"ROUTER_SERVE_BUNDLE": "b", "HOME": "x"}) == Settings(bundle="b")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "ROUTER_SERVE_BUNDLE must be set"),
        ({"bundle": ""}, "BUNDLE"),
        ({"bundle": "b", "prot": "1"}, "unknown variables ROUTER_SERVE_PROT"),
        ({"bundle": "b", "port": "http"}, "PORT must be a number"),
        ({"bundle": "b", "port": "70000"}, "65535"),
        ({"bundle": "b", "workers": "0"}, "workers"),
        ({"bundle": "b", "log_text": "maybe"}, "LOG_TEXT must be true or false"),
        ({"bundle": "b", "log_fsync": "often"}, "log_fsync"),
        ({"bundle": "b", "poll_interval_s": "nan"}, "poll_interval_s"),
    ],
)
def test_what_is_wrong_is_said(variables: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read(**variables)


def test_keys_are_not_printed() -> None:
    assert "secret" not in repr(Settings(bundle="b", api_keys=("secret",)))
