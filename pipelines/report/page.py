"""Templates to one file: no link, no script, nothing that a browser would fetch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines import figures

_TEMPLATES: Final = Path(__file__).with_name("templates")
_MIN_SCALE: Final = 5.0


def write_page(path: Path, template: str, facts: Mapping[str, Any]) -> Path:
    """Fill a template and write it.

    Parameters
    ----------
    template : ``report`` or ``diff``
    facts : every name that it uses
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    footer = f"Written {written} by router-ml {version('router-ml')}."
    text = environment.get_template(f"{template}.html.j2").render(footer=footer, **facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def drawn(figure: Any) -> Markup:
    """A figure as inline SVG."""
    return Markup(figures.svg(figure))


def tile(name: str, value: str, note: str = "", tone: str = "") -> dict[str, str]:
    """A number in a box; ``tone`` is ``good``, ``bad`` or nothing."""
    return {"name": name, "value": value, "note": note, "tone": tone}


def tone(low: float, high: float) -> str:
    """``good`` or ``bad`` where an interval is on one side of zero."""
    return "good" if low > 0 else "bad" if high < 0 else ""


def between(estimate: Mapping[str, Any], digits: int = 3, scale: float = 1.0) -> str:
    """A value with its interval.

    Examples
    --------
    >>> between({"value": 0.8, "low": 0.75, "high": 0.85})
    '0.800 [0.750, 0.850]'
    """
    value, low, high = (_number(estimate[end], digits, scale) for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def points(estimate: Mapping[str, Any]) -> str:
    """A difference of quality in points, signed, with its interval.

    Examples
    --------
    >>> points({"value": 0.012, "low": -0.004, "high": 0.028})
    '+1.2 [-0.4, +2.8]'
    """
    value, low, high = (f"{100 * estimate[end]:+z.1f}" for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def segment_rows(rows: Sequence[Mapping[str, Any]]) -> tuple[list[tuple[str, list[Any]]], float]:
    """Segments by kind, with where their dots and lines go; and where the scale ends, in points."""
    ends = [abs(100 * row["difference"][end]) for row in rows for end in ("low", "high")]
    scale = max([_MIN_SCALE, *sorted(ends)[: max(1, int(0.9 * len(ends)))]])
    kinds: dict[str, list[Any]] = {}
    for row in rows:
        low, at, high = (
            50.0 + 50.0 * max(-1.0, min(1.0, 100 * row["difference"][end] / scale))
            for end in ("low", "value", "high")
        )
        placed = {"left": f"{low:.1f}", "width": f"{high - low:.1f}", "at": f"{at:.1f}"}
        kinds.setdefault(row["kind"], []).append(
            {**row, **placed, "text": points(row["difference"])}
        )
    return list(kinds.items()), scale


def _number(value: float | None, digits: int, scale: float) -> str:
    return "–" if value is None else f"{value * scale:,.{digits}f}"
