"""The page of all commands and their options, from the command table and the config classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pipelines.cli import COMMANDS
from pipelines.config import LabelFile
from router_ml.cascade.spec import CascadeConfig
from tools.docs.options import option_table

_INTRO = """# Commands and configuration

Every command reads one set of options. From weakest to strongest: defaults, a file (`--config
file.yaml`), variables (`ROUTER_ML_<COMMAND>_<KEY>`), the command line (`--key value`, `--key.inner
value`, `--set key=value`). On the command line `-` and `_` are the same. A list may be given as
several options. Unknown keys are refused.

Stages find each other's folders below `--runs` (default `runs`): where a folder that an earlier
stage writes is asked for below, leaving it out means that one. `output` has such a default too.

Generated from the config classes in `pipelines/`; `router-ml COMMAND --help` says the same.
"""
_INSIDE: Final[Mapping[str, tuple[tuple[str, type], ...]]] = {
    "join": (("labels", LabelFile),),
    "train": (("cascade", CascadeConfig),),
}
"""Keys that have keys of their own."""


def page() -> str:
    """One section a command."""
    return "\n\n".join([_INTRO, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    for name, command in COMMANDS.items():
        words = " ".join(["router-ml", name, *(f"[{word}]" for word in command.positional)])
        yield f"## `{name}`\n\n{command.about}\n\n```sh\n{words} [options]\n```"
        yield option_table(command.config_class())
        for key, cls in _INSIDE.get(name, ()):
            yield f"### `{key}` of `{name}`\n\n" + (cls.__doc__ or "").partition("\n")[0]
            yield option_table(cls)
