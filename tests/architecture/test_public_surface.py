"""What a reader may rely on: versions agree, documented defaults are real, errors are drawn."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import router_ml
from router_ml import errors
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
