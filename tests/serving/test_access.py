"""Who may call: keys from a file, scopes, rotation, and nobody's browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving.keys import digest
from tests.serving.conftest import ROOT, serve
from tests.serving.raw import answer, connect, post

TOKENS = {"web": "web-token", "ops": "ops-token", "judge": "judge-token", "old": "old-token"}
SCOPES = {"web": ["route", "feedback"], "ops": ["admin"], "judge": ["label"], "old": ["route"]}


def write_keys(path: Path, *names: str, **more: object) -> None:
    entries = [
        {"name": name, "sha256": digest(TOKENS[name]), "scopes": SCOPES[name], **more}
        for name in names
    ]
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps({"keys": entries}))
    scratch.replace(path)


def bearer(name: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"authorization": f"{scheme} {TOKENS[name]}"}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("keyed")
    keys = folder / "keys.json"
    write_keys(keys, "web", "ops", "judge", tenant="acme")
    options = {"keys_file": keys, "poll_interval_s": 0.2, "decision_log": folder / "decisions"}
    with serve(folder / "log", bundle=bundle, **options) as client:
        client.headers["x-folder"] = str(folder)
        yield client


def route(client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    return client.post("/v1/route", json={"query": "Mix blue."}, headers=headers)


def test_scopes(keyed: httpx.Client) -> None:
    assert route(keyed, bearer("web")).status_code == 200
    assert route(keyed, bearer("ops")).status_code == 200
    refused = route(keyed, bearer("judge"))
    assert refused.status_code == 403
    assert "scope route" in refused.json()["detail"]
    assert refused.headers["content-type"] == "application/problem+json"
    assert route(keyed, {}).status_code == 401


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR", "Bearer  "])
def test_the_scheme_is_read_in_any_case(keyed: httpx.Client, scheme: str) -> None:
    assert route(keyed, bearer("web", scheme)).status_code == 200


def test_who_decided_and_who_labelled_stands_in_the_log(keyed: httpx.Client) -> None:
    decision_id = route(keyed, bearer("web")).json()["decision_id"]
    body = {"decision_id": decision_id, "quality": 1.0}
    for name in ("judge", "web"):
        said = keyed.post("/v1/feedback", json=body, headers=bearer(name))
        assert said.json()["status"] == "recorded"  # the other's word is no repetition
    folder = Path(keyed.headers["x-folder"]) / "decisions"
    lines = [json.loads(line) for p in folder.iterdir() for line in p.read_text().splitlines()]
    mine = [line for line in lines if line["decision_id"] == decision_id]
    feedback = {line["key"]: line["labels_others"] for line in mine if line["kind"] == "feedback"}
    assert feedback == {"judge": True, "web": False}
    assert all(line["tenant"] == "acme" for line in mine if line["kind"] == "decision")
    assert TOKENS["web"] not in "".join(path.read_text() for path in folder.iterdir())


def until_status(client: httpx.Client, name: str, status: int) -> None:
    deadline = time.monotonic() + 10
    while route(client, bearer(name)).status_code != status:
        assert time.monotonic() < deadline, f"{name} was not answered {status}"
        time.sleep(0.05)


def test_rotation_without_a_restart(tmp_path: Path, bundle: Path) -> None:
    keys = tmp_path / "keys.json"
    write_keys(keys, "old")
    with serve(tmp_path / "log", bundle=bundle, keys_file=keys, poll_interval_s=0.2) as client:
        assert route(client, bearer("old")).status_code == 200
        write_keys(keys, "old", "web")
        until_status(client, "web", 200)
        assert route(client, bearer("old")).status_code == 200
        write_keys(keys, "web")
        until_status(client, "old", 401)
        keys.write_text('{"keys": []}')  # a mistake: the former keys stay, and it is said
        deadline = time.monotonic() + 10
        while client.get("/readyz").json()["status"] != "degraded":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "keys file" in client.get("/readyz").json()["reasons"][0]
        assert str(tmp_path) not in client.get("/readyz").text
        assert route(client, bearer("web")).status_code == 200
        write_keys(keys, "web", expires="2020-01-01T00:00:00Z")
        until_status(client, "web", 401)
        assert client.get("/readyz").json()["status"] == "ready"


def test_a_made_key_opens_and_is_stored_as_its_hash(tmp_path: Path, bundle: Path) -> None:
    command = [sys.executable, "-m", "serving.keys", "web", "--tenant", "acme"]
    made = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    token = made.stderr.strip().rpartition(" ")[2]
    assert token not in made.stdout
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [json.loads(made.stdout)]}))
    with serve(tmp_path / "log", bundle=bundle, keys_file=keys, host="0.0.0.0") as client:
        assert route(client, {"authorization": f"Bearer {token}"}).status_code == 200
        assert route(client, {"authorization": f"Bearer {digest(token)}"}).status_code == 401


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"api_keys": ""}, "API_KEYS is set but names nothing"),
        ({"api_keys": " , "}, "API_KEYS is set but names nothing"),
        ({"keys_file": ""}, "KEYS_FILE is set but empty"),
        ({"keys_file": "/nowhere/keys.json"}, "expected a keys file"),
        ({"host": "0.0.0.0"}, "loopback only"),
        ({"host": "::"}, "loopback only"),
    ],
)
def test_keys_fail_closed(
    tmp_path: Path, bundle: Path, settings: dict[str, str], says: str
) -> None:
    with (
        pytest.raises(RuntimeError, match=says),
        serve(tmp_path / "log", bundle=bundle, **settings),
    ):
        pass


def test_without_keys_no_page_of_a_browser_gets_in(client: httpx.Client) -> None:
    port = client.base_url.port
    assert port is not None
    for host, status in (
        ("localhost", 200),
        (f"127.0.0.1:{port}", 200),
        (f"[::1]:{port}", 200),
        ("evil.example", 421),
        (f"localhost.evil.example:{port}", 421),
    ):
        with connect(port) as sock:
            sock.sendall(post(b'{"query": "a"}', Host=host))
            assert answer(sock)[0] == status
    for kind in ("text/plain", ""):
        with connect(port) as sock:
            request = post(b'{"query": "a"}', Content_Type=kind)
            sock.sendall(request.replace(b"Content-Type: \r\n", b""))
            assert answer(sock)[0] == 415


def test_hosts_may_be_allowed(tmp_path: Path, bundle: Path) -> None:
    options = {"host": "0.0.0.0", "allow_anonymous": "true", "allowed_hosts": "router,router.svc"}
    with serve(tmp_path / "log", bundle=bundle, **options) as client:
        assert route(client, {"host": "router:8080"}).status_code == 200
        assert route(client, {"host": "other"}).status_code == 421
