"""Routers in the MLflow registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.api.log import Log, as_log
from pipelines.api.workspace import bars
from pipelines.config import PromoteConfig, RegisterConfig
from pipelines.options import load_config
from pipelines.registry.promotion import PromotionReport
from pipelines.stages import promote as promotion
from pipelines.stages import register as registration
from router_ml.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.api.evaluation import Evaluation
    from pipelines.api.router import Router


@dataclass(frozen=True, slots=True)
class Registered:
    """Where a router was recorded.

    Parameters
    ----------
    run_id : of the MLflow run
    model_uri : of the logged model, which ``mlflow.pyfunc.load_model`` takes
    version : in the registry, as ``challenger``; ``""`` where it was only recorded

    Examples
    --------
    The store is the one that ``MLFLOW_TRACKING_URI`` names.

    >>> import router_ml as rm
    >>> router = rm.fit(rm.sample_log(), estimator="linear")
    >>> router.log_to_mlflow(name="shown").version
    ''
    """

    run_id: str
    model_uri: str
    version: str = ""


def log_router(
    router: Router,
    *,
    name: str,
    register: bool,
    evaluation: Evaluation | None,
    log: Log | Path | str | None,
    options: Mapping[str, Any],
) -> Registered:
    """Evaluate a router, then record it; see :meth:`Router.log_to_mlflow`."""
    from pipelines.api.evaluation import evaluate

    if router.unavailable:
        raise ConfigError("a router with an outage is not recorded; record the one without it")
    if evaluation is None:
        source = router.log if log is None else as_log(log)
        evaluation = None if source is None else evaluate(router, source)
    else:
        if evaluation.router is None or evaluation.router.bundle != router.bundle:
            raise ConfigError("this evaluation is of another router; make one with rm.evaluate")
        source = evaluation.log if log is None else as_log(log)
    config = load_config(
        RegisterConfig,
        overrides={
            **options,
            "bundle": router.bundle,
            "trained": router.trained,
            "joined": None if source is None else source.folder,
            "evaluation": None if evaluation is None else evaluation.folder,
            "matrix": None if source is None else source.matrix,
            "name": name,
        },
    )
    with bars():
        logged, version = registration.record(config, register=register)
    return Registered(logged.run_id, logged.model_uri, version)


def promote(
    name: str = "router",
    log: Log | Path | str | None = None,
    *,
    matrix: Path | str | None = None,
    **options: Any,
) -> PromotionReport:
    """Ask the gate whether the challenger may replace the champion; as ``router-ml promote`` does.

    Parameters
    ----------
    name : registered model
    log : to judge by; default: the one that the challenger was registered with, if still there
    matrix : every candidate's outcome, to judge by; default: the log's, if it has one
    options : further keys of the promotion, such as ``margin``, ``opponent`` or ``override_by``

    Returns
    -------
    The report; ``report.promoted`` says whether the alias moved, ``print(report.text)`` why.

    Raises
    ------
    RegistryError
        If the registry cannot be reached, or holds no challenger.
    DataError
        If the log cannot carry a comparison at all, or none is known.

    References
    ----------
    .. [1] Dudík, Langford and Li, "Doubly Robust Policy Evaluation and Learning", ICML 2011.
    .. [2] Waudby-Smith et al., "Time-uniform central limit theory and asymptotic confidence
       sequences", Annals of Statistics, 2024: asking again does not spend the error.

    Examples
    --------
    750 requests are too few to tell, so the gate says no; somebody answers for overriding it.

    >>> import router_ml as rm
    >>> router = rm.fit(rm.sample_log(), estimator="linear")
    >>> router.log_to_mlflow(name="promoted", register=True).version
    '1'
    >>> rm.promote("promoted").promoted
    False
    >>> rm.promote("promoted", override_by="Ada", override_reason="a first version").promoted
    True
    """
    source = None if log is None else as_log(log)
    if matrix is None and source is not None:
        matrix = source.matrix
    config = load_config(
        PromoteConfig,
        overrides={
            **options,
            "name": name,
            "joined": None if source is None else source.folder,
            "matrix": None if matrix is None else Path(matrix),
        },
    )
    with bars():
        return promotion.run(config)


def rollback(name: str = "router", *, by: str = "", reason: str = "") -> str:
    """Make the former champion the champion again; what ``router-ml rollback`` does.

    Parameters
    ----------
    name : registered model
    by, reason : kept in the version's tags

    Returns
    -------
    The version that is champion now.

    Raises
    ------
    RegistryError
        If there is no former champion.

    Examples
    --------
    >>> import router_ml as rm
    >>> router = rm.fit(rm.sample_log(), estimator="linear")
    >>> by = {"override_by": "Ada", "override_reason": "shown"}
    >>> found = rm.evaluate(router)
    >>> for version in ("1", "2"):
    ...     _ = router.log_to_mlflow(name="rolled-back", register=True, evaluation=found)
    ...     _ = rm.promote("rolled-back", **by)
    >>> rm.rollback("rolled-back", by="Ada", reason="complaints")
    '1'
    """
    return promotion.rollback(name, by=by, reason=reason)
