"""The challenger becomes the champion, if the gate lets it; and the way back."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.config import PromoteConfig
from pipelines.registry.loggers import registered_loggers
from pipelines.registry.promotion import PromotionReport, judge
from pipelines.registry.tracking import registry_errors
from pipelines.registry.versions import (
    CHAMPION,
    CHAMPIONS,
    NOBODY,
    challenger_version,
    champion_history,
    champion_version,
    check_champion,
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


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate said of a version, and which champion it was compared with."""

    version: str
    champion: str | None
    report: PromotionReport


def run(config: PromoteConfig) -> PromotionReport:
    """Judge the challenger, and make it champion if the gate passes or is overridden by name.

    The report goes to the version's tags (``gate``, ``gate_passed``, ``override_by`` …) and, in
    full, to the artifacts of its run (``gate/``).

    Raises
    ------
    RegistryError
        If the registry cannot be reached, has no such version, or that is champion already; a
        ``ChampionMovedError`` if the champion is another by the time that the gate has spoken.
    DataError
        If the data cannot carry a comparison at all, and nobody overrides that.
    """
    judged = ask(config)
    if judged.report.promoted:
        move(config.name, judged.version, expected=judged.champion)
    return judged.report


def ask(config: PromoteConfig, *, pending: bool = False) -> Judged:
    """Judge the challenger, and record what the gate said; nothing moves.

    Parameters
    ----------
    pending : whether a version that passes is to wait before it is promoted, such as in the shadow

    Raises as :func:`run` does.
    """
    with registry_errors("judge a version"):
        client = registry_client()
        challenger = challenger_version(client, config)
        config = judged_by_its_own(client, config, challenger)
        version, champion = str(challenger.version), champion_version(config.name)
        if champion == version:
            raise RegistryError(f"version {champion} of {config.name} is champion already")
        looks = looks_at(client, config, version, champion)
        report = _report(client, config, challenger, champion, looks["number"])
        count_look(client, config.name, looks)
        report = report.overridden(config.override_by, config.override_reason)
        report = replace(report, pending=pending)
        record_report(client, config.name, challenger, report)
    return Judged(version, champion, report)


def move(name: str, version: str, *, expected: str | None) -> None:
    """Give a version the alias ``champion``.

    Parameters
    ----------
    expected : the champion that it was judged against; ``None`` = there was none

    Raises
    ------
    ChampionMovedError
        If another is champion by now.
    """
    with registry_errors("promote a version"):
        client = registry_client()
        set_champion(client, name, version, expected=expected)
        client.set_model_version_tag(name, version, "promoted_at", now())


def _report(
    client: Any, config: PromoteConfig, challenger: Any, champion: str | None, look: int
) -> PromotionReport:
    version = str(challenger.version)
    names = (version, champion or NOBODY)
    joined = None if config.matrix is not None else config.joined
    with tempfile.TemporaryDirectory(prefix="router-gate-") as folder:
        new = contender(client, config.name, version, Path(folder))
        old = None
        if champion is not None:
            old = contender(client, config.name, champion, Path(folder))
        try:
            rows = pair(
                new,
                old,
                joined=config.joined,
                matrix=config.matrix,
                by_region=config.support_by_region,
                opponent=config.opponent,
                guards=config.guards,
                cost_weight=config.cost_weight,
                loggers=registered_loggers(client, config.name, joined, Path(folder)),
            )
        except DataError as error:
            if not config.override_by:
                raise
            return PromotionReport.unjudged(names, config, str(error), look)
        return judge(
            new.runtime,
            None if old is None else old.runtime,
            config,
            names=names,
            parity=json.loads(challenger.tags.get("parity", "null")),
            rows=rows,
            look=look,
        )


def rollback(
    name: str = "router", *, by: str = "", reason: str = "", expected: str | None = None
) -> str:
    """Give the alias ``champion`` back to the version that had it before.

    Parameters
    ----------
    expected : version that must be champion by now; ``None`` = whichever is

    Returns
    -------
    The version that is champion now.

    Raises
    ------
    RegistryError
        If there is no former champion; a ``ChampionMovedError`` if another is champion than was
        expected.
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
        if expected is not None:
            check_champion(client, name, expected)
        tags = {"rolled_back_at": now(), "rolled_back_by": by, "rolled_back_reason": reason}
        for key, value in tags.items():
            if value:
                client.set_model_version_tag(name, rolled_back, key, value)
        # The history first: cut short in between, it counts the version that still has the alias
        # as its end again, and the same call does the same once more.
        client.set_registered_model_tag(name, CHAMPIONS, ",".join(history[:-1]))
        client.set_registered_model_alias(name, CHAMPION, former)
    return former
