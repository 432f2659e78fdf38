"""The difference of two routers as data and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.report.page import points, segment_rows, tile, tone, write_page
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.segments import Segment


@dataclass(frozen=True, slots=True)
class RouterDiff:
    """A router beside another on the same rows.

    Parameters
    ----------
    old, new : names
    quality : difference of mean quality, new minus old
    cost_usd : difference of mean cost, US dollars a request
    cost_ratio : new over old; ``None`` where the old one is free
    verdict : the gate's: better, not worse, shown to be worse, or can't tell
    basis : what it was judged on, in words
    unsupported : which moved traffic the data cannot judge; ``""`` when it can
    moved : share of requests that another candidate would serve, at the least
    traffic : candidate, share before, share after
    flows : ``from → to``, rows, difference of quality, difference of cost (dollars a request)
    segments : difference by segment
    changes : what the bundles differ in: name, old value, new value
    examples : request, candidate before, candidate after
    """

    old: str
    new: str
    quality: Estimate
    cost_usd: Estimate
    cost_ratio: float | None
    verdict: str
    basis: str
    unsupported: str
    moved: float
    traffic: tuple[tuple[str, float, float], ...]
    flows: tuple[tuple[str, int, Estimate, float], ...]
    segments: tuple[Segment, ...]
    changes: tuple[tuple[str, str, str], ...]
    examples: tuple[tuple[str, str, str], ...]

    @property
    def sentence(self) -> str:
        """What a manager wants to know."""
        ratio = "" if self.cost_ratio is None else f" at {self.cost_ratio:.0%} of its cost"
        return (
            f"{self.new}: {points(self.quality.as_dict())} points of quality beside {self.old}"
            f"{ratio}: {self.verdict}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able dictionary."""
        return {
            "old": self.old,
            "new": self.new,
            "quality_difference": self.quality.as_dict(),
            "cost_difference": self.cost_usd.as_dict(),
            "cost_ratio": self.cost_ratio,
            "verdict": self.verdict,
            "basis": self.basis,
            "unsupported": self.unsupported,
            "moved": self.moved,
            "traffic": {name: [before, after] for name, before, after in self.traffic},
            "segments": [segment.as_dict() for segment in self.segments],
            "changes": {name: [old, new] for name, old, new in self.changes},
        }


def write_diff(path: Path, found: RouterDiff) -> Path:
    """Write the page; a single file, of which nothing is fetched from elsewhere."""
    kinds, scale = segment_rows([segment.as_dict() for segment in found.segments])
    quality, cost = found.quality, found.cost_usd
    headline = [
        tile("quality", f"{100 * quality.value:+z.1f} points",
             f"95 %: [{100 * quality.low:+.1f}, {100 * quality.high:+.1f}]",
             tone(quality.low, quality.high)),
        tile("cost, $ per 1,000", f"{1e3 * cost.value:+.3f}",
             f"95 %: [{1e3 * cost.low:+.3f}, {1e3 * cost.high:+.3f}]",
             tone(-cost.high, -cost.low)),
        tile("cost", "–" if found.cost_ratio is None else f"{found.cost_ratio:.0%}",
             "of the old one's"),
        tile("requests that move", f"{found.moved:.0%}", "at the least"),
    ]  # fmt: skip
    contents = [("traffic", "What moves"), ("segments", "Segments"), ("changes", "What differs")]
    if found.examples:
        contents.append(("examples", "Examples"))
    facts = {
        "title": f"{found.old} → {found.new}",
        "subtitle": "Two routers on the same requests.",
        "contents": contents,
        "verdict": found.sentence,
        "headline": headline,
        "basis": f"Judged on {found.basis}.",
        "unsupported": found.unsupported,
        "moved": f"{found.moved:.0%} of the requests would be served by another candidate.",
        "old": found.old,
        "new": found.new,
        "traffic": [
            {"name": name, "before": before, "after": after}
            for name, before, after in found.traffic
        ],
        "flows": [
            (name, f"{rows:,}", points(change.as_dict()), f"{1e3 * usd:+.3f} $ per 1,000")
            for name, rows, change, usd in found.flows
        ],
        "segment_kinds": kinds,
        "scale": scale,
        "changes": found.changes,
        "examples": found.examples,
    }
    return write_page(path, "diff", facts)
