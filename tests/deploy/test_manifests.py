"""Manifests that Kubernetes accepts, and settings that the service knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from serving.settings import Settings
from tests.serving.conftest import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
VERSION = "1.29"


def resources() -> dict[str, dict[str, Any]]:
    found = [yaml.safe_load((KUBERNETES / name).read_text()) for name in KUSTOMIZATION["resources"]]
    return {resource["kind"]: resource for resource in found}


@pytest.mark.parametrize("name", KUSTOMIZATION["resources"])
def test_kubernetes_accepts_it(name: str) -> None:
    resource = yaml.safe_load((KUBERNETES / name).read_text())
    kubernetes_validate.validate(resource, VERSION, strict=True)


def test_every_file_is_part_of_the_base() -> None:
    files = {path.name for path in KUBERNETES.iterdir()} - {"kustomization.yaml"}
    assert files == set(KUSTOMIZATION["resources"])


def container() -> dict[str, Any]:
    pod = resources()["Deployment"]["spec"]["template"]["spec"]
    (only,) = pod["containers"]
    found: dict[str, Any] = only
    return found


def test_probes_ask_what_they_should() -> None:
    probes = container()
    assert probes["livenessProbe"]["httpGet"]["path"] == "/healthz"  # not the registry's state
    assert probes["startupProbe"]["httpGet"]["path"] == "/healthz"
    assert probes["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_a_pod_has_the_time_to_end_in_order() -> None:
    deployment = resources()["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    environ = {item["name"]: item["value"] for item in container()["env"]}
    pause = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    shutdown = float(environ["ROUTER_SERVE_SHUTDOWN_S"])
    # requests under way, and then the log, each have that long
    assert pod["terminationGracePeriodSeconds"] >= pause + 2 * shutdown
    assert deployment["replicas"] >= 2
    budget = resources()["PodDisruptionBudget"]["spec"]
    assert budget["selector"] == deployment["selector"]
    assert resources()["Service"]["spec"]["selector"].items() <= (
        deployment["template"]["metadata"]["labels"].items()
    )


def test_the_service_knows_its_settings() -> None:
    environ = {item["name"]: item["value"] for item in container()["env"]}
    environ |= {"ROUTER_SERVE_HOST": "0.0.0.0"}
    assert Settings.from_environ(environ).has_keys
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["router"]
    environ = compose["environment"] | {"ROUTER_SERVE_HOST": "0.0.0.0"}
    assert Settings.from_environ(environ).has_keys


def test_mounts_of_the_compose_file_are_there() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    mounts = [mount for service in services.values() for mount in service.get("volumes", ())]
    here = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(here) == 3
    assert all((DEPLOY / path).exists() for path in here)


def test_grafana_finds_the_dashboard_and_its_source() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    text = (DEPLOY / "grafana" / "dashboards" / "router.json").read_text()
    assert set(re.findall(r'"uid": "(\w+)"', text)) == {source["uid"], "router"}


def test_the_image_holds_what_it_runs() -> None:
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    environ = dict(re.findall(r"(ROUTER_SERVE_\w+)=(\S+)", " ".join(lines)))
    with pytest.raises(ValueError, match="loopback only"):  # keys, or plain words, open it
        Settings.from_environ(environ)
    assert Settings.from_environ(environ | {"ROUTER_SERVE_API_KEYS": "k"}).port == 8080
    copied = re.findall(r"^COPY (\w+) ", text, re.MULTILINE)
    assert all((ROOT / name).is_dir() for name in copied)
    assert "/venv/bin/router-ml" in text  # its package is removed, and so is the script
    assert Path(ROOT / "serving" / "__main__.py").is_file()
