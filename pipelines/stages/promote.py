"""The challenger becomes the champion, if the gate lets it; and the way back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from pipelines.config import PromoteConfig
from pipelines.registry.promotion import PromotionReport, judge
from pipelines.registry.tracking import registry_errors
from pipelines.registry.versions import (
    CHAMPION,
    CHAMPIONS,
    NOBODY,
    challenger_version,
    champion_history,
    champion_version,
    contender,
    count_look,
    judged_by_its_own,
    looks_at,
    now,
    record_report,
    registry_client,
    set_champion,
)
from router_ml.errors import DataError, RegistryError
from router_ml.evaluation.gate.pairing import pair


def run(config: PromoteConfig) -> PromotionReport:
    """Judge the challenger, and make it champion if the gate passes or is overridden by name.

    The report goes to the version's tags (``gate``, ``gate_passed``, ``override_by`` …) and, in
    full, to the artifacts of its run (``gate/``).

    Raises
    ------
    RegistryError
        If the registry cannot be reached, has no such version, or that is champion already.
    DataError
        If the data cannot carry a comparison at all, and nobody overrides that.
    """
    with registry_errors("promote a version"):
        client = registry_client()
        challenger = challenger_version(client, config)
        config = judged_by_its_own(client, config, challenger)
        version, champion = str(challenger.version), champion_version(config.name)
        if champion == version:
            raise RegistryError(f"version {champion} of {config.name} is champion already")
        looks = looks_at(client, config, version, champion)
        with tempfile.TemporaryDirectory(prefix="router-gate-") as folder:
            new = contender(client, config.name, version, Path(folder))
            old = None
            if champion is not None:
                old = contender(client, config.name, champion, Path(folder))
            names = (version, champion or NOBODY)
            try:
                rows = pair(
                    new,
                    old,
                    joined=config.joined,
                    matrix=config.matrix,
                    by_region=config.support_by_region,
                    opponent=config.opponent,
                )
            except DataError as error:
                if not config.override_by:
                    raise
                report = PromotionReport.unjudged(names, config, str(error), looks["number"])
            else:
                report = judge(
                    new.runtime,
                    None if old is None else old.runtime,
                    config,
                    names=names,
                    parity=json.loads(challenger.tags.get("parity", "null")),
                    rows=rows,
                    look=looks["number"],
                )
        count_look(client, config.name, looks)
        report = report.overridden(config.override_by, config.override_reason)
        record_report(client, config.name, challenger, report)
        if report.promoted:
            set_champion(client, config.name, version)
    return report


def rollback(name: str = "router", *, by: str = "", reason: str = "") -> str:
    """Give the alias ``champion`` back to the version that had it before.

    Returns
    -------
    The version that is champion now.

    Raises
    ------
    RegistryError
        If there is no former champion.
    """
    with registry_errors("roll back"):
        client = registry_client()
        history = champion_history(client, name)
        if len(history) < 2:
            raise RegistryError(
                f"{name} has no former champion to go back to; its champions so far: "
                f"{', '.join(history) or 'none'}"
            )
        rolled_back, former = history[-1], history[-2]
        client.set_registered_model_alias(name, CHAMPION, former)
        client.set_registered_model_tag(name, CHAMPIONS, ",".join(history[:-1]))
        tags = {"rolled_back_at": now(), "rolled_back_by": by, "rolled_back_reason": reason}
        for key, value in tags.items():
            if value:
                client.set_model_version_tag(name, rolled_back, key, value)
    return former
