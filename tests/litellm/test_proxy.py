"""The hook and the classifier plugin in a proxy that its operator configured, and every fault."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from router_ml.policies.exploration import BoltzmannPolicy
from tests.bundles import make_bundle
from tests.litellm.conftest import (
    KEY,
    Providers,
    Proxy,
    decision_of,
    free_port,
    litellm_proxy,
    service,
)

NAMES = [f"candidate-{k}" for k in range(4)]
FAULTS = ("down", "slow", "version", "label", "broken", "nonsense")
TIERS = dict(zip(("SIMPLE", "MEDIUM", "COMPLEX", "REASONING"), NAMES, strict=True))

ROUTING = """
from router_ml.integrations.litellm.auth import key_auth
from router_ml.integrations.litellm.callbacks import RouterClassifier, RouterHook
from router_ml.integrations.litellm.deciders import BundleDecider, ServiceDecider
from router_ml.integrations.litellm.log import PayloadLog

hook = RouterHook(decider=ServiceDecider(url="{router}", timeout_s=5), models=["auto"],
                  candidates={names}, log=PayloadLog("requests.jsonl"))
bundle = RouterHook(decider=BundleDecider("{bundle}"), models=["auto-bundle"], candidates={names})
seeded = RouterHook(models=["auto-plugin"])
classifier = RouterClassifier(decider=ServiceDecider(url="{router}", timeout_s=5))


def faulty(name, url):
    return RouterHook(decider=ServiceDecider(url=url, timeout_s=0.25), models=["auto-" + name],
                      candidates={names})


down = faulty("down", "http://127.0.0.1:{closed}")
slow, version, label, broken, nonsense = (
    faulty(name, "{liar}/" + name) for name in ("slow", "version", "label", "broken", "nonsense")
)
auth = key_auth("keys.json")
plugin_down, plugin_slow, plugin_version, plugin_label, plugin_broken, plugin_nonsense = (
    RouterClassifier(decider=each.decider)
    for each in (down, slow, version, label, broken, nonsense)
)
"""


class Liar(BaseHTTPRequestHandler):
    """A service that is slow, of another version, names nobody, breaks, or talks nonsense."""

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        good = {
            "decision_id": "d",
            "candidate": "nobody",
            "ranking": [{"candidate": "nobody"}],
            "propensity": 1.0,
            "policy": "p",
            "router": {"name": "r", "version": "1"},
            "reason": "",
        }
        kind = self.path.split("/")[1]
        if kind == "down":  # as far as a listening socket can be
            self.close_connection = True
            return
        if kind == "slow":
            time.sleep(2)
        body = {
            "version": json.dumps({"choice": "candidate-0", "api": "v9"}),
            "nonsense": "<html>502</html>",
        }.get(kind, json.dumps(good))
        with contextlib.suppress(BrokenPipeError):  # its caller did not wait
            self.send_response(500 if kind == "broken" else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())


@pytest.fixture(scope="module")
def liar() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def group(name: str, providers: Providers, model: str) -> dict[str, Any]:
    params = {"model": f"openai/{model}", "api_base": f"{providers.url}/v1", "api_key": "sk-mock"}
    return {"model_name": name, "litellm_params": params}


def auto(name: str, **config: Any) -> dict[str, Any]:
    params = {
        "model": "auto_router/complexity_router",
        "complexity_router_config": {"tiers": TIERS, **config},
        "complexity_router_default_model": "candidate-1",
    }
    return {"model_name": name, "litellm_params": params}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proxy")
    policy = BoltzmannPolicy(cost_weight=1.0, temperature=0.3, floor=0.1)
    make_bundle(folder / "bundle", n_candidates=4, policy=policy)
    (folder / "aliases.json").write_text(json.dumps(TIERS))
    keys = [
        {"name": "tests", "sha256": sha256(KEY), "tenant": "blue"},
        {"name": "narrow", "sha256": sha256("sk-narrow"), "candidates": ["candidate-2"]},
    ]
    (folder / "keys.json").write_text(json.dumps({"keys": keys}))
    return folder


@pytest.fixture(scope="module")
def proxy(python: Path, providers: Providers, folder: Path, liar: str) -> Iterator[Proxy]:
    settings = {"bundle": folder / "bundle", "aliases_file": folder / "aliases.json"}
    with service(folder, **settings, decision_log=folder / "decisions") as router:
        (folder / "routing.py").write_text(
            ROUTING.format(
                router=router, names=NAMES, bundle=folder / "bundle", closed=free_port(), liar=liar
            )
        )
        own = [{"name": name, "description": f"As {name}."} for name in NAMES]
        plugin: dict[str, Any] = {
            "tiers": {name: name for name in NAMES},
            "tier_definitions": own,
            "fallback_tier": "candidate-1",
            "classifier_type": "custom",
        }
        asked: dict[str, Any] = {"classifier_type": "oss_classifier"}
        jev = {"provider": "jev", "api_key": "sk-mock", "timeout_ms": 5_000}
        models = [
            *(group(name, providers, f"mock-{k}") for k, name in enumerate(NAMES)),
            *(group(name, providers, "mock-1") for name in ("auto", "auto-bundle")),
            *(group(f"auto-{fault}", providers, "mock-1") for fault in FAULTS),
            auto("auto-plugin", **plugin, classifier_plugin="routing.classifier"),
            *(
                auto(
                    f"auto-plugin-{fault}",
                    classifier_type="custom",
                    classifier_plugin=f"routing.plugin_{fault}",
                    classifier_fallback="default_model",
                    default_model="candidate-1",
                )
                for fault in FAULTS
            ),
            *(
                auto(
                    f"auto-jev-{fault}",
                    **asked,
                    opensource_classifier_config={**jev, "api_base": f"{liar}/{fault}"}
                    | {"timeout_ms": 250},
                )
                for fault in FAULTS
            ),
            auto(
                "auto-jev", **asked, opensource_classifier_config={**jev, "api_base": str(router)}
            ),
            auto(
                "auto-jev-unknown",
                tier_labels={"REASONING": "EXOTIC"},
                **asked,
                opensource_classifier_config={**jev, "api_base": str(router)},
            ),
            auto("auto-heuristic"),
            group("broken-group", providers, "mock-overloaded"),
        ]
        names = ("hook", "bundle", "seeded", *FAULTS)
        config = {
            "model_list": models,
            "litellm_settings": {"callbacks": [f"routing.{name}" for name in names]},
            "router_settings": {"num_retries": 0},
            "general_settings": {
                "master_key": "os.environ/LITELLM_MASTER_KEY",
                "custom_auth": "routing.auth",
            },
        }
        with litellm_proxy(python, folder, config) as proxy:
            yield proxy


def native(row: dict[str, Any]) -> dict[str, Any]:
    """LiteLLM's own account of its auto router."""
    decision: dict[str, Any] = row["metadata"]["routing_decision"] or {}
    return {name: value for name, value in decision.items() if value is not None}


def served(proxy: Proxy, model: str, text: str = "Hello there") -> str:
    answer = proxy.chat(model, text)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"]).partition(":")[0]


@pytest.mark.parametrize("model", ["auto", "auto-bundle"])
def test_service_and_bundle_decide(proxy: Proxy, model: str) -> None:
    answers = [proxy.chat(model, f"Write {i}.") for i in range(20)]
    assert {a.status_code for a in answers} == {200}
    assert len({a.headers["x-router-candidate"] for a in answers}) > 1
    assert all(a.headers["x-router-decision-id"] for a in answers)


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_the_router_does_no_request_fails(proxy: Proxy, fault: str) -> None:
    begun = time.monotonic()
    assert served(proxy, f"auto-{fault}") == "mock-1"
    assert time.monotonic() - begun < 5
    assert proxy.chat(f"auto-{fault}", stream=True).text.endswith("data: [DONE]\n\n")
    assert "x-router-decision-id" not in proxy.chat(f"auto-{fault}").headers


def test_one_tier_a_model_through_the_classifier_plugin(proxy: Proxy) -> None:
    answers = [proxy.chat("auto-plugin", f"Write {i}.") for i in range(12)]
    for answer in answers:
        name = answer.headers["x-router-candidate"]
        assert answer.json()["choices"][0]["message"]["content"].startswith(f"mock-{name[-1]}")
    assert len({answer.headers["x-router-candidate"] for answer in answers}) > 1
    decision_id = answers[0].headers["x-router-decision-id"]
    [row] = proxy.rows(lambda row: decision_of(row).get("decision_id") == decision_id)
    assert native(row)["cause"] == "classifier_plugin"
    assert decision_of(row)["candidate"] == native(row)["routed_model"]


@pytest.mark.parametrize("fault", FAULTS)
def test_without_an_opinion_litellms_routers_go_on(proxy: Proxy, fault: str) -> None:
    """The plugin's router takes its default model, the auto router its own heuristic."""
    begun = time.monotonic()
    assert served(proxy, f"auto-plugin-{fault}") == "mock-1"
    assert served(proxy, f"auto-jev-{fault}") == "mock-0"
    assert time.monotonic() - begun < 5


def test_litellms_auto_router_asks_the_decision_endpoint(proxy: Proxy, folder: Path) -> None:
    answers = {served(proxy, "auto-jev", f"Write {i}.") for i in range(12)}
    assert len(answers) > 1
    [row, *_] = proxy.rows(lambda row: "classifier_probabilities" in native(row))
    decision = native(row)
    assert set(decision["classifier_probabilities"]) == set(TIERS)
    assert sum(decision["classifier_probabilities"].values()) == pytest.approx(1)
    assert 0 <= decision["classifier_confidence"] <= 1


def test_an_unknown_label_is_refused_and_litellm_goes_on(proxy: Proxy) -> None:
    assert served(proxy, "auto-jev-unknown", "Labelled EXOTIC.").startswith("mock-")
    [row, *_] = proxy.rows(lambda row: "Labelled EXOTIC." in str(row["messages"]) and native(row))
    assert native(row)["classifier_failure_reason"]
    assert "classifier_probabilities" not in native(row)


def test_when_the_chosen_candidate_fails_the_ranking_goes_on(proxy: Proxy) -> None:
    body = {
        "model": "broken-group",
        "fallbacks": ["candidate-2"],
        "messages": [{"role": "user", "content": "Hello"}],
    }
    answer = proxy.post("chat/completions", body)
    assert answer.json()["choices"][0]["message"]["content"] == "mock-2: Hello"


def test_keys_without_litellms_database(proxy: Proxy) -> None:
    def ask(key: str, model: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"authorization": f"Bearer {key}"}
        return proxy.post("chat/completions", body, headers=headers).status_code

    assert ask("sk-wrong", "candidate-2") == 401
    assert ask("sk-narrow", "candidate-2") == 200
    assert ask("sk-narrow", "candidate-1") == 403
    assert served(proxy, "auto", "Whose is it?").startswith("mock-")
    [row, *_] = proxy.rows(lambda row: "Whose is it?" in str(row["messages"]))
    assert row["metadata"]["user_api_key_team_id"] == "blue"
    assert row["metadata"]["user_api_key_alias"] == "tests"
