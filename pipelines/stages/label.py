"""``router-ml label``: propose, ask, read."""

from __future__ import annotations

from pathlib import Path

from pipelines.config import LabelConfig
from pipelines.console import console, print_table
from pipelines.stages.judge import VERDICTS, ask_all, judge_from
from pipelines.stages.label_proposal import LabelProposal, propose, read_proposal
from pipelines.stages.verdicts import read_verdicts, save
from router_ml.data.held_out import HeldOut
from router_ml.errors import ConfigError
from router_ml.evaluation.gate.pairing import Contender
from router_ml.runtime.runtime import Runtime


def run(config: LabelConfig) -> None:
    """Do what ``config.action`` says.

    Raises
    ------
    ConfigError
        If what the action needs is not named.
    """
    {"propose": _propose, "ask": _ask, "read": _read}[config.action](config)


def _propose(config: LabelConfig) -> None:
    if config.bundle is None or config.joined is None:
        raise ConfigError("label propose needs --bundle and --joined")
    found = propose(
        _contender(config.bundle, config.trained),
        config.joined,
        champion=(
            None if config.champion is None
            else _contender(config.champion, config.champion_trained)
        ),
        budget=config.budget,
        floor=config.floor,
        margin=config.margin,
        random_state=config.random_state,
    )  # fmt: skip
    print_power(found)
    path = found.save(config.output)
    console.print(f"{found.text}: {path}, for people {path.with_suffix('.csv')}", highlight=False)


def print_power(found: LabelProposal) -> None:
    """What further labels buy."""
    print_table(
        "What further labels buy",
        ("labels", "± points", "power", "± drawn evenly", "power"),
        [
            (
                f"{row['labels']:,.0f}",
                f"{row['half_width'] * 100:.2f}",
                f"{row['power']:.0%}",
                f"{row['half_width_even'] * 100:.2f}",
                f"{row['power_even']:.0%}",
            )
            for row in found.power.to_dict("records")
        ],
    )


def _ask(config: LabelConfig) -> None:
    requests = read_proposal(config.output).to_dict("records")
    rows = [{str(key): value for key, value in row.items()} for row in requests]
    if not all(row["answer"] for row in rows):
        raise ConfigError(
            "a judge needs answers, and the log that was proposed from has none; join a log with "
            "answers, or let people find them by request_id"
        )
    path = config.output / VERDICTS
    told, refused = ask_all(judge_from(config), rows, path, concurrency=config.concurrency)
    console.print(f"{told:,} verdicts, {refused:,} refused: {path}", highlight=False)


def _read(config: LabelConfig) -> None:
    own = not config.verdicts
    files = [config.output / VERDICTS] if own else list(config.verdicts)
    found = read_verdicts(
        read_proposal(config.output),
        files,
        gold=config.gold,
        joined=config.joined,
        # What `ask` wrote is in [0, 1] already.
        low=0.0 if own else config.low,
        high=1.0 if own else config.high,
        name=config.name,
        source=config.source,
    )
    console.print(found.text, highlight=False)
    console.print(f"labels for join: {save(found, config.output)}", highlight=False)


def _contender(bundle: Path, trained: Path | None) -> Contender:
    held_out = None if trained is None else HeldOut.load(trained)
    return Contender(Runtime.from_folder(bundle), held_out)
