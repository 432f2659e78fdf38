"""A catalogue to the configuration of LiteLLM's proxy, and to what our side of it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from router_ml.errors import ConfigError
from router_ml.integrations.litellm.catalogue import Catalogue

AUTO: Final = "auto"
CASCADE: Final = "auto-cascade"
CASCADE_PROVIDER: Final = "router-cascade"
SETTINGS_VARIABLE: Final = "ROUTER_GATEWAY_SETTINGS"
KEY_VARIABLE: Final = "ROUTER_API_KEY"
_INSTANCES: Final = "router_ml.integrations.litellm.gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """What the gateway's process reads, as JSON in the file that the variable names.

    Parameters
    ----------
    router : address of a scoring service, or a bundle folder; ``""`` = at random
    candidates : names
    default : candidate that answers when the router does not
    log : file of the payloads
    timeout_ms : of a decision
    max_depth, max_cost_usd, max_seconds : of a cascade; ``None`` = no limit
    """

    router: str
    candidates: tuple[str, ...]
    default: str
    log: str
    timeout_ms: float = 250.0
    max_depth: int = 3
    max_cost_usd: float | None = None
    max_seconds: float | None = 60.0

    @classmethod
    def read(cls, path: Path) -> GatewaySettings:
        """Read what :func:`write_gateway` wrote."""
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(**values | {"candidates": tuple(values["candidates"])})

    @property
    def is_service(self) -> bool:
        """Whether a service decides."""
        return self.router.startswith(("http://", "https://"))


def proxy_config(catalogue: Catalogue, *, cascades: bool) -> dict[str, Any]:
    """LiteLLM's configuration: every candidate as a model group, ``auto``, and the callback.

    Parameters
    ----------
    cascades : whether ``auto-cascade`` is offered
    """
    groups = [candidate.deployment() for candidate in catalogue.candidates]
    [default] = [c for c in catalogue.candidates if c.name == catalogue.default]
    groups.append({**default.deployment(), "model_name": AUTO, "model_info": {"id": AUTO}})
    settings: dict[str, Any] = {
        "callbacks": [f"{_INSTANCES}.hook"],
        "drop_params": True,  # what a candidate does not take is left out, not refused
        "num_retries": 0,
        "request_timeout": 600,
    }
    if cascades:
        groups.append(
            {
                "model_name": CASCADE,
                "litellm_params": {"model": f"{CASCADE_PROVIDER}/{AUTO}"},
                "model_info": {"id": CASCADE},
            }
        )
        settings["custom_provider_map"] = [
            {"provider": CASCADE_PROVIDER, "custom_handler": f"{_INSTANCES}.cascade"}
        ]
    return {
        "model_list": groups,
        "litellm_settings": settings,
        "router_settings": {
            "fallbacks": [{AUTO: [name for name in catalogue.names if name != catalogue.default]}],
            "num_retries": 0,
        },
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
    }


def write_gateway(
    folder: Path, catalogue: Catalogue, settings: GatewaySettings
) -> tuple[Path, Mapping[str, str]]:
    """Write ``litellm.yaml``, ``gateway.json`` and ``prices.json``.

    Returns
    -------
    Path
        LiteLLM's configuration.
    Mapping
        Variables that its process needs.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    import yaml

    config = proxy_config(catalogue, cascades=bool(settings.router))
    files = {
        "litellm.yaml": yaml.safe_dump(config, sort_keys=False),
        "gateway.json": json.dumps(asdict(settings), indent=1),
        "prices.json": json.dumps(catalogue.price_map(), indent=1),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the gateway's folder cannot be written: {error}") from error
    return folder / "litellm.yaml", {SETTINGS_VARIABLE: str((folder / "gateway.json").resolve())}
