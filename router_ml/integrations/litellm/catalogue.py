"""Candidates of a gateway: where each is reached, what it costs, what it can do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from router_ml.errors import ConfigError
from router_ml.types.candidates import TOKENS_PER_MTOK

_CAPABILITIES: Final[Mapping[str, str]] = {
    "tools": "supports_function_calling",
    "vision": "supports_vision",
    "audio": "supports_audio_input",
    "video": "supports_video_input",
    "documents": "supports_pdf_input",
    "json_schema": "supports_response_schema",
    "reasoning": "supports_reasoning",
}
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One candidate: a model at a provider, with the effort and output that it may take.

    ``gpt-x@low`` and ``gpt-x@high`` are two candidates of one model: predicted, priced and logged
    apart.

    Parameters
    ----------
    name : in decisions, and the model group in LiteLLM
    model : as LiteLLM names it, ``provider/model``
    input_usd_per_mtok, output_usd_per_mtok : dollars per million tokens, >= 0; ``None`` = as
        LiteLLM's own price map has them
    cached_input_usd_per_mtok : of input tokens read from the provider's cache
    api_base, api_key : ``os.environ/NAME`` reads a variable, so that no key stands in a file
    capabilities : such as ``tools``, ``vision``, ``json_schema``, ``reasoning``
    region, retention : where the provider computes, and for how long it keeps data
    context_window, max_output_tokens : tokens
    reasoning_effort : ``none`` to ``max``
    output_budget : most output tokens that this candidate is asked for
    params : further ``litellm_params``, such as ``aws_region_name`` or ``vertex_project``
    """

    name: str
    model: str
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_input_usd_per_mtok: float | None = None
    api_base: str | None = None
    api_key: str | None = None
    capabilities: tuple[str, ...] = ()
    region: str | None = None
    retention: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    reasoning_effort: str | None = None
    output_budget: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"candidate {self.name}"
        if not self.name or "/" not in self.model:
            raise ConfigError(f"{where}: model must be provider/model, got {self.model!r}")
        usd = (self.input_usd_per_mtok, self.output_usd_per_mtok, self.cached_input_usd_per_mtok)
        if any(price is not None and not 0 <= price < 1e6 for price in usd):
            raise ConfigError(f"{where}: prices must be dollars per million tokens, got {usd}")
        if (usd[0] is None) != (usd[1] is None):
            raise ConfigError(f"{where}: give both prices or none, got {usd[:2]}")
        if self.reasoning_effort not in (None, *_EFFORTS):
            raise ConfigError(
                f"{where}: reasoning_effort must be one of {', '.join(_EFFORTS)}, got "
                f"{self.reasoning_effort!r}"
            )
        if self.output_budget is not None and self.output_budget < 1:
            raise ConfigError(f"{where}: output_budget must be >= 1, got {self.output_budget}")

    @property
    def provider(self) -> str:
        """First part of the model's name."""
        return self.model.partition("/")[0]

    def deployment(self) -> dict[str, Any]:
        """An entry of LiteLLM's ``model_list``."""
        params: dict[str, Any] = {
            "model": self.model,
            "api_base": self.api_base,
            "api_key": self.api_key,
            "reasoning_effort": self.reasoning_effort,
            "max_tokens": self.output_budget,
            **self._prices(),
            **self.params,
        }
        info = {"id": self.name, **self._abilities()}
        return {
            "model_name": self.name,
            "litellm_params": {k: v for k, v in params.items() if v is not None},
            "model_info": info,
        }

    def price_entry(self) -> dict[str, Any]:
        """An entry of a price map, as ``router-ml join --prices`` reads it."""
        return {"litellm_provider": self.provider, **self._prices(), **self._abilities()}

    def _prices(self) -> dict[str, float]:
        usd = {
            "input_cost_per_token": self.input_usd_per_mtok,
            "output_cost_per_token": self.output_usd_per_mtok,
            "cache_read_input_token_cost": self.cached_input_usd_per_mtok,
        }
        return {name: price / TOKENS_PER_MTOK for name, price in usd.items() if price is not None}

    def _abilities(self) -> dict[str, Any]:
        able: dict[str, Any] = {
            _CAPABILITIES[name]: True for name in self.capabilities if name in _CAPABILITIES
        }
        output = [n for n in (self.max_output_tokens, self.output_budget) if n is not None]
        limits = {
            "max_input_tokens": self.context_window,
            "max_output_tokens": min(output) if output else None,
            "supported_regions": [self.region] if self.region else None,
            "data_retention": [self.retention] if self.retention else None,
        }
        return able | {name: value for name, value in limits.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Candidates, and who answers when the router does not."""

    candidates: tuple[Candidate, ...]
    default: str

    @classmethod
    def read(cls, path: Path) -> Catalogue:
        """Read a YAML file: ``default`` and ``candidates``, each by name.

        Raises
        ------
        ConfigError
            If it cannot be read, or a key or value is wrong; the text names the candidate.
        """
        import yaml

        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"the catalogue cannot be read: {error}") from error
        listed = values.get("candidates") if isinstance(values, Mapping) else None
        if not isinstance(listed, Mapping) or not listed:
            raise ConfigError(f"{path} must have candidates, by name; it has none")
        if unknown := sorted(set(values) - {"default", "candidates"}):
            raise ConfigError(f"{path}: unknown keys {', '.join(unknown)}")
        candidates = tuple(_candidate(str(name), entry) for name, entry in listed.items())
        default = str(values.get("default", candidates[0].name))
        if default not in {candidate.name for candidate in candidates}:
            raise ConfigError(f"{path}: default must name a candidate, got {default!r}")
        return cls(candidates, default)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the candidates, in order."""
        return tuple(candidate.name for candidate in self.candidates)

    def variables(self) -> tuple[str, ...]:
        """Environment variables that candidates read, as ``os.environ/NAME``.

        Examples
        --------
        >>> one = Candidate(name="a", model="openai/a", api_key="os.environ/OPENAI_API_KEY")
        >>> Catalogue(candidates=(one,), default="a").variables()
        ('OPENAI_API_KEY',)
        """
        found = json.dumps([candidate.deployment() for candidate in self.candidates])
        return tuple(sorted(set(re.findall(r'"os\.environ/([^"]+)"', found))))

    def price_map(self) -> dict[str, dict[str, Any]]:
        """Prices and capabilities by candidate, in LiteLLM's shape; the unpriced are left out."""
        return {
            candidate.name: candidate.price_entry()
            for candidate in self.candidates
            if candidate.input_usd_per_mtok is not None
        }


def _candidate(name: str, entry: object) -> Candidate:
    known = {f.name for f in fields(Candidate)} - {"name"}
    if not isinstance(entry, Mapping) or (unknown := sorted(set(entry) - known)):
        got = unknown if isinstance(entry, Mapping) else entry
        raise ConfigError(f"candidate {name}: unknown {got}; known are {', '.join(sorted(known))}")
    given = dict(entry)
    given["capabilities"] = tuple(given.get("capabilities", ()))
    try:
        return Candidate(name=name, **given)
    except TypeError as error:
        raise ConfigError(f"candidate {name}: {error}") from error
