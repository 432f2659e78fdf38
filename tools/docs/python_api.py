"""Pages of the Python interface: one a package of the library, its public modules in order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import router_ml

PACKAGE = "router_ml"
INTERFACE = "interface.md"
"""Page of the names that ``import router_ml as rm`` gives."""


def pages(root: Path) -> dict[str, str]:
    """Markdown by path below ``reference/python``; mkdocstrings fills it in."""
    library = root / PACKAGE
    found = {
        f"{folder.name}.md": _page(f"{PACKAGE}.{folder.name}", folder, root)
        for folder in sorted(library.iterdir())
        if (folder / "__init__.py").is_file()
    }
    found[INTERFACE] = _interface()
    found["errors.md"] = f"# `{PACKAGE}.errors`\n\n::: {PACKAGE}.errors\n"
    names = ", ".join(
        f"[`{PACKAGE}.{Path(name).stem}`]({name})" for name in found if name != INTERFACE
    )
    found["index.md"] = (
        f"# Python interface\n\n[`import router_ml as rm`]({INTERFACE}): from a log to a router, "
        "in a notebook. Below it the library, module by module: everything public, with its "
        "signature and docstring. Types and defaults stand in the signatures; shapes and units in "
        f"the text.\n\nPackages: {names}.\n\nGenerated from the docstrings.\n"
    )
    return found


def _interface() -> str:
    """Every public name, where it is defined, functions first."""
    about = ast.get_docstring(ast.parse(Path(router_ml.__file__).read_text("utf-8"))) or ""
    homes = {name: router_ml._HOMES[name].replace(":", ".") for name in router_ml.__all__}
    order = sorted(homes, key=lambda name: (name[0].isupper(), name))
    rows = "\n".join(f"| `rm.{name}` | `{homes[name]}` |" for name in order)
    entries = (_entry(homes[name]) for name in order if ".api." in homes[name])
    table = f"| name | defined as |\n|---|---|\n{rows}"
    return "\n\n".join(["# `import router_ml as rm`", about, table, *entries]) + "\n"


def _entry(home: str) -> str:
    """A name with what it inherits inside this package."""
    return f"::: {home}\n    options:\n      inherited_members: true"


def _page(name: str, folder: Path, root: Path) -> str:
    about = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    return "\n\n".join([f"# `{name}`", about, *_modules(folder, root)]) + "\n"


def _modules(folder: Path, root: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.py")):
        if path.name.startswith("_"):
            continue
        yield f"::: {'.'.join(path.relative_to(root).with_suffix('').parts)}"
