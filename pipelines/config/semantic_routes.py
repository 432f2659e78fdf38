"""What semantic routes are fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.options import check_fields
from router_ml.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRoutesConfig:
    """Labelled utterances, and how sure a route must be.

    Parameters
    ----------
    utterances : CSV with the columns ``text`` and ``route``; an empty route = out of scope
    output : folder to write to; replaced if it is there
    precision : share of the requests on a route that shall belong there, above 0 and below 1
    encoder : ``static`` (microseconds; the default) or ``sentence`` (milliseconds, more exact)
    encoder_model : any sentence-transformers model, by name or path
    cache : folder for encoders and embeddings
    """

    utterances: Path
    output: Path
    precision: float = 0.9
    encoder: Literal["static", "sentence"] = "static"
    encoder_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    cache: Path = Path(".cache")

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0.0 < self.precision < 1.0:
            raise ConfigError(f"precision must be above 0 and below 1, got {self.precision}")
