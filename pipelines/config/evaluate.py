"""What a bundle is judged on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.config.ranges import check_range
from pipelines.options import check_fields
from router_ml.errors import ConfigError
from router_ml.evaluation.gate.gate import DEFAULT_MARGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """What a bundle is judged on.

    Parameters
    ----------
    bundle : bundle folder
    output : folder to write to
    joined : folder that ``join`` wrote; without ``matrix`` its test split is the judge, with it its
        training prompts are left out
    trained : folder that ``train`` wrote: by what it held out the whole log is the judge
    matrix : Parquet of every candidate's outcome on every prompt
    budget_shares : operating points of the table, as shares of the best constant's cost
    cost_weight : quality per dollar, for utility and regret
    margin : quality that may be lost, in the sentence that is printed
    max_unsupported : share of a policy's requests that may go where the log says too little; a
        policy beyond it is not judged
    loggers : versions that served the log, as ``policy_version`` names them, to their bundle
        folders; what others would have chosen is estimated
    n_resamples : bootstrap samples, on a matrix
    streaming : read the log in one pass and bounded memory, for logs of many millions of requests:
        the router beside today, without constants, tails and segments
    """

    bundle: Path
    output: Path
    joined: Path | None = None
    trained: Path | None = None
    matrix: Path | None = None
    budget_shares: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 1.0)
    cost_weight: float = 0.0
    margin: float = DEFAULT_MARGIN
    max_unsupported: float = 0.05
    loggers: Mapping[str, Path] = field(default_factory=dict)
    n_resamples: int = 2_000
    streaming: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        check_range(self, ("margin",), 0.0, 1.0)
        if self.streaming and (self.joined is None or self.matrix or self.trained or self.loggers):
            raise ConfigError(
                "streaming reads the test split of a joined log: name joined, and none of matrix, "
                "trained and loggers"
            )
        if self.cost_weight < 0.0:
            raise ConfigError(f"cost_weight must be >= 0, got {self.cost_weight}")
        if not 0.0 <= self.max_unsupported <= 1.0:
            raise ConfigError(f"max_unsupported must be in [0, 1], got {self.max_unsupported}")
        if self.n_resamples < 1 or any(share <= 0.0 for share in self.budget_shares):
            raise ConfigError(
                "n_resamples must be >= 1 and budget_shares > 0, got "
                f"{self.n_resamples} and {self.budget_shares}"
            )


def evaluated(keys: Mapping[str, Any], trained: Path) -> dict[str, Any]:
    """Keys of an evaluation that follows a training, with what that held out unless it streams."""
    return {**({} if keys.get("streaming") else {"trained": trained}), **keys}


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifyConfig:
    """What a bundle's quality floor is certified on.

    Parameters
    ----------
    bundle : bundle folder
    joined : folder that ``join`` wrote: its training split names the reference, its test split is
        what is certified on unless there is a ``matrix``
    output : folder to write ``bundle/`` and ``certificate.json`` to; replaced if it is there
    matrix : Parquet of every candidate's outcome on every prompt; training prompts are left out
    floor : share of the reference's mean quality that must be kept, in (0, 1)
    delta : probability with which the floor may be broken, in (0, 1)
    method : ``betting``, or ``hoeffding-bentkus``
    """

    bundle: Path
    joined: Path
    output: Path
    matrix: Path | None = None
    floor: float = 0.98
    delta: float = 0.05
    method: Literal["betting", "hoeffding-bentkus"] = "betting"

    def __post_init__(self) -> None:
        check_fields(self)
        check_range(self, ("floor", "delta"), 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """What a router's report is made of.

    Parameters
    ----------
    bundle : bundle folder
    evaluation : folder that ``evaluate`` wrote
    output : HTML file to write
    trained, joined : folders of these stages, for what the router was learned from
    """

    bundle: Path
    evaluation: Path
    output: Path = Path("report.html")
    trained: Path | None = None
    joined: Path | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffConfig:
    """Two routers, and what they are compared on.

    Parameters
    ----------
    old, new : routers: ``@champion`` or another alias of the registry, a version's number, a bundle
        folder, or a folder below which ``run`` or the stages wrote
    name : registered model that aliases and numbers are of
    joined : folder that ``join`` wrote; the judge unless there is a ``matrix``
    matrix : Parquet of every candidate's outcome on every prompt
    output : HTML file to write beside what is printed
    margin : quality that may be lost, in the verdict
    examples : requests that change hands to quote in the page; their text is your users', so none
        by default
    """

    old: str
    new: str
    name: str = "router"
    joined: Path | None = None
    matrix: Path | None = None
    output: Path | None = None
    margin: float = DEFAULT_MARGIN
    examples: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        check_range(self, ("margin",), 0.0, 1.0)
        if self.examples < 0:
            raise ConfigError(f"examples must be >= 0, got {self.examples}")
