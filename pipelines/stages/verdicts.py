"""Verdicts of people or of a judge to a label file, with how far they can be trusted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.stages.judge import verdict_rows
from router_ml.data.outcomes import read_outcomes
from router_ml.errors import DataError, SchemaError
from router_ml.evaluation.agreement import MIN_BOTH, cohen_kappa
from router_ml.evaluation.intervals import Estimate, cluster_mean


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What :func:`read_verdicts` made of them.

    Parameters
    ----------
    labels : as the join reads them: ``request_id``, ``name``, ``value`` in [0, 1], ``source``,
        ``time``, ``label_prob``
    proposed : requests that were proposed
    unproposed : verdicts on other requests, which are no part of the draw and left out
    kappa : agreement with gold, ``None`` where fewer than 10 answers have both
    bias : mean verdict minus mean gold on those
    """

    labels: pd.DataFrame
    proposed: int
    unproposed: int
    kappa: Estimate | None
    bias: Estimate | None

    @property
    def text(self) -> str:
        """How many, and how far to trust them."""
        said = f"{len(self.labels):,} verdicts on {self.proposed:,} proposed requests"
        if self.unproposed:
            said += f", {self.unproposed:,} on others left out"
        if self.kappa is None or self.bias is None:
            return f"{said}; agreement with people unknown: judge {MIN_BOTH} or more by both"
        return (
            f"{said}; Cohen's kappa with gold {self.kappa.value:.2f} [{self.kappa.low:.2f}, "
            f"{self.kappa.high:.2f}] on {self.kappa.n:,}, bias {self.bias.value:+.3f} "
            f"[{self.bias.low:+.3f}, {self.bias.high:+.3f}]"
        )


def read_verdicts(
    proposal: pd.DataFrame,
    files: list[Path],
    *,
    gold: Path | None = None,
    joined: Path | None = None,
    low: float = 0.0,
    high: float = 1.0,
    name: str = "judged",
    source: str = "judge",
) -> Verdicts:
    """Labels of verdicts, with the probability that each request had to be labelled.

    That is the probability of the draw times the share of its candidate's proposed requests that
    were judged: who did not answer is taken to be missing at random.

    Parameters
    ----------
    proposal : as :func:`pipelines.stages.label_proposal.read_proposal` gives it
    files : CSV or JSON lines with ``request_id`` and ``score``; rows without a score are skipped
    gold : such a file by people, on the scale of 0 to 1; default: the labels of ``joined``
    low, high : ends of the scale of the scores

    Raises
    ------
    SchemaError
        If a column is missing, or a score is no number on the scale.
    DataError
        If one request has two different scores, or none has any.
    """
    scores = _scores(files, low, high)
    drawn = proposal.set_index("request_id")
    mine = scores[scores.index.isin(drawn.index)]
    if not len(mine):
        raise DataError(f"none of {len(drawn):,} proposed requests has a score")
    group = drawn["group"]
    answered = group[drawn.index.isin(mine.index)].value_counts()
    share = group.map(answered / group.value_counts())
    labels = pd.DataFrame({
        "request_id": mine.index,
        "name": name,
        "value": mine.to_numpy(),
        "source": source,
        "time": datetime.now(UTC).isoformat(),
        "label_prob": (drawn["label_prob"] * share).loc[mine.index].to_numpy(dtype=float),
    })  # fmt: skip
    kappa, bias = _agreement(scores, _gold(gold, joined))
    return Verdicts(labels, len(drawn), len(scores) - len(mine), kappa, bias)


def _scores(files: list[Path], low: float, high: float) -> pd.Series:
    """Quality in [0, 1] by request."""
    frames = [_read(path) for path in files]
    rows = pd.concat(frames, ignore_index=True).dropna(subset=["score"])
    values = pd.to_numeric(rows["score"], errors="coerce").to_numpy(dtype=float)
    wrong = ~((values >= low) & (values <= high))
    if wrong.any():
        row = rows[wrong].iloc[0]
        raise SchemaError(
            f"score must be a number in [{low:g}, {high:g}], got {row['score']!r} of request "
            f"{row['request_id']}; set low and high to the ends of the scale"
        )
    found = pd.Series((values - low) / (high - low), index=rows["request_id"].astype(str))
    found = found[~pd.DataFrame({"id": found.index, "v": found.to_numpy()}).duplicated().to_numpy()]
    if found.index.has_duplicates:
        twice = found.index[found.index.duplicated()][0]
        raise DataError(f"request {twice} has several scores; keep one, or read one judge a time")
    return found


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise SchemaError(f"no verdicts at {path}; run `router-ml label ask`, or name a file")
    if path.suffix == ".jsonl":
        frame = pd.DataFrame(verdict_rows(path))
    else:
        frame = pd.read_csv(path, dtype={"request_id": str})
    if missing := {"request_id", "score"} - set(frame.columns):
        raise SchemaError(f"{path} lacks {', '.join(sorted(missing))}; it has {list(frame)}")
    return frame[["request_id", "score"]]


def _gold(gold: Path | None, joined: Path | None) -> pd.Series:
    if gold is not None:
        return _scores([gold], 0.0, 1.0)
    if joined is None:
        return pd.Series(dtype=float)
    told = read_outcomes(joined, ["request_id", "quality"]).dropna()
    return told.set_index("request_id")["quality"]


def _agreement(scores: pd.Series, gold: pd.Series) -> tuple[Estimate | None, Estimate | None]:
    both = scores.index.intersection(gold.index)
    if len(both) < MIN_BOTH:
        return None, None
    mine, other = (s.loc[both].to_numpy(dtype=float) for s in (scores, gold))
    mean, error, n = cluster_mean(mine - other)
    try:
        kappa = cohen_kappa(mine, other)
    except DataError:
        return None, None
    half = 1.96 * error
    return kappa, Estimate(mean, mean - half, mean + half, n)


def save(found: Verdicts, folder: Path) -> Path:
    """Write ``labels.csv`` and ``verdicts.json``; returns the label file."""
    folder.mkdir(parents=True, exist_ok=True)
    found.labels.to_csv(folder / "labels.csv", index=False)
    numbers: dict[str, Any] = {
        "text": found.text,
        "kappa": None if found.kappa is None else found.kappa.as_dict(),
        "bias": None if found.bias is None else found.bias.as_dict(),
        "mean_label_prob": float(np.mean(found.labels["label_prob"])),
    }
    (folder / "verdicts.json").write_text(json.dumps(numbers, indent=2), encoding="utf-8")
    return folder / "labels.csv"
