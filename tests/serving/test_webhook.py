"""An alias that moved is served at once, when MLflow's own delivery says so; nobody else's."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from router_ml.policies.constant import ConstantPolicy
from tests.bundles import make_bundle
from tests.serving.conftest import serve
from tests.serving.test_following import until, version

SECRET = "of-the-webhook"
PAGE = Path(__file__).parents[2] / "docs" / "integrations" / "tracking.md"
PATH = "/v1/webhooks/mlflow"


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setenv("MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES", "0")


def deliver(client: httpx.Client, *, secret: str = SECRET, alias: str = "champion") -> Any:
    """As an MLflow server delivers it, by its own code."""
    from mlflow.entities.webhook import Webhook, WebhookAction, WebhookEntity, WebhookEvent
    from mlflow.webhooks.delivery import _create_webhook_session, _send_webhook_request

    event = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
    url = str(client.base_url).rstrip("/") + PATH
    hook = Webhook("1", "router", url, [event], 0, 0, secret=secret)
    payload = {"name": "router", "alias": alias, "version": "2"}
    with _create_webhook_session() as session:
        return _send_webhook_request(hook, payload, event, session)  # type: ignore[arg-type]


# MLflow's queries use a loader option that SQLAlchemy 2.1 calls deprecated.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_a_signed_delivery_puts_the_new_champion_in_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    registry = mlflow.tracking.MlflowClient(uri)
    registry.create_registered_model("router")

    def promote(candidate: str) -> str:
        source = tmp_path / candidate
        make_bundle(source / "artifacts" / "bundle", policy=ConstantPolicy(candidate=candidate))
        found = registry.create_model_version("router", source=source.as_uri())
        registry.set_registered_model_alias("router", "champion", found.version)
        return str(found.version)

    first = promote("candidate-1")
    settings = {
        "bundle": "models:/router@champion",
        "poll_interval_s": 3_600,
        "webhook_secret": SECRET,
        "api_keys": "key",
    }
    with serve(tmp_path / "log", **settings) as client:
        until(lambda: version(client) == first)
        second = promote("candidate-2")
        assert deliver(client, secret="another").status_code == 401
        assert deliver(client, alias="challenger").json() == {"status": "ignored"}
        time.sleep(1.0)
        assert version(client) == first
        assert deliver(client).json() == {"status": "looking"}
        until(lambda: version(client) == second)
        assert SECRET not in (tmp_path / "log").read_text()


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_the_pages_webhook_reaches_the_service(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own test of it: a signed delivery about another model, which is ignored."""
    from mlflow.webhooks.delivery import test_webhook

    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    text = PAGE.read_text(encoding="utf-8")
    [block] = re.findall(r"^```py\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert "ROUTER_SERVE_WEBHOOK_SECRET=$SECRET" in text
    with serve(tmp_path / "log", bundle=bundle, webhook_secret=SECRET) as client:
        address = str(client.base_url).rstrip("/")
        exec(
            compile(block.replace("https://router.example", address), PAGE.name, "exec"),
            {"SECRET": SECRET},
        )
        registry = mlflow.tracking.MlflowClient()
        [hook] = registry.list_webhooks()
        found = test_webhook(hook)
        assert (found.success, found.response_status) == (True, 202)
        assert json.loads(found.response_body or "") == {"status": "ignored"}


def test_what_is_not_signed_or_old_is_refused(tmp_path: Path, bundle: Path) -> None:
    from mlflow.webhooks.delivery import _generate_hmac_signature

    with serve(tmp_path / "log", bundle=bundle, webhook_secret=SECRET) as client:
        body = '{"entity": "model_version_alias", "action": "created", "data": {}}'

        def post(sent: str, *, signed: str = body, given: str = body) -> int:
            headers = {
                "content-type": "application/json",
                "x-mlflow-delivery-id": "d",
                "x-mlflow-timestamp": sent,
                "x-mlflow-signature": _generate_hmac_signature(SECRET, "d", sent, signed),
            }
            return client.post(PATH, content=given, headers=headers).status_code

        now = str(int(time.time()))
        assert post(now) == 202
        assert post(str(int(now) - 3_600)) == 401
        assert post("soon") == 401
        assert post(now, given=body.replace("created", "deleted")) == 401
        assert post(now, signed="[]", given="[]") == 422
        assert client.post(PATH, json={}).status_code == 401
    with serve(tmp_path / "log", bundle=bundle) as client:
        assert client.post(PATH, json={}).status_code == 404
