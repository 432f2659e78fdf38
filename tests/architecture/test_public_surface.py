"""What a reader may rely on: versions agree, documented defaults are real, errors are drawn."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import router_ml
from pipelines import config
from router_ml import client, errors
from router_ml.estimators.registry import load_all
from router_ml.policies.registry import POLICIES

ROOT = Path(__file__).parents[2]
CLASSES = [*load_all().values(), *POLICIES.values()]


def test_changelog_version_is_package_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == router_ml.__version__
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{router_ml.__version__}"' in project


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_documented_defaults_are_the_signatures(cls: type) -> None:
    documented = dict(
        re.findall(r"^    (\w+) : [^\n]*?default=([^\s,]+?),?$", cls.__doc__ or "", re.MULTILINE)
    )
    parameters = inspect.signature(cls).parameters
    for name, text in documented.items():
        default = parameters[name].default
        assert text.strip("'\"") == str(default), f"{cls.__name__}.{name}"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_constructors_are_keyword_only(cls: type) -> None:
    kinds = {p.kind for p in inspect.signature(cls).parameters.values()}
    assert kinds <= {inspect.Parameter.KEYWORD_ONLY}


def test_every_error_stands_in_the_drawn_tree() -> None:
    drawn = errors.__doc__ or ""
    raised = [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.RouterError)
    ]
    assert raised
    assert [name for name in raised if name not in drawn] == []


def test_every_config_is_exported_and_every_exported_name_exists() -> None:
    defined = {
        name
        for module in pkgutil.iter_modules(config.__path__)
        for name, value in vars(importlib.import_module(f"{config.__name__}.{module.name}")).items()
        if dataclasses.is_dataclass(value) and value.__module__.startswith(config.__name__)
    }
    assert defined <= set(config.__all__)
    for package in (config, router_ml, client):
        assert [
            name for name in getattr(package, "__all__", ()) if not hasattr(package, name)
        ] == []


def test_unit_tests_are_found_by_the_name_of_what_they_test() -> None:
    tests = ROOT / "tests" / "unit"
    lost = [
        str(path.relative_to(tests))
        for path in tests.rglob("test_*.py")
        if not (source := ROOT / path.parent.relative_to(tests) / path.stem.removeprefix("test_"))
        .with_suffix(".py")
        .is_file()
        and not source.is_dir()
    ]
    assert lost == []
