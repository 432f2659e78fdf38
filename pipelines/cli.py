"""The command line: one command a stage, its options the fields of the stage's config.

``router-ml COMMAND --help`` lists a command's options with what they mean and their defaults;
:mod:`pipelines.options` says how they are given.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from pipelines import commands, decision_log
from pipelines.artifacts import RunFolders
from pipelines.command_line import command_line
from pipelines.console import console
from router_ml.errors import ConfigError, RouterError


@dataclass(frozen=True, slots=True)
class Command:
    """A command: what it does with its config.

    Parameters
    ----------
    call : takes the config that its annotation, or ``config``, names
    config : ``module:Class``, where that is loaded only when it is needed
    positional : fields given by position
    output : the folder of ``RunFolders`` that it writes to by default; ``""`` = none
    """

    call: Callable[[Any], None]
    config: str = ""
    positional: tuple[str, ...] = ()
    output: str = ""

    @property
    def about(self) -> str:
        """One line."""
        return (self.call.__doc__ or "").strip().partition("\n")[0]

    def config_class(self) -> type:
        """The dataclass of its options."""
        if self.config:
            module, _, name = self.config.partition(":")
            found: type = getattr(importlib.import_module(module), name)
            return found
        hint: type = typing.get_type_hints(self.call)["config"]
        return hint


COMMANDS: Final[Mapping[str, Command]] = {
    "run": Command(
        commands.run,
        config="pipelines.stages.run:RunConfig",
        positional=("requests",),
        output="root",
    ),
    "inspect": Command(commands.inspect, positional=("files",)),
    "join": Command(commands.join, output="joined"),
    "train": Command(commands.train, output="trained"),
    "search": Command(commands.search, output="search"),
    "export": Command(commands.export, output="export"),
    "evaluate": Command(commands.evaluate, output="evaluation"),
    "report": Command(commands.report),
    "diff": Command(commands.diff, positional=("old", "new")),
    "onboard": Command(commands.onboard, positional=("name",), output="onboard"),
    "label": Command(commands.label, positional=("action",), output="labels"),
    "certify": Command(commands.certify, output="certified"),
    "fit-routes": Command(commands.fit_routes, positional=("utterances",), output="routes"),
    "register": Command(commands.register),
    "promote": Command(commands.promote),
    "rollback": Command(commands.rollback),
    "serve": Command(commands.serve, positional=("bundle",)),
    "gateway": Command(commands.gateway, positional=("catalogue",)),
    "route": Command(commands.route, positional=("bundle", "query")),
    "explain": Command(decision_log.explain, positional=("decision_id",)),
    "experiment": Command(decision_log.experiment, positional=("action",)),
    "verify-log": Command(decision_log.verify_log, positional=("log",)),
    "erase": Command(decision_log.erase_text, positional=("log",)),
    "monitor": Command(commands.monitor, positional=("log",), output="monitor"),
    "demo": Command(commands.demo),
    "loop": Command(
        commands.loop, config="pipelines.loop.config:LoopConfig", positional=("action",)
    ),
    "simulate": Command(commands.simulate, config="pipelines.simulation.config:SimulateConfig"),
}
_FOUND_BELOW: Final = ("joined", "trained", "bundle", "evaluation")
"""Fields that name what another stage wrote."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: errors that were foreseen are one line, not a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        run(words)
    except RouterError as error:
        console.print(f"[bold red]{type(error).__name__}[/bold red]", end=": ")
        console.print(str(error), markup=False, highlight=False)
        raise SystemExit(2) from error


def run(words: list[str]) -> None:
    """What the words ask for.

    Raises
    ------
    RouterError
        Whatever was foreseen.
    """
    if not words or words[0] in ("-h", "--help", "help"):
        _print_commands()
    elif words[0] == "completion":
        _print_completion(words[1] if len(words) > 1 else "bash")
    elif words[0] == "benchmark":
        _benchmark(words[1:])
    else:
        dispatch(COMMANDS, "router-ml", words)


def dispatch(commands: Mapping[str, Command], prog: str, words: Sequence[str]) -> None:
    """Call the command that the first word names.

    Raises
    ------
    ConfigError
        If there is no such command, or an option is wrong.
    """
    name, *rest = words
    if name not in commands:
        raise ConfigError(f"no command {name!r}; {prog} has {', '.join(commands)}")
    command = commands[name]
    cls = command.config_class()
    config: Any = command_line(
        cls,
        rest,
        prog=f"{prog} {name}",
        positional=command.positional,
        defaults=_folders(cls, _runs(rest), command.output),
    )
    command.call(config)


def _runs(words: Sequence[str]) -> RunFolders:
    """``--runs FOLDER``: where stages find what others wrote."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    return RunFolders(parser.parse_known_args(list(words))[0].runs)


def _folders(cls: type, runs: RunFolders, output: str) -> dict[str, object]:
    """Folders below ``runs`` for fields that nobody set: the needed ones, and those there are."""
    found: dict[str, object] = {}
    for field in fields(cls):
        needed = field.default is MISSING and field.default_factory is MISSING
        if field.name in _FOUND_BELOW and field.default in (None, MISSING):
            folder: Path = getattr(runs, field.name)
            if needed or folder.exists():
                found[field.name] = folder
        elif field.name == "output" and output:
            found["output"] = getattr(runs, output)
    return found


def _print_commands() -> None:
    table = Table(title="router-ml COMMAND [options]", title_justify="left", show_header=False)
    table.box = None
    for name, command in COMMANDS.items():
        table.add_row(f"[bold]{name}[/bold]", command.about)
    if _has_benchmarks():
        table.add_row("[bold]benchmark[/bold]", "Measure, and write the numbers as JSON.")
    table.add_row("[bold]completion[/bold]", "Print a completion script: bash, zsh or tcsh.")
    console.print(table)
    console.print(
        "router-ml COMMAND --help lists a command's options. Stages find each other's folders "
        "below --runs (default: runs).",
        highlight=False,
    )


def _print_completion(shell: str) -> None:
    import shtab

    parser = argparse.ArgumentParser(prog="router-ml")
    several = parser.add_subparsers()
    for name, command in COMMANDS.items():
        one = several.add_parser(name, help=command.about)
        one.add_argument("--runs")
        one.add_argument("--config")
        for field in fields(command.config_class()):
            if field.name not in command.positional:
                one.add_argument(f"--{field.name.replace('_', '-')}")
    if shell not in shtab.SUPPORTED_SHELLS:
        raise ConfigError(f"completion for {', '.join(shtab.SUPPORTED_SHELLS)}, got {shell!r}")
    sys.stdout.write(shtab.complete(parser, shell=shell) + "\n")


def _has_benchmarks() -> bool:
    return importlib.util.find_spec("pipelines.benchmarks") is not None


def _benchmark(words: Sequence[str]) -> None:
    if not _has_benchmarks():
        raise ConfigError("benchmarks are not part of the installed package; run them in a clone")
    module: Any = importlib.import_module("pipelines.benchmarks.cli")
    if not words or words[0] in ("-h", "--help"):
        for name, command in module.COMMANDS.items():
            console.print(f"  [bold]{name}[/bold]  {command.about}", highlight=False)
        return
    dispatch(module.COMMANDS, "router-ml benchmark", words)


if __name__ == "__main__":
    main()
