"""The generated pages hold every option, column, setting and path that there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from pipelines.cli import COMMANDS
from router_ml.data import schemas
from serving.http.openapi import OPERATIONS
from serving.settings import Settings
from tools.docs.pages import generated

ROOT = Path(__file__).parents[2]
PAGES = generated(ROOT)


def test_every_option_of_every_command_has_a_row() -> None:
    page = PAGES["reference/configuration.md"]
    for name, command in COMMANDS.items():
        section = page.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
        for field in dataclasses.fields(command.config_class()):
            assert f"\n| `{field.name}` |" in section, f"{name} {field.name}"


def test_every_setting_has_a_row() -> None:
    for field in dataclasses.fields(Settings):
        assert f"\n| `ROUTER_SERVE_{field.name.upper()}` |" in PAGES["reference/settings.md"]


def test_every_column_has_a_row() -> None:
    for table in (schemas.REQUESTS, schemas.LABELS, schemas.PRICES, schemas.MATRIX):
        for column in table.names:
            assert f"\n| `{column}` |" in PAGES["reference/tables.md"]


def test_every_operation_has_a_section() -> None:
    for operation in OPERATIONS:
        heading = f"## `{operation.method.upper()} {operation.path}`"
        assert heading in PAGES["reference/http.md"]


def test_every_public_module_of_the_library_has_an_entry() -> None:
    entries = set(re.findall(r"^::: (\S+)$", "\n".join(PAGES.values()), re.MULTILINE))
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "router_ml").rglob("*.py")
        if not path.name.startswith("_")
    }
    assert entries == modules


def test_the_figures_name_every_layer() -> None:
    for layer in ("cascade", "learning", "evaluation", "stages", "join"):
        assert f">{layer}</text>" in PAGES["images/layers.svg"]
