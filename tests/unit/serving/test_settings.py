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
        ({"bundle": "b", "deadline_ms": "0"}, "deadline_ms must be milliseconds above 0"),
        ({"bundle": "b", "api_keys": ""}, "API_KEYS is set but names nothing"),
        ({"bundle": "b", "host": "0.0.0.0"}, "loopback only"),
        ({"bundle": "b", "port_number": "1"}, "unknown variables ROUTER_SERVE_PORT_NUMBER"),
        ({"bundle": "b", "service_port_http": "x", "service_x": "y"}, "ROUTER_SERVE_SERVICE_X"),
    ],
)
def test_what_is_wrong_is_said(variables: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read(**variables)


def test_keys_are_not_printed() -> None:
    assert "secret" not in repr(Settings(bundle="b", api_keys=("secret",)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "tcp://10.0.0.7:8080"),
        ("PORT", "udp://10.0.0.7:8080"),
        ("SERVICE_HOST", "10.0.0.7"),
        ("SERVICE_PORT", "8080"),
        ("SERVICE_PORT_HTTP", "8080"),
        ("PORT_8080_TCP", "tcp://10.0.0.7:8080"),
        ("PORT_8080_TCP_ADDR", "10.0.0.7"),
        ("PORT_8080_TCP_PORT", "8080"),
        ("PORT_8080_TCP_PROTO", "tcp"),
        ("PORT_53_UDP_ADDR", "10.0.0.7"),
        ("REDIS_SERVICE_HOST", "10.0.0.8"),
        ("REDIS_PORT", "tcp://10.0.0.8:6379"),
        ("REDIS_PORT_6379_TCP_ADDR", "10.0.0.8"),
    ],
)
def test_what_kubernetes_puts_there_is_nobodys_setting(name: str, value: str) -> None:
    environ = {"ROUTER_SERVE_BUNDLE": "b", f"ROUTER_SERVE_{name}": value}
    assert Settings.from_environ(environ) == Settings(bundle="b")


def test_keys_or_plain_words_open_other_addresses() -> None:
    assert read(bundle="b", host="0.0.0.0", api_keys="k").host == "0.0.0.0"
    assert read(bundle="b", host="0.0.0.0", allow_anonymous="true").allow_anonymous
    assert read(bundle="b", host="0.0.0.0", keys_file="k.json").has_keys
