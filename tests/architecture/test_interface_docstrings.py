"""Every public name says its shapes, units, errors and source, with an example that runs."""

from __future__ import annotations

import ast
import builtins
import doctest
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import router_ml as rm

FROM_A_PAPER = {
    "Boltzmann", "Budget", "CostAware", "EpsilonGreedy", "Explanation", "LabelProposal",
    "QualityRegressor", "compare", "evaluate", "fit", "onboard", "promote", "propose_labels",
    "search",
}  # fmt: skip
"""Names that are somebody's method; the others read, keep or show."""
NUMBERS = re.compile(
    r"shape \(|\bUS dollars?\b|\bdollars\b|\$|\bseconds\b|\bmilliseconds\b|\b[mM]s\b|\[0, 1\]"
    r"|\(0, 1\]|\[0, 1\)|>= ?\d|> ?0|at least \d|quality per"
)
"""A unit, a range or a shape."""
WITHOUT_NUMBERS = {
    "Registered", "inspect", "load", "promote", "rollback", "sample"
}  # fmt: skip
"""Names that neither take nor give a number."""


def sections(doc: str) -> dict[str, str]:
    parts = re.split(r"^(\w[\w ]*)\n-{3,}$", inspect.cleandoc(doc), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def examples(doc: str) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(doc)


def methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public methods that are this interface's own, inherited ones of it included."""
    for name, value in inspect.getmembers(cls, inspect.isroutine):
        home = getattr(value, "__module__", None) or ""
        if not name.startswith("_") and home.startswith("pipelines."):
            yield name, value


def described(doc: str) -> set[str]:
    found = set()
    for line in re.findall(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*) : ", inspect.cleandoc(doc), re.M):
        found |= {name.strip(" *") for name in line.split(",")}
    return found


def parameters(thing: Any) -> set[str]:
    return set(inspect.signature(thing).parameters) - {"self", "cls"}


@pytest.mark.parametrize("name", rm.__all__)
def test_a_public_name_has_an_example_that_runs_by_itself(name: str) -> None:
    shown = examples(inspect.getdoc(getattr(rm, name)) or "")
    assert shown
    source = "".join(example.source for example in shown)
    assert "SKIP" not in source
    tree = ast.walk(ast.parse(source))
    names = [node for node in tree if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    bound |= {node.arg for node in ast.walk(ast.parse(source)) if isinstance(node, ast.arg)}
    unbound = {node.id for node in names} - bound - set(dir(builtins))
    assert unbound == set()


@pytest.mark.parametrize("name", rm.__all__)
def test_a_public_name_says_all_of_its_parameters(name: str) -> None:
    thing = getattr(rm, name)
    doc = inspect.getdoc(thing) or ""
    hidden = {"keep"}  # temporary folders that only this package hands over
    assert parameters(thing) - described(doc) - hidden == set()
    if inspect.isclass(thing):
        for method, function in methods(thing):
            missing = parameters(function) - described(function.__doc__ or "")
            assert missing == set(), f"{name}.{method}"


@pytest.mark.parametrize("name", rm.__all__)
def test_a_public_name_says_shapes_or_units(name: str) -> None:
    thing = getattr(rm, name)
    members = inspect.getmembers(thing) if inspect.isclass(thing) else ()
    docs = [thing, *(value for member, value in members if not member.startswith("_"))]
    said = any(
        NUMBERS.search(text)
        for doc in map(inspect.getdoc, docs)
        for part, text in sections(doc or "").items()
        if part != "Examples"
    )
    assert said == (name not in WITHOUT_NUMBERS)


@pytest.mark.parametrize(
    "name", [name for name in rm.__all__ if inspect.isfunction(getattr(rm, name))]
)
def test_a_function_says_its_errors(name: str) -> None:
    thing = getattr(rm, name)
    doc = sections(inspect.getdoc(thing) or "")
    assert ("Raises" in doc) == bool(parameters(thing) and name != "sample_log")


def test_methods_of_papers_name_them() -> None:
    cited = {
        name
        for name in rm.__all__
        if "References" in sections(inspect.getdoc(getattr(rm, name)) or "")
    }
    assert cited == FROM_A_PAPER
