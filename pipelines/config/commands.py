"""Commands that are no stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """Where the scoring service listens; further settings by ``ROUTER_SERVE_*`` variables.

    Parameters
    ----------
    bundle : bundle folder, or models:/router@champion
    host : address to listen on
    port : TCP port
    workers : processes
    """

    bundle: str
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """An OpenAI-compatible endpoint: LiteLLM's proxy, configured from a catalogue.

    Parameters
    ----------
    catalogue : YAML file of the candidates (docs/integrations/gateway.md)
    router : address of a scoring service, or a bundle folder; empty = each candidate with the same
        probability, for a first log
    output : folder of LiteLLM's configuration, the prices and the request log
    host : address to listen on
    port : TCP port
    timeout_ms : of a decision; then the catalogue's default answers
    max_depth : most turns of a cascade
    max_cost_usd : dollars that a cascade may spend on a request
    max_seconds : seconds that a cascade may take
    litellm : LiteLLM's program; by default the one beside this one
    run : false = write the configuration, and start nothing
    """

    catalogue: Path
    router: str = ""
    output: Path = Path("gateway")
    host: str = "127.0.0.1"
    port: int = 4000
    timeout_ms: float = 250.0
    max_depth: int = 3
    max_cost_usd: float | None = None
    max_seconds: float = 60.0
    litellm: str = ""
    run: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConfig:
    """One decision, without a service.

    Parameters
    ----------
    bundle : bundle folder
    query : what is asked; - reads standard input
    cost_weight : quality per dollar
    max_cost_usd : dollars a request
    """

    bundle: Path
    query: str
    cost_weight: float | None = None
    max_cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """What the demo runs on.

    Parameters
    ----------
    data : folder with a log, labels and prices, of any names, and perhaps a matrix to be judged on;
        default: a synthetic world
    output : folder to write to
    cache : folder for encoders
    """

    data: Path | None = None
    output: Path = Path("runs/demo")
    cache: Path = Path(".cache")
