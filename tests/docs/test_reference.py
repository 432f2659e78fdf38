"""The generated pages hold every option, column, setting and path that there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import router_ml
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
    entries = set(re.findall(r"^::: (router_ml\S+)$", "\n".join(PAGES.values()), re.MULTILINE))
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "router_ml").rglob("*.py")
        if not path.name.startswith("_")
    }
    assert entries == modules


def test_every_public_name_has_an_entry() -> None:
    page = PAGES["reference/python/interface.md"]
    for name in router_ml.__all__:
        assert f"| `rm.{name}` |" in page
        home = router_ml._HOMES[name].replace(":", ".")
        assert f"\n::: {home}\n" in page or home.startswith("router_ml.policies")


def test_the_figures_name_every_layer() -> None:
    for layer in ("cascade", "learning", "evaluation", "stages", "join"):
        assert f">{layer}</text>" in PAGES["images/layers.svg"]
