"""The figures of the concept pages, drawn as SVG: the life cycle, and the layers of imports."""

from __future__ import annotations

import configparser
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

_INK: Final = "#1f2937"
_LINE: Final = "#64748b"
_FILLS: Final = {"stage": "#dbeafe", "file": "#f1f5f9", "person": "#dcfce7", "outer": "#f8fafc"}
_FONT: Final = "font-family='Helvetica, Arial, sans-serif' font-size='13'"

Box = tuple[float, float, float, float]


def figures(root: Path) -> dict[str, str]:
    """SVG text by file name."""
    return {"life-cycle.svg": life_cycle(), "layers.svg": layers(root / ".importlinter")}


def life_cycle() -> str:
    """From logs to decisions, and back."""
    top, low, width, gap = 96.0, 222.0, 96.0, 26.0
    names = ("join", "train", "export", "evaluate", "register", "gate")
    made = ("outcomes", "estimators", "bundle", "report", "version", "champion")
    parts: list[str] = []
    for row, source in enumerate(("request log", "labels", "prices")):
        box = (10.0, 58.0 + 38 * row, 100.0, 30.0)
        parts += [_box(box, source, "file"), _arrow([(110, box[1] + 15), (136, top + 15)])]
    for i, (name, result) in enumerate(zip(names, made, strict=True)):
        x = 138 + i * (width + gap)
        parts += [_box((x, top, width, 30), name, "stage"), _note(x + width / 2, top + 48, result)]
        if i:
            parts.append(_arrow([(x - gap, top + 15), (x - 2, top + 15)]))
    end = 138 + len(names) * (width + gap) - gap
    parts.append(_arrow([(end - 48, top + 60), (end - 48, low - 2)]))
    parts += [
        _box((end - width, low, width, 30), "service", "stage"),
        _box((end - width - 190, low, 130, 30), "application", "person"),
        _arrow([(end - width - 60, low + 9), (end - width - 2, low + 9)]),
        _arrow([(end - width, low + 22), (end - width - 58, low + 22)]),
        _note(end - width - 60, low + 46, "request, decision, feedback"),
        _box((138, low, 250, 30), "decision log with propensities", "file"),
        _arrow([(end - width / 2, low + 30), (end - width / 2, low + 76), (263, low + 76),
                (263, low + 32)]),
        _arrow([(186, low), (186, top + 62)]),
        _note(300, low + 92, "every decision, with the probability it was drawn with"),
    ]  # fmt: skip
    return _svg(end + 12, low + 108, parts, "Life cycle of a router, from logs to decisions")


def layers(contracts: Path) -> str:
    """Layers of the import contracts: each may import those below it."""
    read = configparser.ConfigParser()
    read.read_string(contracts.read_text(encoding="utf-8"))
    library = _layers(read, "importlinter:contract:library")
    jobs = _layers(read, "importlinter:contract:pipelines")
    step, inner = 34.0, 330.0
    height = 46 + step * max(len(library), len(jobs))
    parts = [
        *_column(10, inner, "pipelines: offline jobs", jobs, step),
        *_column(20 + inner, inner, "router_ml: the library", library, step),
        _box((30 + 2 * inner, 34, 150, 30), "serving", "stage"),
        _note(105 + 2 * inner, 82, "HTTP around runtime"),
        _note(105 + 2 * inner, 100, "and cascade.runtime"),
        _arrow([(12 + inner, 49), (18 + inner, 49)]),
        _arrow([(30 + 2 * inner, 49), (22 + 2 * inner, 49)]),
        _note(105 + 2 * inner, 136, "down = may import"),
    ]
    return _svg(200 + 2 * inner, height, parts, "Layers: what may import what")


def _layers(read: configparser.ConfigParser, name: str) -> list[list[str]]:
    lines = read[name]["layers"].split("\n")
    return [[part.strip() for part in line.split("|")] for line in lines if line.strip()]


def _column(
    x: float, width: float, title: str, rows: Sequence[Sequence[str]], step: float
) -> list[str]:
    height = step * len(rows) + 12
    parts = [_note(x + width / 2, 22, title), _box((x, 30, width, height), "", "outer")]
    for i, row in enumerate(rows):
        cell = (width - 12 - 6 * (len(row) - 1)) / len(row)
        for k, name in enumerate(row):
            at = x + 6 + k * (cell + 6)
            parts.append(_box((at, 38 + step * i, cell, step - 6), name, "stage"))
    return parts


def _svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height:g}' "
        f"width='{width:g}' role='img' {_FONT} fill='{_INK}'><title>{title}</title>"
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' "
        f"markerHeight='8' orient='auto'><path d='M0 0 L8 4 L0 8 z' fill='{_LINE}'/></marker>"
        f"</defs><rect width='{width:g}' height='{height:g}' fill='white' rx='8'/>"
    )
    return "\n".join([head, *parts, "</svg>", ""])


def _box(box: Box, text: str, kind: str) -> str:
    x, y, width, height = box
    return (
        f"<rect x='{x:g}' y='{y:g}' width='{width:g}' height='{height:g}' rx='5' "
        f"fill='{_FILLS[kind]}' stroke='{_LINE}'/>"
        + (_note(x + width / 2, y + height / 2 + 4.5, text, size=_fitted(text, width)))
    )


def _fitted(text: str, width: float) -> float:
    return min(13.0, 1.7 * width / max(1, len(text)))


def _note(x: float, y: float, text: str, *, size: float = 12.0) -> str:
    return (
        f"<text x='{x:g}' y='{y:g}' text-anchor='middle' font-size='{size:g}'>{escape(text)}</text>"
    )


def _arrow(points: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{_LINE}' marker-end='url(#tip)'/>"
